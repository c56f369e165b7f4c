package modelserver

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
)

type chatMessage struct {
	Role       string         `json:"role"`
	Content    jsontext.Value `json:"content"`
	Refusal    string         `json:"refusal"`
	Reasoning  string         `json:"reasoning_content"`
	Signature  string         `json:"-"` // of the reasoning; the Responses API alone has it
	ToolCalls  []chatCall     `json:"tool_calls"`
	ToolCallID string         `json:"tool_call_id"`
}

type chatCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
	Extra struct {
		Google struct {
			Signature string `json:"thought_signature"`
		} `json:"google"`
	} `json:"extra_content"`
}

// history builds contents from messages, and checks that tool calls and their
// answers pair up.
type history struct {
	system   []*genai.Part
	contents []*genai.Content
	open     []*genai.FunctionCall // calls not answered yet
	answers  *genai.Content        // the answers to the last calls
}

// add appends one message. at names it in errors.
func (h *history) add(at string, m *chatMessage) *problem {
	if (len(m.ToolCalls) > 0 || m.Reasoning != "" || m.Refusal != "") && m.Role != "assistant" {
		return bad(at, at+": only an assistant calls tools, reasons or refuses")
	}
	if m.ToolCallID != "" && m.Role != "tool" {
		return bad(at, at+": tool_call_id is for messages of role tool")
	}
	content, said, p := readContent(at, m.Content)
	if p != nil {
		return p
	}
	if !said && m.Role != "assistant" {
		return bad(at, at+": it has no content")
	}
	if m.Role != "user" && slices.ContainsFunc(content, func(p *genai.Part) bool { return p.InlineData != nil || p.FileData != nil }) {
		return bad(at, at+": only a user shows images: what others say is text")
	}
	if m.Role == "tool" {
		if !h.result(m.ToolCallID, content, false) {
			return bad(at, at+": a message of role tool must answer one of the tool_calls right before it, once")
		}
		return nil
	}
	if p := h.answered(at); p != nil {
		return p
	}
	h.answers = nil
	switch m.Role {
	case "system", "developer":
		h.system = append(h.system, content...)
	case "user":
		h.contents = append(h.contents, &genai.Content{Role: genai.RoleUser, Parts: content})
	case "assistant":
		return h.assistant(at, m, content, said)
	default:
		return bad(at, at+": the role must be developer, system, user, assistant or tool")
	}
	return nil
}

func (h *history) assistant(at string, m *chatMessage, content []*genai.Part, said bool) *problem {
	if !said && len(m.ToolCalls) == 0 && m.Refusal == "" && m.Reasoning == "" {
		return bad(at, at+": it has neither content nor tool_calls")
	}
	c := &genai.Content{Role: genai.RoleModel}
	if m.Reasoning != "" || m.Signature != "" {
		c.Parts = append(c.Parts, &genai.Part{Text: m.Reasoning, Thought: true, ThoughtSignature: signature(m.Signature)})
	}
	c.Parts = append(c.Parts, content...)
	if m.Refusal != "" {
		c.Parts = append(c.Parts, &genai.Part{Text: m.Refusal})
	}
	for i, t := range m.ToolCalls {
		at := fmt.Sprintf("%s.tool_calls[%d]", at, i)
		if t.ID == "" || h.waiting(t.ID) >= 0 || t.Type != "function" || t.Function.Name == "" {
			return bad(at, at+": it needs an id of its own, the type function and a name")
		}
		call := &genai.FunctionCall{ID: t.ID, Name: t.Function.Name}
		if t.Function.Arguments != "" {
			var p *problem
			if call.Args, p = object(at+".function.arguments", []byte(t.Function.Arguments)); p != nil {
				return p
			}
		}
		h.open = append(h.open, call)
		c.Parts = append(c.Parts, &genai.Part{FunctionCall: call, ThoughtSignature: signature(t.Extra.Google.Signature)})
	}
	h.contents = append(h.contents, c)
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

func signed(signature []byte) string { return base64.StdEncoding.EncodeToString(signature) }

// waiting returns where the call with this id is among those not answered yet, or -1.
func (h *history) waiting(id string) int {
	return slices.IndexFunc(h.open, func(c *genai.FunctionCall) bool { return c.ID == id })
}

// result adds a tool's answer to those of the same turn. It returns false for one that
// answers no call of that turn, or a second time. failed marks the answer of a call
// that failed.
func (h *history) result(id string, content []*genai.Part, failed bool) bool {
	i := h.waiting(id)
	if i < 0 {
		return false
	}
	name := h.open[i].Name
	h.open = slices.Delete(h.open, i, i+1)
	text := ""
	for _, part := range content {
		text += part.Text
	}
	// Tools answer with objects here; genai's words for any other answer are these.
	answer, p := object("", []byte(text))
	switch {
	case p != nil && failed:
		answer = map[string]any{"error": text}
	case p != nil:
		answer = map[string]any{"output": text}
	}
	if h.answers == nil {
		h.answers = &genai.Content{Role: genai.RoleUser}
		h.contents = append(h.contents, h.answers)
	}
	h.answers.Parts = append(h.answers.Parts, &genai.Part{FunctionResponse: &genai.FunctionResponse{ID: id, Name: name, Response: answer}})
	return true
}

// answered refuses a history that goes on while calls wait for their answers.
func (h *history) answered(at string) *problem {
	if len(h.open) > 0 {
		return bad(at, at+": an assistant message with tool_calls must be followed by messages of role tool that answer each of them")
	}
	return nil
}

// readContent reads a string or an array of parts, as either API of OpenAI writes
// them. said is false when there is neither.
func readContent(at string, v jsontext.Value) (parts []*genai.Part, said bool, p *problem) {
	var text string
	switch v.Kind() {
	case 'n', jsontext.KindInvalid:
		return nil, false, nil
	case '"':
		if err := strictjson.Unmarshal(v, &text); err != nil {
			return nil, false, bad(at, at+": "+err.Error())
		}
		if text != "" {
			parts = append(parts, &genai.Part{Text: text})
		}
		return parts, true, nil
	}
	var list []struct {
		Type     string         `json:"type"`
		Text     *string        `json:"text"`
		Refusal  *string        `json:"refusal"`
		ImageURL jsontext.Value `json:"image_url"`
	}
	if err := strictjson.Unmarshal(v, &list); err != nil {
		return nil, false, bad(at, at+": content: "+err.Error())
	}
	for _, c := range list {
		part := (*genai.Part)(nil)
		switch c.Type {
		case "text", "input_text", "output_text":
			if c.Text != nil {
				part = &genai.Part{Text: *c.Text}
			}
		case "refusal":
			if c.Refusal != nil {
				part = &genai.Part{Text: *c.Refusal}
			}
		case "image_url", "input_image":
			part = image(c.ImageURL)
		}
		if part == nil {
			return nil, false, bad(at, at+": content: parts are text, refusals, or images with a data: URL in base64 or an http(s) URL")
		}
		parts = append(parts, part)
	}
	return parts, len(list) > 0, nil
}

// image reads an image's URL, or an object that holds it. nil means that it is not
// one that OpenAI takes.
func image(v jsontext.Value) *genai.Part {
	var at struct {
		URL string `json:"url"`
	}
	if strictjson.Unmarshal(v, &at.URL) != nil && strictjson.Unmarshal(v, &at) != nil {
		return nil
	}
	if strings.HasPrefix(at.URL, "https://") || strings.HasPrefix(at.URL, "http://") {
		return &genai.Part{FileData: &genai.FileData{FileURI: at.URL}}
	}
	head, data, _ := strings.Cut(at.URL, ",")
	mime, isBase64 := strings.CutSuffix(head, ";base64")
	mime, isData := strings.CutPrefix(mime, "data:")
	bytes, err := base64.StdEncoding.DecodeString(data)
	if !isBase64 || !isData || err != nil || !strings.HasPrefix(mime, "image/") {
		return nil
	}
	return &genai.Part{InlineData: &genai.Blob{MIMEType: mime, Data: bytes}}
}
