package modelserver

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// messagesRequest is the body of POST /v1/messages, as far as it is read.
type messagesRequest struct {
	Model         string         `json:"model"`
	MaxTokens     int32          `json:"max_tokens"`
	System        jsontext.Value `json:"system"`
	Messages      []messagesTurn `json:"messages"`
	Stream        bool           `json:"stream"`
	Temperature   *float32       `json:"temperature"`
	TopP          *float32       `json:"top_p"`
	TopK          *float32       `json:"top_k"`
	StopSequences jsontext.Value `json:"stop_sequences"`
	Tools         []struct {
		Type        string         `json:"type"`
		Name        string         `json:"name"`
		Description string         `json:"description"`
		Schema      jsontext.Value `json:"input_schema"`
	} `json:"tools"`
	ToolChoice struct {
		Type string `json:"type"`
		Name string `json:"name"`
		One  bool   `json:"disable_parallel_tool_use"`
	} `json:"tool_choice"`
	Thinking struct {
		Type    string `json:"type"`
		Budget  *int32 `json:"budget_tokens"`
		Display string `json:"display"`
	} `json:"thinking"`
	Output struct {
		Effort string `json:"effort"`
		Format struct {
			Type string `json:"type"`
			format
		} `json:"format"`
	} `json:"output_config"`
}

type messagesTurn struct {
	Role    string         `json:"role"`
	Content jsontext.Value `json:"content"`
}

// messagesBlock is one block of a message's content.
type messagesBlock struct {
	Type      string         `json:"type"`
	Text      string         `json:"text"`
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
		Data      []byte `json:"data"`
		URL       string `json:"url"`
	} `json:"source"`
}

func (messages) decode(body []byte, _ route) (*call, *problem) {
	var r messagesRequest
	if err := strictjson.Unmarshal(body, &r); err != nil {
		return nil, bad("", "the request cannot be read: "+err.Error())
	}
	switch {
	case r.Model == "":
		return nil, bad("", "model: name a model")
	case r.MaxTokens <= 0:
		return nil, bad("", "max_tokens: it must be over 0")
	}
	config, p := r.config()
	if p != nil {
		return nil, p
	}
	var h history
	for i := range r.Messages {
		if p := h.turn(fmt.Sprintf("messages[%d]", i), &r.Messages[i]); p != nil {
			return nil, p
		}
	}
	if p := h.resulted("messages"); p != nil {
		return nil, p
	}
	if len(h.contents) == 0 {
		return nil, bad("", "messages: at least one is needed")
	}
	return &call{model: r.Model, stream: r.Stream, one: r.ToolChoice.One, request: &model.LLMRequest{Contents: h.contents, Config: config}}, nil
}

// blocks reads a string or an array of blocks.
func blocks(at string, v jsontext.Value) (list []messagesBlock, p *problem) {
	var text string
	if v.Kind() == '"' && strictjson.Unmarshal(v, &text) == nil {
		return []messagesBlock{{Type: "text", Text: text}}, nil
	}
	if err := strictjson.Unmarshal(v, &list); err != nil {
		return nil, bad("", at+": content: it must be a string or an array of blocks")
	}
	return list, nil
}

// texts reads what may hold nothing but text.
func texts(at string, v jsontext.Value) (out []*genai.Part, p *problem) {
	if !given(v) {
		return nil, nil
	}
	list, p := blocks(at, v)
	for _, b := range list {
		if b.Type != "text" {
			return nil, bad("", at+": it may hold text only")
		}
		out = append(out, &genai.Part{Text: b.Text})
	}
	return out, p
}

// turn appends one message of this wire. at names it in errors.
func (h *history) turn(at string, m *messagesTurn) *problem {
	list, p := blocks(at, m.Content)
	switch {
	case p != nil:
		return p
	case len(list) == 0:
		return bad("", at+": it has no content")
	case m.Role != "user" && m.Role != "assistant":
		return bad("", at+": the role must be user or assistant")
	}
	h.answers = nil
	said := &genai.Content{Role: genai.RoleUser}
	if m.Role == "assistant" {
		said.Role = genai.RoleModel
		if p := h.resulted(at); p != nil {
			return p
		}
	}
	for i := range list {
		b, at := &list[i], fmt.Sprintf("%s.content[%d]", at, i)
		if b.Type == "tool_result" && m.Role == "user" {
			content, p := texts(at, b.Content)
			if p != nil {
				return p
			}
			if !h.result(b.ToolUseID, content, b.IsError) {
				return bad("", at+": a tool_result must answer one of the tool_use blocks of the message right before, once, and stand before any text")
			}
			continue
		}
		if m.Role == "user" {
			if p := h.resulted(at); p != nil {
				return p
			}
		}
		part, p := h.part(at, m.Role, b)
		if p != nil {
			return p
		}
		said.Parts = append(said.Parts, part)
	}
	if len(said.Parts) > 0 {
		h.contents = append(h.contents, said)
	}
	return nil
}

// part reads a block that is no result.
func (h *history) part(at, role string, b *messagesBlock) (*genai.Part, *problem) {
	switch role + " " + b.Type {
	case "user text", "assistant text":
		if b.Text == "" {
			return nil, bad("", at+": its text is empty")
		}
		return &genai.Part{Text: b.Text}, nil
	case "user image":
		switch s := b.Source; {
		case s.Type == "base64" && len(s.Data) > 0 && strings.HasPrefix(s.MediaType, "image/"):
			return &genai.Part{InlineData: &genai.Blob{MIMEType: s.MediaType, Data: s.Data}}, nil
		case s.Type == "url" && s.URL != "":
			return &genai.Part{FileData: &genai.FileData{FileURI: s.URL}}, nil
		}
		return nil, bad("", at+": an image has a source of type base64 or url")
	case "assistant thinking":
		return &genai.Part{Text: b.Thinking, Thought: true, ThoughtSignature: signature(b.Signature)}, nil
	case "assistant redacted_thinking":
		return &genai.Part{Thought: true, ThoughtSignature: signature(b.Data)}, nil
	case "assistant tool_use":
		if b.ID == "" || h.waiting(b.ID) >= 0 || b.Name == "" {
			return nil, bad("", at+": it needs an id of its own and a name")
		}
		args, p := object(at+".input", b.Input)
		if p != nil {
			return nil, p
		}
		call := &genai.FunctionCall{ID: b.ID, Name: b.Name, Args: args}
		h.open = append(h.open, call)
		return &genai.Part{FunctionCall: call}, nil
	}
	return nil, bad("", at+": blocks are text; of a user image and tool_result; of an assistant thinking, redacted_thinking and tool_use")
}

// resulted refuses a history that goes on while calls wait for their results.
func (h *history) resulted(at string) *problem {
	if len(h.open) > 0 {
		return bad("", at+": a message with tool_use blocks must be followed by one that begins with their tool_results")
	}
	return nil
}

// config turns settings and tools into genai's, by way of chat completions.
func (r *messagesRequest) config() (*genai.GenerateContentConfig, *problem) {
	asked := chatRequest{MaxTokens: &r.MaxTokens, Temperature: r.Temperature, TopP: r.TopP, Stop: r.StopSequences, Effort: r.Output.Effort}
	if asked.Effort == "xhigh" || asked.Effort == "max" {
		asked.Effort = "high" // there is nothing above it
	}
	asked.ResponseFormat.Type, asked.ResponseFormat.JSONSchema = r.Output.Format.Type, r.Output.Format.format
	for i, t := range r.Tools {
		if t.Type != "" && t.Type != "custom" || t.Schema.Kind() != '{' {
			return nil, bad("", fmt.Sprintf("tools[%d]: only the caller's own tools are served: of type custom, with an input_schema", i))
		}
		asked.Tools = append(asked.Tools, chatTool{"function", function{t.Name, t.Description, t.Schema}})
	}
	switch c := r.ToolChoice; c.Type {
	case "":
	case "auto", "none":
		asked.ToolChoice = jsontext.Value(`"` + c.Type + `"`)
	case "any":
		asked.ToolChoice = jsontext.Value(`"required"`)
	case "tool":
		name, err := jsontext.AppendQuote(nil, c.Name)
		if err != nil {
			return nil, bad("", "tool_choice: no tool has this name")
		}
		asked.ToolChoice = jsontext.Value(`{"type":"function","name":` + string(name) + `}`)
	default:
		return nil, bad("", "tool_choice: use auto, any, none or tool")
	}
	c, p := asked.config()
	if p != nil {
		return nil, p
	}
	c.TopK = r.TopK
	system, p := texts("system", r.System)
	if p != nil {
		return nil, p
	}
	if len(system) > 0 {
		c.SystemInstruction = &genai.Content{Role: genai.RoleUser, Parts: system}
	}
	if t := r.Thinking; t.Type != "" {
		if c.ThinkingConfig == nil {
			c.ThinkingConfig = &genai.ThinkingConfig{}
		}
		c.ThinkingConfig.IncludeThoughts, c.ThinkingConfig.ThinkingBudget = t.Type == "enabled" || t.Display == "summarized", t.Budget
		if t.Type == "disabled" {
			c.ThinkingConfig.ThinkingBudget = new(int32)
		}
	}
	return c, nil
}
