package modelserver

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
)

type chatMessage struct {
	Role         string         `json:"role"`
	Content      jsontext.Value `json:"content"`
	Name         string         `json:"name"` // not passed on
	Refusal      string         `json:"refusal"`
	Reasoning    string         `json:"reasoning_content"`
	ToolCalls    []chatCall     `json:"tool_calls"`
	ToolCallID   string         `json:"tool_call_id"`
	FunctionCall jsontext.Value `json:"function_call"`
	Audio        jsontext.Value `json:"audio"`
	Annotations  jsontext.Value `json:"annotations"` // clients send back whole answers
}

type chatCall struct {
	Index    *int   `json:"index"` // clients send back what they assembled from a stream
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type chatPart struct {
	Type     string  `json:"type"`
	Text     *string `json:"text"`
	Refusal  *string `json:"refusal"`
	ImageURL *struct {
		URL    string `json:"url"`
		Detail string `json:"detail"` // not passed on
	} `json:"image_url"`
}

// history builds contents from messages, and checks that tool calls and their
// answers pair up.
type history struct {
	system   []*genai.Part
	contents []*genai.Content
	order    []string          // ids of calls not answered yet
	open     map[string]string // the same, with the names of their functions
	answers  *genai.Content    // the answers to the last calls
}

// add appends one message. at names it in errors.
func (h *history) add(at string, m *chatMessage) *problem {
	if given(m.FunctionCall) || given(m.Audio) {
		return bad(at, at+": function_call and audio are not served: use tool_calls and text")
	}
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
	if m.Role == "tool" {
		return h.result(at, m, content, said)
	}
	if p := h.answered(at); p != nil {
		return p
	}
	h.answers = nil
	switch m.Role {
	case "system", "developer":
		for _, part := range content {
			if part.InlineData != nil || part.FileData != nil {
				return bad(at, at+": a system message is text")
			}
		}
		h.system = append(h.system, content...)
		return nil
	case "user":
		if !said {
			return bad(at, at+": it has no content")
		}
		h.contents = append(h.contents, &genai.Content{Role: genai.RoleUser, Parts: content})
		return nil
	case "assistant":
		return h.assistant(at, m, content, said)
	}
	return bad(at, at+": the role must be developer, system, user, assistant or tool")
}

func (h *history) assistant(at string, m *chatMessage, content []*genai.Part, said bool) *problem {
	if !said && len(m.ToolCalls) == 0 && m.Refusal == "" && m.Reasoning == "" {
		return bad(at, at+": it has neither content nor tool_calls")
	}
	c := &genai.Content{Role: genai.RoleModel}
	if m.Reasoning != "" {
		c.Parts = append(c.Parts, &genai.Part{Text: m.Reasoning, Thought: true})
	}
	c.Parts = append(c.Parts, content...)
	if m.Refusal != "" {
		c.Parts = append(c.Parts, &genai.Part{Text: m.Refusal})
	}
	h.open = make(map[string]string)
	for i, t := range m.ToolCalls {
		at := fmt.Sprintf("%s.tool_calls[%d]", at, i)
		_, twice := h.open[t.ID]
		if t.ID == "" || twice || t.Type != "function" || t.Function.Name == "" {
			return bad(at, at+": it needs an id of its own, the type function and a name")
		}
		var args map[string]any
		if t.Function.Arguments != "" {
			var p *problem
			if args, p = object(at+".function.arguments", []byte(t.Function.Arguments)); p != nil {
				return p
			}
		}
		h.open[t.ID] = t.Function.Name
		h.order = append(h.order, t.ID)
		c.Parts = append(c.Parts, &genai.Part{FunctionCall: &genai.FunctionCall{ID: t.ID, Name: t.Function.Name, Args: args}})
	}
	h.contents = append(h.contents, c)
	return nil
}

// result adds a tool's answer to those of the same turn.
func (h *history) result(at string, m *chatMessage, content []*genai.Part, said bool) *problem {
	name, ok := h.open[m.ToolCallID]
	if !ok {
		return bad(at, at+": a message of role tool must answer one of the tool_calls right before it, once")
	}
	if !said {
		return bad(at, at+": it has no content")
	}
	delete(h.open, m.ToolCallID)
	var text strings.Builder
	for _, part := range content {
		if part.InlineData != nil || part.FileData != nil {
			return bad(at, at+": a tool's answer is text")
		}
		text.WriteString(part.Text)
	}
	// Tools answer with objects here; genai's word for any other answer is "output".
	answer, p := object(at, []byte(text.String()))
	if p != nil {
		answer = map[string]any{"output": text.String()}
	}
	if h.answers == nil {
		h.answers = &genai.Content{Role: genai.RoleUser}
		h.contents = append(h.contents, h.answers)
	}
	h.answers.Parts = append(h.answers.Parts, &genai.Part{FunctionResponse: &genai.FunctionResponse{ID: m.ToolCallID, Name: name, Response: answer}})
	return nil
}

// answered refuses a history that goes on while calls wait for their answers.
func (h *history) answered(at string) *problem {
	for _, id := range h.order {
		if _, waiting := h.open[id]; waiting {
			return bad(at, at+": an assistant message with tool_calls must be followed by messages of role tool that answer each of them")
		}
	}
	h.order = nil
	return nil
}

// readContent reads a string or an array of parts. said is false when there is
// neither.
func readContent(at string, v jsontext.Value) (parts []*genai.Part, said bool, p *problem) {
	var text string
	var list []chatPart
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
	if err := strictjson.Exact(v, &list); err != nil {
		return nil, false, bad(at, at+": content: "+err.Error())
	}
	for _, c := range list {
		part, ok := c.part()
		if !ok {
			return nil, false, bad(at, at+": content: parts are text, refusal, or image_url with a data: URL in base64 or an http(s) URL")
		}
		parts = append(parts, part)
	}
	return parts, len(list) > 0, nil
}

func (c *chatPart) part() (*genai.Part, bool) {
	switch {
	case c.Type == "text" && c.Text != nil:
		return &genai.Part{Text: *c.Text}, true
	case c.Type == "refusal" && c.Refusal != nil:
		return &genai.Part{Text: *c.Refusal}, true
	case c.Type == "image_url" && c.ImageURL != nil:
		if blob, ok := dataURL(c.ImageURL.URL); ok && strings.HasPrefix(blob.MIMEType, "image/") {
			return &genai.Part{InlineData: blob}, true
		}
		if strings.HasPrefix(c.ImageURL.URL, "https://") || strings.HasPrefix(c.ImageURL.URL, "http://") {
			return &genai.Part{FileData: &genai.FileData{FileURI: c.ImageURL.URL}}, true
		}
	}
	return nil, false
}
