package modelserver

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// messagesRequest is the body of POST /v1/messages, as far as it is read.
type messagesRequest struct {
	Model     string         `json:"model"`
	MaxTokens int32          `json:"max_tokens"`
	System    jsontext.Value `json:"system"`
	Messages  []struct {
		Role    string         `json:"role"`
		Content jsontext.Value `json:"content"`
	} `json:"messages"`
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

func (messages) decode(body []byte, _ route) *call {
	var r messagesRequest
	unmarshal(body, &r)
	switch {
	case r.Model == "":
		reject("model", "name a model")
	case r.MaxTokens <= 0:
		reject("max_tokens", "it must be over 0")
	}
	config := r.config()
	h := history{rule: "a message with tool_use blocks must be followed by one that begins with their tool_results"}
	for i, m := range r.Messages {
		h.turn(fmt.Sprintf("messages[%d]", i), m.Role, m.Content)
	}
	h.whole("messages")
	return &call{model: r.Model, stream: r.Stream, one: r.ToolChoice.One, request: &model.LLMRequest{Contents: h.contents, Config: config}}
}

// texts reads what may hold nothing but text.
func texts(at string, v jsontext.Value) (out []*genai.Part) {
	for _, b := range blocks(at, v) {
		if b.Type != "text" || b.Text == nil {
			reject(at, "it may hold text only")
		}
		out = append(out, &genai.Part{Text: *b.Text})
	}
	return out
}

// messageBlocks are the types of blocks that Anthropic's wire takes, besides results.
var messageBlocks = map[string][]string{
	"user": {"text", "image"}, "assistant": {"text", "thinking", "redacted_thinking", "tool_use"},
}

// turn appends one message of this wire. at names it in errors.
func (h *history) turn(at, role string, content jsontext.Value) {
	list, known := blocks(at, content), messageBlocks[role]
	switch {
	case len(list) == 0:
		reject(at, "it has no content")
	case known == nil:
		reject(at, "the role must be user or assistant")
	}
	var said []*genai.Part
	for i := range list {
		b, at := &list[i], fmt.Sprintf("%s.content[%d]", at, i)
		if b.Type == "tool_result" && role == "user" {
			content := texts(at, b.Content)
			if len(said) > 0 {
				h.answered(at) // results stand before any text
			}
			h.result(at, b.ToolUseID, content, b.IsError)
			continue
		}
		part := b.part()
		switch {
		case !slices.Contains(known, b.Type):
			reject(at, "blocks are text; of a user image and tool_result; of an assistant thinking, redacted_thinking and tool_use")
		case part == nil || b.Type == "text" && part.Text == "":
			reject(at, "text may not be empty, an image has a source of type base64 or url, and a tool_use an input, a JSON object")
		}
		said = append(said, part)
	}
	if role == "assistant" {
		role = genai.RoleModel
	}
	if len(said) > 0 {
		h.say(at, role, said)
	}
}

// config turns settings and tools into genai's, by way of chat completions.
func (r *messagesRequest) config() *genai.GenerateContentConfig {
	asked := chatRequest{MaxTokens: &r.MaxTokens, Temperature: r.Temperature, TopP: r.TopP, Stop: r.StopSequences, Effort: r.Output.Effort}
	if asked.Effort == "xhigh" || asked.Effort == "max" {
		asked.Effort = "high" // there is nothing above it
	}
	asked.ResponseFormat.Type, asked.ResponseFormat.JSONSchema = r.Output.Format.Type, r.Output.Format.format
	for i, t := range r.Tools {
		if t.Type != "" && t.Type != "custom" || t.Schema.Kind() != '{' {
			reject("", fmt.Sprintf("tools[%d]: only the caller's own tools are served: of type custom, with an input_schema", i))
		}
		asked.Tools = append(asked.Tools, chatTool{"function", function{t.Name, t.Description, t.Schema}})
	}
	switch c := r.ToolChoice; c.Type {
	case "":
	case "auto", "none":
		asked.choice = &genai.FunctionCallingConfig{Mode: modes[c.Type]}
	case "any":
		asked.choice = &genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAny}
	case "tool":
		asked.choice = &genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAny, AllowedFunctionNames: []string{c.Name}}
	default:
		reject("tool_choice", "use auto, any, none or tool")
	}
	c := asked.config()
	c.TopK = r.TopK
	if system := texts("system", r.System); len(system) > 0 {
		c.SystemInstruction = &genai.Content{Role: genai.RoleUser, Parts: system}
	}
	if t := r.Thinking; t.Type != "" {
		c.ThinkingConfig = cmp.Or(c.ThinkingConfig, &genai.ThinkingConfig{})
		c.ThinkingConfig.IncludeThoughts, c.ThinkingConfig.ThinkingBudget = t.Type == "enabled" || t.Display == "summarized", t.Budget
		if t.Type == "disabled" {
			c.ThinkingConfig.ThinkingBudget = new(int32)
		}
	}
	return c
}
