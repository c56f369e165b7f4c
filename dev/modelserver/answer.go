package modelserver

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// RefusalKey is the member of [model.LLMResponse].CustomMetadata that is true when
// the text is the model's refusal to answer.
const RefusalKey = "refusal"

var (
	errWrite    = errors.New("the client is gone")
	errNoAnswer = errors.New("the model ended without an answer")
	errTwoEnds  = errors.New("the model ended twice: two responses are not partial")
	errDiffers  = errors.New("the model's last response is not what it streamed")
	errNotText  = errors.New("the model cut a character in two: its text is not UTF-8")
	errNothing  = errors.New("the model yielded neither a response nor an error")
)

// answer runs the model and writes what it says.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, llm model.LLM, c *call, to wire) {
	ctx, written := r.Context(), &stream{w: w, call: c}
	out := to.encoder(written)
	final, err := s.run(r, llm, out, written)
	if err == nil {
		c.version(final)
		out.end(final)
		err = written.err
	}
	switch p, ok := errors.AsType[*problem](err); {
	case err == nil:
		s.log.DebugContext(ctx, "model answered", "model", c.request.Model, "finish_reason", string(final.FinishReason))
	case errors.Is(err, errWrite) || ctx.Err() != nil:
		s.log.DebugContext(ctx, "client hung up", "model", c.request.Model)
	case ok:
		s.log.DebugContext(ctx, "answer withheld", "model", c.request.Model, "reason", p.message)
		fail(w, to, p)
	default:
		s.log.ErrorContext(ctx, "model failed", "model", c.request.Model, "error", err)
		p = refuse(http.StatusInternalServerError, "", "the model failed")
		if !written.started {
			fail(w, to, p)
			return
		}
		written.err = nil
		out.broken(p)
		// Without the last chunk no client takes this for a whole answer.
		panic(http.ErrAbortHandler)
	}
}

// run calls the model, passes on what it says, and returns its last response. Where
// the request insists on something, all is held back until that is seen to be there.
func (s *Server) run(r *http.Request, llm model.LLM, out encoder, written *stream) (final *model.LLMResponse, err error) {
	c := written.call
	defer func() {
		if v := recover(); v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so too
			panic(v) // of the writer: the connection is to be cut
		} else if v != nil {
			s.log.ErrorContext(r.Context(), "model panicked", "model", c.request.Model, "stack", string(debug.Stack()))
			final, err = nil, fmt.Errorf("the model panicked: %v", v)
		}
	}()
	var sent progress
	for resp, err := range llm.GenerateContent(r.Context(), c.request, c.stream) {
		switch {
		case err != nil:
			return nil, err
		case resp == nil:
			return nil, errNothing
		case final != nil:
			return nil, errTwoEnds
		case !resp.Partial:
			final = resp
			continue
		case !c.stream || c.insists():
			continue
		}
		for _, part := range parts(resp.Content) {
			// Calls in pieces are left to the last response, which has them whole.
			if part.Text == "" {
				continue
			}
			if err := sent.add(part); err != nil {
				return nil, err
			}
			if err := written.say(out, resp, part); err != nil {
				return nil, err
			}
		}
	}
	if final == nil {
		return nil, errNoAnswer
	}
	if p := c.unkept(final); p != nil {
		return nil, p
	}
	rest, err := sent.rest(final.Content)
	if err != nil {
		return nil, err
	}
	for _, part := range rest {
		if err := written.say(out, final, part); err != nil {
			return nil, err
		}
	}
	return final, nil
}

// say passes a part on as the step that it is.
func (s *stream) say(out encoder, of *model.LLMResponse, p *genai.Part) (err error) {
	s.call.version(of)
	is := step{Part: p, kind: said}
	switch f := p.FunctionCall; {
	case f != nil:
		is.kind, is.id, is.args = called, f.ID, "{}"
		if is.id == "" {
			is.id = "call_" + rand.Text()
		}
		if f.Args != nil {
			if is.args, err = encode(f.Args); err != nil {
				return err
			}
		}
	case p.Thought:
		is.kind = thought
	case refused(of):
		is.kind = refusal
	}
	out.step(of, is)
	return s.err
}

func (c *call) version(of *model.LLMResponse) {
	c.model = cmp.Or(of.ModelVersion, c.model)
}

// choiceOf returns what a request says about calling tools.
func choiceOf(c *genai.GenerateContentConfig) genai.FunctionCallingConfig {
	if c.ToolConfig != nil && c.ToolConfig.FunctionCallingConfig != nil {
		return *c.ToolConfig.FunctionCallingConfig
	}
	return genai.FunctionCallingConfig{}
}

// insists reports whether an answer can be other than what the request asks for.
func (c *call) insists() bool {
	mode := choiceOf(c.request.Config).Mode
	return c.one || mode == genai.FunctionCallingConfigModeAny || mode == genai.FunctionCallingConfigModeNone || c.request.Config.ResponseMIMEType == "application/json"
}

// unkept says which wish of the request the answer leaves unkept. Models are told of
// the wishes, and nothing here can make them heed one: better an error than an
// answer that looks as if it had been kept. An answer that broke off, or is a
// refusal, says so itself.
func (c *call) unkept(final *model.LLMResponse) *problem {
	if stopped := final.FinishReason != "" && final.FinishReason != genai.FinishReasonStop; stopped || final.ErrorCode != "" || !c.insists() {
		return nil
	}
	choice, names, text := choiceOf(c.request.Config), []string{}, ""
	for _, p := range parts(final.Content) {
		switch {
		case p.FunctionCall != nil:
			names = append(names, p.FunctionCall.Name)
		case !p.Thought:
			text += p.Text
		}
	}
	disallowed := func(name string) bool {
		return choice.Mode == genai.FunctionCallingConfigModeNone || len(choice.AllowedFunctionNames) > 0 && !slices.Contains(choice.AllowedFunctionNames, name)
	}
	switch {
	case slices.ContainsFunc(names, disallowed):
		return bad("tool_choice", "the model called a tool that the request does not let it call")
	case choice.Mode == genai.FunctionCallingConfigModeAny && len(names) == 0:
		return bad("tool_choice", "the request insists on a call of a tool, and the model made none")
	case c.one && len(names) > 1:
		return bad("parallel_tool_calls", "the request asks for one call at a time, and the model made several")
	case c.request.Config.ResponseMIMEType == "application/json" && len(names) == 0 && !isJSON(text, c.request.Config.ResponseJsonSchema):
		return bad("response_format", "the request asks for JSON of a certain form, and the model's answer is not of that form")
	}
	return nil
}

// isJSON reports whether text is JSON that schema allows. A nil schema allows all.
func isJSON(text string, schema any) bool {
	var value any
	if json.Unmarshal([]byte(text), &value) != nil {
		return false
	}
	if schema == nil {
		return true
	}
	var s jsonschema.Schema
	encoded, err := json.Marshal(schema)
	if err != nil || json.Unmarshal(encoded, &s) != nil {
		return false
	}
	resolved, err := s.Resolve(nil)
	return err == nil && resolved.Validate(value) == nil
}

// progress is what was streamed so far.
type progress struct{ text, thought strings.Builder }

func (p *progress) add(part *genai.Part) error {
	if !utf8.ValidString(part.Text) {
		return errNotText
	}
	if part.Thought {
		p.thought.WriteString(part.Text)
	} else {
		p.text.WriteString(part.Text)
	}
	return nil
}

// rest returns the parts of the whole answer that were not streamed yet. The
// streamed text must be its beginning.
func (p *progress) rest(whole *genai.Content) ([]*genai.Part, error) {
	text, thought := p.text.String(), p.thought.String()
	var out []*genai.Part
	for _, part := range parts(whole) {
		streamed := &text
		if part.Thought {
			streamed = &thought
		}
		n := min(len(*streamed), len(part.Text))
		if part.Text[:n] != (*streamed)[:n] {
			return nil, errDiffers
		}
		*streamed = (*streamed)[n:]
		if n > 0 {
			left := *part
			left.Text = part.Text[n:]
			if left.Text == "" && left.ThoughtSignature == nil {
				continue
			}
			part = &left
		}
		out = append(out, part)
	}
	if text != "" || thought != "" {
		return nil, errDiffers
	}
	return out, nil
}

// parts returns the parts of c that are there.
func parts(c *genai.Content) []*genai.Part {
	if c == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(c.Parts), func(p *genai.Part) bool { return p == nil })
}

// encode writes v as JSON on one line. Equal values give equal texts.
func encode(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // what a model wrote is read by people, too
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("the model's answer cannot be written as JSON: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// fail answers with p in the wire's shape.
func fail(w http.ResponseWriter, to wire, p *problem) { write(w, p.status, to.failure(p)) }

// write answers with v, one of this package's own values, as JSON.
func write(w http.ResponseWriter, status int, v any) {
	text, err := encode(v)
	if err != nil {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // the client is gone: nobody to tell
}

// A stream writes pieces of an answer and flushes each.
type stream struct {
	w       http.ResponseWriter
	call    *call
	started bool  // the client has seen something
	err     error // the first
}

// send writes one piece, and the header before the first: before + v as JSON + after.
// After an error it does nothing.
func (s *stream) send(contentType, before string, v any, after string) {
	text := ""
	if v != nil && s.err == nil {
		text, s.err = encode(v)
	}
	if s.err != nil {
		return
	}
	if !s.started {
		s.started = true
		s.w.Header().Set("Content-Type", contentType)
		s.w.Header().Set("Cache-Control", "no-store")
	}
	if _, err := s.w.Write([]byte(before + text + after)); err != nil {
		s.err = errWrite
	} else if err := http.NewResponseController(s.w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.err = errWrite
	}
}

// event writes v as one event of a stream, which may have a kind.
func (s *stream) event(kind string, v any) {
	if kind != "" {
		kind = "event: " + kind + "\n"
	}
	s.send("text/event-stream", kind+"data: ", v, "\n\n")
}

// whole writes v as the only piece.
func (s *stream) whole(v any) { s.send("application/json", "", v, "\n") }

// cut cuts a call's arguments into pieces, rounded up to whole characters.
func (s *stream) cut(args string) (pieces []string) {
	for args != "" {
		n := min(s.call.piece, len(args))
		for n < len(args) && !utf8.RuneStart(args[n]) {
			n++
		}
		pieces, args = append(pieces, args[:n]), args[n:]
	}
	return pieces
}

// members are those of a JSON object.
type members = map[string]any

// signed writes a signature as text; [signature] reads it.
func signed(signature []byte) string { return base64.StdEncoding.EncodeToString(signature) }

func refused(r *model.LLMResponse) bool { return r.CustomMetadata[RefusalKey] == true }
