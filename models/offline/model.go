package offline

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"unicode/utf8"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// Version is what responses carry as the model's version. It changes whenever the
// same input may give another output.
const Version = "offline-3"

// Model is the offline model. Its methods may be called from many goroutines, and
// equal requests give equal responses.
type Model struct{ shelf shelf }

var _ model.LLM = (*Model)(nil)

// New returns the offline model.
func New() *Model { return &Model{} }

// Name returns "offline".
func (*Model) Name() string { return "offline" }

// GenerateContent implements [model.LLM]. It reads req and never changes it. With
// stream, a text comes in pieces marked Partial and then once more whole; calls
// come only in that last response. It fails only when ctx has ended.
func (m *Model) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		req = cmp.Or(req, &model.LLMRequest{})
		var responses []*model.LLMResponse
		next := plan(req.Contents, req.Config, &m.shelf)
		if stream {
			for piece := range pieces(next.text) {
				part := genai.NewContentFromText(piece, genai.RoleModel)
				responses = append(responses, &model.LLMResponse{Content: part, ModelVersion: Version, Partial: true})
			}
		}
		for _, r := range append(responses, response(req, next)) {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// response is the whole answer.
func response(req *model.LLMRequest, s step) *model.LLMResponse {
	content := &genai.Content{Role: genai.RoleModel}
	if s.text != "" {
		content.Parts = append(content.Parts, genai.NewPartFromText(s.text))
	}
	for _, call := range s.calls {
		content.Parts = append(content.Parts, &genai.Part{FunctionCall: call})
	}
	finish := genai.FinishReasonStop
	if s.refused { // no wire has a code for "not able to": this is how each says that a model would not
		finish = genai.FinishReasonSafety
	}
	prompt, answer := estimate(req.Contents...), estimate(content)
	if req.Config != nil {
		prompt += estimate(req.Config.SystemInstruction)
		for _, t := range req.Config.Tools {
			for i := 0; t != nil && i < len(t.FunctionDeclarations); i++ {
				if d := t.FunctionDeclarations[i]; d != nil {
					prompt += estimate(genai.NewContentFromText(d.Name+" "+d.Description, genai.RoleUser))
				}
			}
		}
	}
	return &model.LLMResponse{
		Content: content,
		UsageMetadata: &genai.GenerateContentResponseUsageMetadata{
			PromptTokenCount:     prompt,
			CandidatesTokenCount: answer,
			TotalTokenCount:      prompt + answer,
		},
		CustomMetadata: map[string]any{"token_counts": "estimated"},
		ModelVersion:   Version,
		TurnComplete:   true,
		FinishReason:   finish,
	}
}

// pieceSize is about how much text a streamed piece holds, in bytes.
const pieceSize = 48

// pieces cuts a text after spaces, or between characters where there are none. The
// pieces joined are the text.
func pieces(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for text != "" {
			n := min(pieceSize, len(text))
			for n < len(text) && n < 2*pieceSize && text[n-1] != ' ' && text[n-1] != '\n' {
				n++
			}
			for n < len(text) && !utf8.RuneStart(text[n]) {
				n++
			}
			if !yield(text[:n]) {
				return
			}
			text = text[n:]
		}
	}
}

// estimate returns about how many tokens a usual tokenizer would make of the
// contents: one for four ASCII characters, one for any other character. Nothing is
// tokenized here, so there is no true count.
func estimate(contents ...*genai.Content) int32 {
	quarters := 0 // of tokens
	count := func(s string) {
		for _, r := range s {
			quarters++
			if r >= utf8.RuneSelf {
				quarters += 3
			}
		}
	}
	countJSON := func(name string, v map[string]any) {
		count(name)
		if text, err := json.Marshal(v); err == nil {
			count(string(text))
		}
	}
	for _, c := range contents {
		for i := 0; c != nil && i < len(c.Parts); i++ {
			switch p := c.Parts[i]; {
			case p == nil:
			case p.FunctionCall != nil:
				countJSON(p.FunctionCall.Name, p.FunctionCall.Args)
			case p.FunctionResponse != nil:
				countJSON(p.FunctionResponse.Name, p.FunctionResponse.Response)
			default:
				count(p.Text)
			}
		}
	}
	return int32(min(quarters/4, 1<<30))
}
