package modelserver

import (
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/genai"
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

// chatBlocks are the types of blocks that OpenAI's wires take.
var chatBlocks = []string{"text", "input_text", "output_text", "refusal", "image_url", "input_image"}

// read returns the contents of messages, and what the system says. list is what the
// wire calls the messages.
func readMessages(list string, messages []chatMessage) (contents []*genai.Content, system []*genai.Part) {
	h := history{rule: "an assistant message with tool_calls must be followed by messages of role tool that answer each of them"}
	for i := range messages {
		m, at := &messages[i], fmt.Sprintf("%s[%d]", list, i)
		parts := m.parts(at)
		switch m.Role {
		case "system", "developer":
			h.answered(at)
			system = append(system, parts...)
		case "user":
			h.say(at, genai.RoleUser, parts)
		case "assistant":
			h.say(at, genai.RoleModel, parts)
		case "tool":
			h.result(at, m.ToolCallID, parts, false)
		default:
			reject(at, "the role must be developer, system, user, assistant or tool")
		}
	}
	h.whole(list)
	return h.contents, system
}

// parts reads what a message says.
func (m *chatMessage) parts(at string) (parts []*genai.Part) {
	list := blocks(at, m.Content)
	model := m.Role == "assistant"
	only := len(m.ToolCalls) > 0 || m.Reasoning != "" || m.Refusal != ""
	switch {
	case only && !model:
		reject(at, "only an assistant calls tools, reasons or refuses")
	case m.ToolCallID != "" && m.Role != "tool":
		reject(at, "tool_call_id is for messages of role tool")
	case len(list) == 0 && !model:
		reject(at, "it has no content")
	case len(list) == 0 && !only:
		reject(at, "it has neither content nor tool_calls")
	}
	if m.Reasoning != "" || m.Signature != "" {
		parts = append(parts, &genai.Part{Text: m.Reasoning, Thought: true, ThoughtSignature: signature(m.Signature)})
	}
	for i := range list {
		part := list[i].part()
		switch {
		case part == nil || !slices.Contains(chatBlocks, list[i].Type):
			reject(at, "content: parts are text, refusals, or images with a data: URL in base64 or an http(s) URL")
		case m.Role != "user" && (part.InlineData != nil || part.FileData != nil):
			reject(at, "only a user shows images: what others say is text")
		case part.Text != "" || m.Content.Kind() != '"':
			parts = append(parts, part)
		}
	}
	if m.Refusal != "" {
		parts = append(parts, &genai.Part{Text: m.Refusal})
	}
	for i, t := range m.ToolCalls {
		at := fmt.Sprintf("%s.tool_calls[%d]", at, i)
		if t.Type != "function" {
			reject(at, "its type must be function")
		}
		call := &genai.FunctionCall{ID: t.ID, Name: t.Function.Name}
		if t.Function.Arguments != "" {
			call.Args = object(at+".function.arguments", []byte(t.Function.Arguments))
		}
		parts = append(parts, &genai.Part{FunctionCall: call, ThoughtSignature: signature(t.Extra.Google.Signature)})
	}
	return parts
}
