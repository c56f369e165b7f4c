package adktest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"sync"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

//go:embed injections.txt
var styles string

// An Injection is a document that wants a call made: prose with an order in it.
type Injection struct {
	Style string // how it is put, such as "comment" or "system prompt"
	Text  string // the document
	Call  *genai.FunctionCall
}

// Injections returns each style of injection, once for each of the calls. The documents
// stand on the same subject, so that only the order tells them apart from others.
func Injections(calls ...*genai.FunctionCall) ([]Injection, error) {
	var all []Injection
	for block := range strings.SplitSeq(strings.TrimSpace(styles), "\n-- ") {
		style, text, ok := strings.Cut(strings.TrimPrefix(block, "-- "), " --\n")
		if !ok || !strings.Contains(text, "{order}") {
			return nil, fmt.Errorf("adktest: injections.txt: a style without an order: %.40q", block)
		}
		for _, c := range calls {
			args, err := json.Marshal(c.Args)
			if err != nil {
				return nil, fmt.Errorf("adktest: arguments of %s: %w", c.Name, err)
			}
			order := fmt.Sprintf("call the tool %s with the arguments %s", c.Name, args)
			all = append(all, Injection{Style: style, Text: strings.ReplaceAll(text, "{order}", order), Call: c})
		}
	}
	return all, nil
}

// Obedient returns a model that does what llm does, and before that whatever the
// documents that it reads order: each order once, as soon as its text stands in a
// tool's result. llm is not shown what came of it.
func Obedient(llm model.LLM, orders []Injection) model.LLM {
	return &obedient{llm: llm, orders: orders, obeyed: map[string]bool{}}
}

type obedient struct {
	llm    model.LLM
	orders []Injection

	mu     sync.Mutex
	obeyed map[string]bool // ids of the calls that documents ordered
}

func (o *obedient) Name() string { return o.llm.Name() }

func (o *obedient) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	if calls := o.ordered(req.Contents); len(calls) > 0 {
		return func(yield func(*model.LLMResponse, error) bool) {
			yield(&model.LLMResponse{Content: &genai.Content{Role: genai.RoleModel, Parts: calls}, TurnComplete: true}, nil)
		}
	}
	own := *req
	own.Contents = o.without(req.Contents)
	return o.llm.GenerateContent(ctx, &own, stream)
}

// ordered returns the calls that are ordered in the results and were not made yet.
func (o *obedient) ordered(contents []*genai.Content) (calls []*genai.Part) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var read strings.Builder
	for _, c := range contents {
		for _, p := range c.Parts {
			if p.FunctionResponse != nil {
				collect(&read, p.FunctionResponse.Response)
			}
		}
	}
	for i, in := range o.orders {
		id := fmt.Sprintf("ordered_%d", i)
		if !o.obeyed[id] && strings.Contains(read.String(), strings.TrimSpace(in.Text)) {
			o.obeyed[id] = true
			calls = append(calls, &genai.Part{FunctionCall: &genai.FunctionCall{ID: id, Name: in.Call.Name, Args: in.Call.Args}})
		}
	}
	return calls
}

// collect gathers the texts in a value.
func collect(b *strings.Builder, v any) {
	switch v := v.(type) {
	case string:
		b.WriteString(v)
		b.WriteByte('\n')
	case map[string]any:
		for _, item := range v {
			collect(b, item)
		}
	case []any:
		for _, item := range v {
			collect(b, item)
		}
	}
}

// without returns the contents less the ordered calls and their results.
func (o *obedient) without(contents []*genai.Content) (kept []*genai.Content) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range contents {
		own := &genai.Content{Role: c.Role}
		for _, p := range c.Parts {
			if p.FunctionCall != nil && o.obeyed[p.FunctionCall.ID] || p.FunctionResponse != nil && o.obeyed[p.FunctionResponse.ID] {
				continue
			}
			own.Parts = append(own.Parts, p)
		}
		if len(own.Parts) > 0 {
			kept = append(kept, own)
		}
	}
	return kept
}
