package modeltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// A reply is all that came of one call.
type reply struct {
	pieces  []*model.LLMResponse // partial responses
	final   *model.LLMResponse   // the last one that is not partial
	finals  int
	late    bool // something came after the final response
	err     error
	text    string // of final
	thought string
	calls   []*genai.FunctionCall
}

// errPanicked stands for a panic of the model under test.
var errPanicked = errors.New("the model panicked")

// call makes one call. It does not judge what comes.
func call(ctx context.Context, llm model.LLM, req *model.LLMRequest, stream bool) *reply {
	return listen(func(yield func(*model.LLMResponse, error) bool) { llm.GenerateContent(ctx, req, stream)(yield) }, nil)
}

// listen keeps all that comes of a call. It calls hear for each piece, if it is not nil.
func listen(from iter.Seq2[*model.LLMResponse, error], hear func(*model.LLMResponse)) (r *reply) {
	r = &reply{}
	defer func() {
		if v := recover(); v != nil {
			r.err = fmt.Errorf("%w: %v\n%s", errPanicked, v, debug.Stack())
		}
	}()
	for resp, err := range from {
		if r.final != nil || r.err != nil {
			r.late = true
		}
		switch {
		case err != nil:
			r.err = err
		case resp == nil:
			r.late = true
		case resp.Partial:
			if r.pieces = append(r.pieces, resp); hear != nil {
				hear(resp)
			}
		default:
			r.finals++
			r.final = resp
		}
	}
	if r.final != nil {
		r.text, r.thought, r.calls = read(r.final.Content)
	}
	return r
}

// String writes what the reply says, for messages.
func (r *reply) String() string {
	return fmt.Sprintf("%q, thoughts %q, calls %s", r.text, r.thought, show(r.calls))
}

// read sorts a content into its text, its thoughts and its calls.
func read(c *genai.Content) (text, thought string, calls []*genai.FunctionCall) {
	if c == nil {
		return "", "", nil
	}
	for _, p := range c.Parts {
		switch {
		case p == nil:
		case p.FunctionCall != nil:
			calls = append(calls, p.FunctionCall)
		case p.Thought:
			thought += p.Text
		default:
			text += p.Text
		}
	}
	return text, thought, calls
}

// streamed joins the pieces.
func (r *reply) streamed() (text, thought string) {
	for _, p := range r.pieces {
		t, th, _ := read(p.Content)
		text, thought = text+t, thought+th
	}
	return text, thought
}

// wellFormed holds a reply to what ADK's flow relies on.
func (c *trial) wellFormed(r *reply) {
	c.Helper()
	if r.err != nil {
		c.Fatalf("failed: %v", r.err)
	}
	switch {
	case r.finals != 1 || r.late:
		c.Fatalf("%d responses that are not partial, want 1, and nothing after it", r.finals)
	case !c.stream && len(r.pieces) > 0:
		c.Errorf("%d partial responses, and nobody asked for a stream", len(r.pieces))
	case r.final.Content == nil && r.final.ErrorCode == "":
		c.Errorf("the last response has neither content nor an error code: ADK would drop it without a word")
	case r.final.FinishReason == "" && r.final.ErrorCode == "":
		c.Errorf("the last response does not say why it ended")
	case c.stream && !r.final.TurnComplete:
		c.Errorf("the last response of a stream does not say that the turn is complete")
	}
	if r.final.Content != nil && r.final.Content.Role != genai.RoleModel {
		c.Errorf("the content's role is %q, want model", r.final.Content.Role)
	}
	for i, p := range r.pieces {
		text, thought, calls := read(p.Content)
		switch {
		case len(calls) > 0:
			c.Errorf("piece %d holds a call: ADK runs calls of the last response, callers would run it twice", i)
		case p.FinishReason != "" || p.TurnComplete:
			c.Errorf("piece %d says that the answer ended", i)
		case !utf8.ValidString(text) || !utf8.ValidString(thought):
			c.Errorf("piece %d ends within a character: %q", i, text+thought)
		}
	}
	if text, thought := r.streamed(); c.stream && len(r.pieces) > 0 && (text != r.text || thought != r.thought && thought != "") {
		c.Errorf("the pieces say %q (thoughts %q), the last response %q (%q)", text, thought, r.text, r.thought)
	}
}

// failure makes sure that err says what people and programs need, and no more.
func (b *bench) failure(r *reply) *provider.Error {
	b.Helper()
	if r.err == nil {
		b.Fatalf("no error; the answer is %q with %d calls, finish reason %q", r.text, len(r.calls), finish(r))
	}
	b.noSecrets(r.err)
	e, ok := errors.AsType[*provider.Error](r.err)
	if !ok {
		b.Fatalf("the error is a %T, want a *provider.Error in it: %v", r.err, r.err)
	}
	if e.Provider == "" || e.Model == "" || e.Problem == "" || e.Remedy == "" {
		b.Errorf("the error lacks a provider, a model, a problem or a remedy: %v", r.err)
	}
	if text := r.err.Error(); strings.ContainsAny(text, "\n\r") || !strings.Contains(text, e.Provider) || !strings.Contains(text, e.Model) || !strings.Contains(text, e.Remedy) {
		b.Errorf("the error is not one line with provider, model and remedy: %q", text)
	}
	if r.finals > 0 || r.late {
		b.Errorf("a response that is not partial came with the error, or something after it")
	}
	return e
}

// fails is failure for those who ask no more.
func (b *bench) fails(r *reply) {
	b.Helper()
	_ = b.failure(r)
}

func finish(r *reply) genai.FinishReason {
	if r.final == nil {
		return ""
	}
	return r.final.FinishReason
}

// mark stands in bodies that must not be repeated.
const mark = "body-mark-0451"

// noSecrets looks for credentials and bodies in every printed form of err and of
// what it wraps.
func (b *bench) noSecrets(err error) {
	b.Helper()
	secrets := []string{mark}
	requests := b.up.Requests()
	for _, r := range requests[max(0, len(requests)-32):] { // all carry the same key
		for _, name := range []string{"Authorization", "X-Goog-Api-Key", "Api-Key", "X-Api-Key"} {
			if _, key, _ := strings.Cut(" "+strings.TrimPrefix(r.Header.Get(name), "Bearer "), " "); len(key) >= 16 && !slices.Contains(secrets, key) {
				secrets = append(secrets, key)
			}
		}
	}
	if len(requests) > 0 && len(secrets) == 1 {
		b.Fatalf("no request carried an API key of 16 characters or more: a leak could not be seen")
	}
	for depth := 0; err != nil && depth < 16; depth, err = depth+1, errors.Unwrap(err) {
		encoded, _ := json.Marshal(err) // what cannot be encoded leaks nothing
		forms := string(encoded)
		for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%x"} {
			forms += "\n" + fmt.Sprintf(verb, err)
		}
		for _, s := range secrets {
			if strings.Contains(forms, s) || strings.Contains(forms, fmt.Sprintf("%x", s)) {
				b.Errorf("a credential or a body is in the error (%T)", err)
			}
		}
	}
}

// bounded runs f, and cuts the upstream's connections when it takes too long, so
// that a model that ignores its context fails instead of hanging.
func (b *bench) bounded(f func()) {
	b.Helper()
	late := make(chan struct{})
	timer := time.AfterFunc(b.patience, func() {
		close(late)
		b.up.srv.CloseClientConnections()
	})
	f()
	if !timer.Stop() {
		<-late
		b.Errorf("the call went on for %s after its end", b.patience)
	}
}

func user(parts ...*genai.Part) *genai.Content {
	return &genai.Content{Role: genai.RoleUser, Parts: parts}
}

func assistant(parts ...*genai.Part) *genai.Content {
	return &genai.Content{Role: genai.RoleModel, Parts: parts}
}

func say(text string) *genai.Part { return &genai.Part{Text: text} }

func calling(id, name string, args map[string]any) *genai.Part {
	return &genai.Part{FunctionCall: &genai.FunctionCall{ID: id, Name: name, Args: args}}
}

func result(id, name string, response map[string]any) *genai.Part {
	return &genai.Part{FunctionResponse: &genai.FunctionResponse{ID: id, Name: name, Response: response}}
}

// request asks with contents and the tool "lookup".
func request(contents ...*genai.Content) *model.LLMRequest {
	return &model.LLMRequest{Contents: contents, Config: &genai.GenerateContentConfig{
		Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{
			Name: "lookup", Description: "Looks a key up.",
			ParametersJsonSchema: map[string]any{
				"type": "object", "properties": map[string]any{"key": map[string]any{"type": "string"}}, "required": []any{"key"},
			},
		}}}},
	}}
}

func simple() *model.LLMRequest { return request(user(say("Hello."))) }

// show writes v as JSON, for messages and comparisons.
func show(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// responses lists the results in contents, in order.
func responses(contents []*genai.Content) (out []*genai.FunctionResponse) {
	eachPart(contents, func(p *genai.Part) {
		if p.FunctionResponse != nil {
			out = append(out, p.FunctionResponse)
		}
	})
	return out
}

// pairs writes each call with the result that belongs to it, in the order of the
// calls: by id, or where there is none by name and order.
func pairs(contents []*genai.Content) string {
	var out []string
	for i, content := range contents {
		_, _, calls := read(content)
		if len(calls) == 0 || i+1 == len(contents) {
			continue
		}
		left := responses(contents[i+1 : i+2])
		for _, f := range calls {
			value := "nothing"
			for j, r := range left {
				if r != nil && r.ID == f.ID && r.Name == f.Name {
					value, left[j] = fmt.Sprint(r.Response["value"]), nil
					break
				}
			}
			out = append(out, f.Name+"="+value)
		}
	}
	return strings.Join(out, " ")
}

// allText joins the texts that the contents hold, one line each.
func allText(contents ...*genai.Content) string {
	var lines []string
	eachPart(contents, func(p *genai.Part) {
		if p.Text != "" {
			lines = append(lines, p.Text)
		}
	})
	return strings.Join(lines, "\n")
}
