package modelserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"unicode/utf8"

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
func (s *Server) answer(w http.ResponseWriter, r *http.Request, llm model.LLM, c *call, out encoder) {
	ctx := r.Context()
	var sent progress
	final, err := s.run(r, llm, c, out, &sent)
	var rest []*genai.Part
	if err == nil {
		rest, err = sent.rest(final.Content)
	}
	if err == nil {
		if c.stream {
			err = out.end(final, rest)
		} else {
			err = out.whole(final)
		}
	}
	switch {
	case err == nil:
		s.log.DebugContext(ctx, "model answered", "model", c.request.Model, "finish_reason", string(final.FinishReason))
	case errors.Is(err, errWrite) || ctx.Err() != nil:
		s.log.DebugContext(ctx, "client hung up", "model", c.request.Model)
	default:
		s.log.ErrorContext(ctx, "model failed", "model", c.request.Model, "error", err)
		if !out.begun() {
			out.fail(refuse(http.StatusInternalServerError, "", "the model failed"))
			return
		}
		out.broken()
		_ = http.NewResponseController(w).Flush()
		// Without the last chunk no client takes this for a whole answer.
		panic(http.ErrAbortHandler)
	}
}

// run calls the model, passes its pieces on, and returns its last response.
func (s *Server) run(r *http.Request, llm model.LLM, c *call, out encoder, sent *progress) (final *model.LLMResponse, err error) {
	defer func() {
		if v := recover(); v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so too
			panic(v) // of the writer: the connection is to be cut
		} else if v != nil {
			s.log.ErrorContext(r.Context(), "model panicked", "model", c.request.Model, "stack", string(debug.Stack()))
			final, err = nil, fmt.Errorf("the model panicked: %v", v)
		}
	}()
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
		case !c.stream || resp.Content == nil:
			continue
		}
		for _, part := range resp.Content.Parts {
			// Calls in pieces are left to the last response, which has them whole.
			if part == nil || part.Text == "" {
				continue
			}
			if err := sent.add(part); err != nil {
				return nil, err
			}
			if err := out.delta(resp, part); err != nil {
				return nil, err
			}
		}
	}
	if final == nil {
		return nil, errNoAnswer
	}
	return final, nil
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
	var out []*genai.Part
	for _, p := range c.Parts {
		if p != nil {
			out = append(out, p)
		}
	}
	return out
}

// encode writes v as JSON on one line. Equal values give equal texts.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // what a model wrote is read by people, too
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("the model's answer cannot be written as JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// A stream writes events and flushes each.
type stream struct {
	w       http.ResponseWriter
	started bool
}

// begun reports whether the client has seen something.
func (s *stream) begun() bool { return s.started }

// send writes one event, and the header before the first.
func (s *stream) send(contentType, text string) error {
	if !s.started {
		s.started = true
		s.w.Header().Set("Content-Type", contentType)
		s.w.Header().Set("Cache-Control", "no-store")
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return errWrite
	}
	if err := http.NewResponseController(s.w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return errWrite
	}
	return nil
}
