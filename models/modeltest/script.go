package modeltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/dev/modelserver"
	"github.com/jitagent/jitagent/internal/strictjson"
)

// A Turn is one answer of a [Script]. The zero Turn is an answer without content.
type Turn struct {
	// Thoughts and Texts are streamed piece by piece, and joined in the last
	// response: thoughts first, then text, then calls.
	Thoughts []string
	Texts    []string
	// Calls are made as they are: an empty ID stays empty.
	Calls []*genai.FunctionCall
	// Signature is the state that must come back with the first call.
	Signature []byte
	// Refusal marks the text as the model's refusal to answer.
	Refusal bool
	// FinishReason is why the answer ended. Empty means STOP, or SAFETY for a refusal.
	FinishReason genai.FinishReason
	// Blocked is a code for a prompt that was not answered at all, such as SAFETY. The
	// response then has no content and no finish reason.
	Blocked string
	// Usage is reported as it is. nil reports none.
	Usage *genai.GenerateContentResponseUsageMetadata
	// Version is reported as the model's version.
	Version string
	// Err ends the answer, after the streamed pieces and in place of the last response.
	Err error
	// Stall waits, after the streamed pieces, until the call is cancelled, and then
	// fails with the context's error.
	Stall bool
}

// Text is a turn that says text at once.
func Text(text string) Turn { return Turn{Texts: []string{text}} }

// Calls is a turn that calls tools.
func Calls(calls ...*genai.FunctionCall) Turn { return Turn{Calls: calls} }

// ErrScriptEnded is what a [Script] fails with when it is asked for more turns than
// it has.
var ErrScriptEnded = errors.New("modeltest: the script has no more turns")

// A Script is a [model.LLM] that gives prepared answers in order, and records what
// it was asked. It is safe for concurrent use; calls that overlap get turns in the
// order in which they begin. It never changes a request.
type Script struct {
	name string
	loop bool

	mu    sync.Mutex
	turns []Turn
	asked []*model.LLMRequest
}

var _ model.LLM = (*Script)(nil)

// NewScript returns a Script of turns. Its name is "script".
func NewScript(turns ...Turn) *Script {
	return &Script{name: "script", turns: slices.Clone(turns)}
}

// Always returns a Script that gives the same answer each time.
func Always(turn Turn) *Script {
	return &Script{name: "script", turns: []Turn{turn}, loop: true}
}

// Name implements [model.LLM].
func (s *Script) Name() string { return s.name }

// Requests returns deep copies of the requests so far, as they were when they came,
// in order. Tools is left out, and a schema that is a Go value of its own type is
// given as the map that it encodes to.
func (s *Script) Requests() []*model.LLMRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*model.LLMRequest
	for _, req := range s.asked {
		c, err := clone(req)
		if err != nil {
			c = req // it is a clone itself, which was encoded once
		}
		out = append(out, c)
	}
	return out
}

// clone copies a request through its JSON form.
func clone(req *model.LLMRequest) (*model.LLMRequest, error) {
	if req == nil {
		return nil, errors.New("modeltest: no request")
	}
	text, err := json.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("modeltest: record request: %w", err)
	}
	var out model.LLMRequest
	if err := strictjson.AsWritten(text, &out); err != nil {
		return nil, fmt.Errorf("modeltest: record request: %w", err)
	}
	eachPart(out.Contents, func(p *genai.Part) {
		if p.FunctionCall != nil {
			strictjson.Numbers(p.FunctionCall.Args)
		}
		if p.FunctionResponse != nil {
			strictjson.Numbers(p.FunctionResponse.Response)
		}
	})
	return &out, nil
}

func (s *Script) next(req *model.LLMRequest) (Turn, error) {
	copied, err := clone(req)
	if err != nil {
		return Turn{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, copied)
	if len(s.turns) == 0 {
		return Turn{}, fmt.Errorf("%w: this is request %d", ErrScriptEnded, len(s.asked))
	}
	turn := s.turns[0]
	if !s.loop {
		s.turns = s.turns[1:]
	}
	return turn, nil
}

// GenerateContent implements [model.LLM].
func (s *Script) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(nil, err)
			return
		}
		turn, err := s.next(req)
		if err != nil {
			yield(nil, err)
			return
		}
		if stream && !turn.pieces(yield) {
			return
		}
		if turn.Stall {
			<-ctx.Done()
		}
		switch err := ctx.Err(); {
		case err != nil:
			yield(nil, err)
		case turn.Err != nil:
			yield(nil, turn.Err)
		default:
			yield(turn.response(), nil)
		}
	}
}

// pieces streams thoughts and texts, and reports whether to go on.
func (t *Turn) pieces(yield func(*model.LLMResponse, error) bool) bool {
	for i, text := range slices.Concat(t.Thoughts, t.Texts) {
		thought := i < len(t.Thoughts)
		part := &genai.Part{Text: text, Thought: thought}
		resp := &model.LLMResponse{Content: genai.NewContentFromParts([]*genai.Part{part}, genai.RoleModel), ModelVersion: t.Version, Partial: true}
		if t.Refusal && !thought {
			resp.CustomMetadata = map[string]any{modelserver.RefusalKey: true}
		}
		if !yield(resp, nil) {
			return false
		}
	}
	return true
}

// response is the whole answer. It shares nothing with t.
func (t *Turn) response() *model.LLMResponse {
	resp := &model.LLMResponse{ModelVersion: t.Version, FinishReason: t.FinishReason, TurnComplete: true}
	if t.Usage != nil {
		usage := *t.Usage
		resp.UsageMetadata = &usage
	}
	if t.Blocked != "" {
		resp.ErrorCode = t.Blocked
		return resp
	}
	if t.Refusal {
		resp.CustomMetadata = map[string]any{modelserver.RefusalKey: true}
	}
	switch {
	case resp.FinishReason != "":
	case t.Refusal:
		resp.FinishReason = genai.FinishReasonSafety
	default:
		resp.FinishReason = genai.FinishReasonStop
	}
	resp.Content = &genai.Content{Role: genai.RoleModel}
	if thought := strings.Join(t.Thoughts, ""); thought != "" {
		resp.Content.Parts = append(resp.Content.Parts, &genai.Part{Text: thought, Thought: true})
	}
	if text := strings.Join(t.Texts, ""); text != "" {
		resp.Content.Parts = append(resp.Content.Parts, &genai.Part{Text: text})
	}
	for i, call := range t.Calls {
		c := *call
		c.Args, _ = copied(call.Args).(map[string]any)
		part := &genai.Part{FunctionCall: &c}
		if i == 0 {
			part.ThoughtSignature = slices.Clone(t.Signature)
		}
		resp.Content.Parts = append(resp.Content.Parts, part)
	}
	return resp
}

// copied copies a JSON value: callers may change the arguments that they are given.
func copied(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v == nil {
			return v
		}
		out := make(map[string]any, len(v))
		for name, member := range v {
			out[name] = copied(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = copied(element)
		}
		return out
	}
	return v
}

// eachPart goes through the parts that are there.
func eachPart(contents []*genai.Content, do func(p *genai.Part)) {
	for _, c := range contents {
		if c == nil {
			continue
		}
		for _, p := range c.Parts {
			if p != nil {
				do(p)
			}
		}
	}
}
