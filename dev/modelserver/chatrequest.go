package modelserver

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// chatRequest is the body of POST /v1/chat/completions, as far as it is read. What
// POST /v1/responses asks is turned into one.
type chatRequest struct {
	Model         string         `json:"model"`
	Messages      []chatMessage  `json:"messages"`
	Tools         []chatTool     `json:"tools"`
	ToolChoice    jsontext.Value `json:"tool_choice"`
	Parallel      *bool          `json:"parallel_tool_calls"`
	Stream        bool           `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	MaxTokens      *int32         `json:"max_tokens"`
	MaxCompletion  *int32         `json:"max_completion_tokens"`
	Temperature    *float32       `json:"temperature"`
	TopP           *float32       `json:"top_p"`
	Seed           *int32         `json:"seed"`
	Stop           jsontext.Value `json:"stop"`
	Presence       *float32       `json:"presence_penalty"`
	Frequency      *float32       `json:"frequency_penalty"`
	ResponseFormat struct {
		Type       string `json:"type"`
		JSONSchema format `json:"json_schema"`
	} `json:"response_format"`
	Effort string                       `json:"reasoning_effort"`
	choice *genai.FunctionCallingConfig // in place of ToolChoice, for a wire that says it in another way

	// Refused: an answer without them is not what the client waits for.
	N          *int           `json:"n"`
	Logprobs   bool           `json:"logprobs"`
	Modalities []string       `json:"modalities"`
	Functions  jsontext.Value `json:"functions"`
}

type format struct {
	Schema jsontext.Value `json:"schema"`
}

type chatTool struct {
	Type     string   `json:"type"`
	Function function `json:"function"`
}

type function struct {
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Parameters  jsontext.Value `json:"parameters"`
}

// given reports whether a member says anything.
func given(v jsontext.Value) bool {
	s := strings.TrimSpace(string(v))
	return s != "" && s != "null" && s != "{}" && s != "[]"
}

// unmarshal reads a body.
func unmarshal(body []byte, r any) { readable(strictjson.Unmarshal(body, r)) }

func readable(err error) {
	if err != nil {
		reject("", "the request cannot be read: "+err.Error())
	}
}

func (chat) decode(body []byte, _ route) *call {
	var r chatRequest
	unmarshal(body, &r)
	return r.call("messages")
}

// call turns the request into the model's. list is what the wire calls the messages.
func (r *chatRequest) call(list string) *call {
	for _, m := range []struct {
		name string
		bad  bool
		why  string
	}{
		{"model", r.Model == "", "name a model"},
		{"n", r.N != nil && *r.N != 1, "one answer is given: leave it out"},
		{"logprobs", r.Logprobs, "there are no log probabilities: leave it out"},
		{"modalities", len(r.Modalities) > 0 && !slices.Equal(r.Modalities, []string{"text"}), "answers are text"},
		{"functions", given(r.Functions), "use tools"},
		{"max_tokens", r.MaxTokens != nil && r.MaxCompletion != nil && *r.MaxTokens != *r.MaxCompletion, "it contradicts max_completion_tokens: send one of them"},
	} {
		if m.bad {
			reject(m.name, m.why)
		}
	}
	config := r.config()
	contents, system := readMessages(list, r.Messages)
	if len(system) > 0 {
		config.SystemInstruction = &genai.Content{Role: genai.RoleUser, Parts: system}
	}
	return &call{
		model: r.Model, stream: r.Stream, usage: r.StreamOptions.IncludeUsage, one: r.Parallel != nil && !*r.Parallel,
		request: &model.LLMRequest{Contents: contents, Config: config},
	}
}

// config turns settings and tools into genai's.
func (r *chatRequest) config() *genai.GenerateContentConfig {
	c := &genai.GenerateContentConfig{
		Temperature: r.Temperature, TopP: r.TopP, Seed: r.Seed, PresencePenalty: r.Presence, FrequencyPenalty: r.Frequency,
	}
	for _, most := range []*int32{r.MaxTokens, r.MaxCompletion} {
		if most != nil && *most <= 0 {
			reject("max_completion_tokens", "it must be over 0")
		}
		if most != nil {
			c.MaxOutputTokens = *most
		}
	}
	if given(r.Stop) {
		var one string
		if strictjson.Unmarshal(r.Stop, &one) == nil {
			c.StopSequences = []string{one}
		} else if strictjson.Unmarshal(r.Stop, &c.StopSequences) != nil {
			reject("stop", "it must be a string or an array of strings")
		}
	}
	switch r.Effort {
	case "":
	case "none":
		c.ThinkingConfig = &genai.ThinkingConfig{ThinkingBudget: new(int32)}
	case "minimal", "low", "medium", "high":
		c.ThinkingConfig = &genai.ThinkingConfig{ThinkingLevel: genai.ThinkingLevel(strings.ToUpper(r.Effort))}
	default:
		reject("reasoning_effort", "use none, minimal, low, medium or high")
	}
	switch f := r.ResponseFormat; {
	case f.Type == "" || f.Type == "text":
	case f.Type == "json_object":
		c.ResponseMIMEType = "application/json"
	case f.Type == "json_schema" && given(f.JSONSchema.Schema):
		c.ResponseMIMEType, c.ResponseJsonSchema = "application/json", object("response_format", f.JSONSchema.Schema)
	default:
		reject("response_format", "use text, json_object, or json_schema with a schema")
	}
	r.tools(c)
	return c
}

func (r *chatRequest) tools(c *genai.GenerateContentConfig) {
	var declared []*genai.FunctionDeclaration
	for i, t := range r.Tools {
		at := fmt.Sprintf("tools[%d]", i)
		if t.Type != "function" {
			reject(at, "only tools of type function are served")
		}
		d := &genai.FunctionDeclaration{Name: t.Function.Name, Description: t.Function.Description}
		if len(t.Function.Parameters) > 0 && t.Function.Parameters.Kind() != 'n' {
			d.ParametersJsonSchema = object(at+".function.parameters", t.Function.Parameters)
		}
		declared = append(declared, d)
	}
	if len(declared) > 0 {
		c.Tools = []*genai.Tool{{FunctionDeclarations: declared}}
	}
	// A word, or one function's name; the Responses API writes it without "function".
	f := &genai.FunctionCallingConfig{}
	var word string
	var one struct {
		Type     string   `json:"type"`
		Function function `json:"function"`
		Name     string   `json:"name"`
	}
	switch {
	case r.choice != nil:
		f = r.choice
	case !given(r.ToolChoice) || len(declared) == 0 && string(r.ToolChoice) != `"required"`:
		checkTools(c)
		return
	case strictjson.Unmarshal(r.ToolChoice, &word) == nil:
		f.Mode = modes[word]
	case strictjson.Unmarshal(r.ToolChoice, &one) == nil && one.Type == "function":
		f.Mode, f.AllowedFunctionNames = genai.FunctionCallingConfigModeAny, []string{one.Function.Name + one.Name}
	}
	if f.Mode == "" {
		reject("tool_choice", "use auto, none, required, or one function")
	}
	c.ToolConfig = &genai.ToolConfig{FunctionCallingConfig: f}
	checkTools(c)
}

// modes are genai's words for OpenAI's.
var modes = map[string]genai.FunctionCallingConfigMode{
	"auto": genai.FunctionCallingConfigModeAuto, "none": genai.FunctionCallingConfigModeNone, "required": genai.FunctionCallingConfigModeAny,
}

// checkTools refuses twins among the tools, and a choice among tools that are not
// declared.
func checkTools(c *genai.GenerateContentConfig) {
	var names []string
	for _, t := range c.Tools {
		if t == nil {
			continue
		}
		for _, d := range t.FunctionDeclarations {
			if d == nil || d.Name == "" || slices.Contains(names, d.Name) {
				reject("tools", "each function needs a name of its own")
			}
			if d.Parameters != nil && d.ParametersJsonSchema != nil {
				reject("tools", "parameters and parametersJsonSchema exclude each other")
			}
			names = append(names, d.Name)
		}
	}
	f := choiceOf(c)
	for _, name := range f.AllowedFunctionNames {
		if !slices.Contains(names, name) {
			reject("tool_choice", "no tool has this name")
		}
	}
	if f.Mode == genai.FunctionCallingConfigModeAny && len(names) == 0 {
		reject("tool_choice", "there are no tools to choose from")
	}
}

// object decodes a JSON object, in which no number becomes another one.
func object(at string, text []byte) map[string]any {
	m, ok := asObject(text)
	if !ok {
		reject(at, "it must be a JSON object")
	}
	return m
}

func asObject(text []byte) (m map[string]any, ok bool) {
	err := exactly(text, &m)
	strictjson.Numbers(m)
	return m, err == nil && m != nil
}

// exactly decodes JSON strictly, with each number as it stands.
func exactly(text []byte, v any) error {
	var strict any
	if err := strictjson.Unmarshal(text, &strict); err != nil {
		return err
	}
	return strictjson.AsWritten(text, v)
}
