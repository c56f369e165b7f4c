package modelserver

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// history builds contents from messages, and checks that each tool call is answered
// right after it.
type history struct {
	rule     string // the wire's words for that
	contents []*genai.Content
	open     []*genai.FunctionCall // calls not answered yet
	answers  *genai.Content        // the answers to the last calls
}

// say appends what a user or the model says. at names it in errors.
func (h *history) say(at, role string, parts []*genai.Part) {
	h.answered(at)
	for _, part := range parts {
		f := part.FunctionCall
		if f == nil {
			continue
		}
		if f.ID == "" || f.Name == "" || h.waiting(f.ID) >= 0 {
			reject(at, "a call needs a name, and an id of its own")
		}
		h.open = append(h.open, f)
	}
	h.answers = nil
	h.contents = append(h.contents, &genai.Content{Role: role, Parts: parts})
}

// answered refuses a history that goes on while calls wait for their answers.
func (h *history) answered(at string) {
	if len(h.open) > 0 {
		reject(at, h.rule)
	}
}

// whole refuses a history that ends too early.
func (h *history) whole(at string) {
	if len(h.contents) == 0 {
		reject(at, "at least one that is not a system message is needed")
	}
	h.answered(at)
}

// waiting returns where the call with this id is among those not answered yet, or -1.
func (h *history) waiting(id string) int {
	return slices.IndexFunc(h.open, func(c *genai.FunctionCall) bool { return c.ID == id })
}

// take returns the call with this id, which is answered now, or nil.
func (h *history) take(id string) *genai.FunctionCall {
	i := h.waiting(id)
	if i < 0 {
		return nil
	}
	call := h.open[i]
	h.open = slices.Delete(h.open, i, i+1)
	return call
}

// result adds a tool's answer to those of the same turn. failed marks the answer of a
// call that failed.
func (h *history) result(at, id string, content []*genai.Part, failed bool) {
	call := h.take(id)
	if call == nil {
		reject(at, "a tool's answer must answer one of the calls right before it, once")
	}
	text := ""
	for _, part := range content {
		text += part.Text
	}
	// Tools answer with objects here; genai's words for any other answer are these.
	answer, ok := asObject([]byte(text))
	switch {
	case !ok && failed:
		answer = map[string]any{"error": text}
	case !ok:
		answer = map[string]any{"output": text}
	}
	if h.answers == nil {
		h.answers = &genai.Content{Role: genai.RoleUser}
		h.contents = append(h.contents, h.answers)
	}
	h.answers.Parts = append(h.answers.Parts, &genai.Part{FunctionResponse: &genai.FunctionResponse{ID: id, Name: call.Name, Response: answer}})
}

// A block is a part of a message on the wires of OpenAI and Anthropic, which takes those
// types that it knows.
type block struct {
	Type      string         `json:"type"`
	Text      *string        `json:"text"`
	Refusal   *string        `json:"refusal"`
	ImageURL  jsontext.Value `json:"image_url"`
	Thinking  string         `json:"thinking"`
	Signature string         `json:"signature"`
	Data      string         `json:"data"`
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Input     jsontext.Value `json:"input"`
	ToolUseID string         `json:"tool_use_id"`
	Content   jsontext.Value `json:"content"`
	IsError   bool           `json:"is_error"`
	Source    struct {
		Type      string `json:"type"`
		MediaType string `json:"media_type"`
		Data      string `json:"data"`
		URL       string `json:"url"`
	} `json:"source"`
}

// blocks reads a content: nothing, a string, or an array.
func blocks(at string, v jsontext.Value) (list []block) {
	if !given(v) {
		return nil
	}
	var err error
	if v.Kind() == '"' {
		list = []block{{Type: "text"}}
		err = strictjson.Unmarshal(v, &list[0].Text)
	} else {
		err = strictjson.Unmarshal(v, &list)
	}
	if err != nil {
		reject(at, "content: it must be a string or an array of blocks: "+err.Error())
	}
	return list
}

// part reads a block that holds one thing to say, or returns nil.
func (b *block) part() *genai.Part {
	switch b.Type {
	case "text", "input_text", "output_text":
		if b.Text != nil {
			return &genai.Part{Text: *b.Text}
		}
	case "refusal":
		if b.Refusal != nil {
			return &genai.Part{Text: *b.Refusal}
		}
	case "image_url", "input_image":
		var at struct {
			URL string `json:"url"`
		}
		if strictjson.Unmarshal(b.ImageURL, &at.URL) != nil && strictjson.Unmarshal(b.ImageURL, &at) != nil {
			return nil
		}
		head, data, isData := strings.Cut(at.URL, ";base64,")
		if mime, ok := strings.CutPrefix(head, "data:"); ok && isData {
			return image(mime, data, "")
		}
		return image("", "", at.URL)
	case "image":
		return image(b.Source.MediaType, b.Source.Data, b.Source.URL)
	case "thinking":
		return &genai.Part{Text: b.Thinking, Thought: true, ThoughtSignature: signature(b.Signature)}
	case "redacted_thinking":
		return &genai.Part{Thought: true, ThoughtSignature: signature(b.Data)}
	case "tool_use":
		if args, ok := asObject(b.Input); ok {
			return &genai.Part{FunctionCall: &genai.FunctionCall{ID: b.ID, Name: b.Name, Args: args}}
		}
	}
	return nil
}

// image is one in base64, or an address of one. nil means that it is neither.
func image(mime, data, url string) *genai.Part {
	if strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://") {
		return &genai.Part{FileData: &genai.FileData{FileURI: url}}
	}
	if b, err := base64.StdEncoding.DecodeString(data); err == nil && len(b) > 0 && strings.HasPrefix(mime, "image/") {
		return &genai.Part{InlineData: &genai.Blob{MIMEType: mime, Data: b}}
	}
	return nil
}

// signature reads what the server wrote with [signed]. What another server wrote is
// kept as it stands.
func signature(s string) []byte {
	if s == "" {
		return nil
	}
	if b, err := base64.StdEncoding.DecodeString(s); err == nil {
		return b
	}
	return []byte(s)
}
