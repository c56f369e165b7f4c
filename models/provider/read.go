package provider

import (
	"cmp"
	"context"
	"iter"
	"strings"
	"sync/atomic"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// Read returns llm with its answers read for what a server leaves in the text that has
// no parser for its model. Thoughts between tags are thoughts. An answer that calls a
// declared tool in words, and makes no other call, is an error of to: nothing was done.
// Streamed and whole, one text gives the same answer. In a stream, text that may begin a
// call is held back, 16 KiB of it at most.
//
// The result is as safe for concurrent use as llm is. It changes the responses that llm
// yields, and nothing of requests.
func Read(llm model.LLM, to Target) model.LLM { return &reader{LLM: llm, to: to} }

type reader struct {
	model.LLM
	to Target
	// startless says that the server was seen to send thoughts without a start tag: then
	// nothing is shown before it is known what it is.
	startless atomic.Bool
}

// GenerateContent implements [model.LLM].
func (r *reader) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		to := r.to
		to.Model = cmp.Or(req.Model, to.Model)
		shown := pieces{splitter: splitter{hold: r.startless.Load()}}
		for _, d := range declarations(req.Config) {
			shown.tools = append(shown.tools, d.Name)
		}
		for resp, err := range r.LLM.GenerateContent(ctx, req, stream) {
			switch {
			case err != nil:
			case resp.Partial:
				if resp.Content = shown.of(resp.Content); resp.Content == nil {
					continue
				}
			default:
				if err = r.final(resp, to, shown.tools); err != nil {
					resp = nil
				} else if stream && !shown.rest(yield) {
					return
				}
			}
			if !yield(resp, err) {
				return
			}
		}
	}
}

// final reads a whole answer.
func (r *reader) final(resp *model.LLMResponse, to Target, tools tools) error {
	if resp.Content == nil {
		return nil
	}
	var parts []*genai.Part
	var said strings.Builder
	calls := false
	for _, p := range resp.Content.Parts {
		if !spoken(p) {
			parts, calls = append(parts, p), calls || p != nil && p.FunctionCall != nil
			continue
		}
		var s splitter
		text, thought := s.split(p.Text, true)
		if s.late {
			r.startless.Store(true)
		}
		said.WriteString(text)
		parts = append(parts, parted(p, text, thought)...)
	}
	if !calls {
		if name := tools.called(said.String()); name != "" {
			return to.written(name)
		}
	}
	if len(parts) == 0 && len(resp.Content.Parts) > 0 && resp.FinishReason == genai.FinishReasonStop {
		return to.Fail(NoAnswer, nil)
	}
	resp.Content.Parts = parts
	return nil
}

// spoken reports whether p is text, and no thought.
func spoken(p *genai.Part) bool { return p != nil && p.Text != "" && !p.Thought }

// parted returns what p is when its text is in part a thought.
func parted(p *genai.Part, text, thought string) (parts []*genai.Part) {
	if text == p.Text && thought == "" {
		return []*genai.Part{p}
	}
	if parts = Spoken(thought, text); len(parts) > 0 {
		parts[0].ThoughtSignature = p.ThoughtSignature
	}
	return parts
}

// Spoken returns a thought and a text as parts of an answer, neither of them where it is
// empty.
func Spoken(thought, text string) (parts []*genai.Part) {
	if thought != "" {
		parts = append(parts, &genai.Part{Text: thought, Thought: true})
	}
	if text != "" {
		parts = append(parts, &genai.Part{Text: text})
	}
	return parts
}

// pieces are what a stream shows.
type pieces struct {
	splitter splitter
	tools    tools
	held     string // text that may begin a call
	within   bool   // the text is within a line that begins none
}

// of returns what of a piece may be shown, nil for nothing.
func (s *pieces) of(c *genai.Content) *genai.Content {
	if c == nil {
		return nil
	}
	var parts []*genai.Part
	for _, p := range c.Parts {
		if !spoken(p) {
			parts = append(parts, p)
			continue
		}
		text, thought := s.splitter.split(p.Text, false)
		parts = append(parts, parted(p, s.pass(text, false), thought)...)
	}
	if len(parts) == 0 {
		return nil
	}
	c.Parts = parts
	return c
}

// rest yields what was held back of an answer that calls nothing in words, and reports
// whether to go on.
func (s *pieces) rest(yield func(*model.LLMResponse, error) bool) bool {
	text, thought := s.splitter.split("", true)
	parts := parted(&genai.Part{}, s.pass(text, true), thought)
	if len(parts) == 0 || parts[0].Text == "" {
		return true
	}
	return yield(&model.LLMResponse{Partial: true, Content: genai.NewContentFromParts(parts, genai.RoleModel)}, nil)
}

// pass returns what of the text so far begins no call.
func (s *pieces) pass(text string, last bool) string {
	const most = 16 << 10
	if len(s.tools) == 0 {
		return text
	}
	all := s.held + text
	from := 0
	for from < len(all) {
		if !s.within {
			from = len(all) - len(strings.TrimLeft(all[from:], " \t\r\n"))
			if rest := all[from:]; !last && rest != "" && len(rest) <= most {
				if r := s.tools.read(rest); r.name != "" || r.open {
					break
				}
			}
			s.within = from < len(all)
			continue
		}
		line, _, ended := strings.Cut(all[from:], "\n")
		from += len(line)
		s.within = !ended
	}
	s.held = all[from:]
	return all[:from]
}
