package modelserver

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// chatRequest is the body of POST /v1/chat/completions. A member that is not here
// is refused by the decoder.
type chatRequest struct {
	Model          string          `json:"model"`
	Messages       []chatMessage   `json:"messages"`
	Tools          []chatTool      `json:"tools"`
	ToolChoice     jsontext.Value  `json:"tool_choice"`
	Stream         bool            `json:"stream"`
	StreamOptions  *streamOptions  `json:"stream_options"`
	MaxTokens      *int32          `json:"max_tokens"`
	MaxCompletion  *int32          `json:"max_completion_tokens"`
	Temperature    *float32        `json:"temperature"`
	TopP           *float32        `json:"top_p"`
	Seed           *int32          `json:"seed"`
	Stop           jsontext.Value  `json:"stop"`
	Presence       *float32        `json:"presence_penalty"`
	Frequency      *float32        `json:"frequency_penalty"`
	ResponseFormat *responseFormat `json:"response_format"`
	Effort         string          `json:"reasoning_effort"`

	// Only these values can be honoured; see check.
	N                 *int           `json:"n"`
	ParallelToolCalls *bool          `json:"parallel_tool_calls"`
	Logprobs          *bool          `json:"logprobs"`
	TopLogprobs       *int           `json:"top_logprobs"`
	Modalities        []string       `json:"modalities"`
	LogitBias         jsontext.Value `json:"logit_bias"`
	Functions         jsontext.Value `json:"functions"`
	FunctionCall      jsontext.Value `json:"function_call"`
	Audio             jsontext.Value `json:"audio"`
	Prediction        jsontext.Value `json:"prediction"`
	WebSearch         jsontext.Value `json:"web_search_options"`

	// Read and not passed on; the package comment lists them.
	User        jsontext.Value `json:"user"`
	Metadata    jsontext.Value `json:"metadata"`
	Store       jsontext.Value `json:"store"`
	ServiceTier jsontext.Value `json:"service_tier"`
	SafetyID    jsontext.Value `json:"safety_identifier"`
	CacheKey    jsontext.Value `json:"prompt_cache_key"`
	CacheFor    jsontext.Value `json:"prompt_cache_retention"`
	Verbosity   jsontext.Value `json:"verbosity"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
	Obfuscation  bool `json:"include_obfuscation"` // not passed on: padding
}

type chatTool struct {
	Type     string `json:"type"`
	Function *struct {
		Name        string         `json:"name"`
		Description string         `json:"description"`
		Parameters  jsontext.Value `json:"parameters"`
		Strict      jsontext.Value `json:"strict"` // not passed on
	} `json:"function"`
}

type responseFormat struct {
	Type       string `json:"type"`
	JSONSchema *struct {
		Name        string         `json:"name"`
		Description string         `json:"description"`
		Schema      jsontext.Value `json:"schema"`
		Strict      jsontext.Value `json:"strict"`
	} `json:"json_schema"`
}

// given reports whether a member says anything.
func given(v jsontext.Value) bool {
	s := strings.TrimSpace(string(v))
	return s != "" && s != "null" && s != "{}" && s != "[]"
}

// check refuses what cannot be honoured.
func (r *chatRequest) check() *problem {
	for _, m := range []struct {
		name string
		bad  bool
		why  string
	}{
		{"model", r.Model == "", "name a model"},
		{"n", r.N != nil && *r.N != 1, "one answer is given: leave it out"},
		{"parallel_tool_calls", r.ParallelToolCalls != nil && !*r.ParallelToolCalls, "the model cannot be told to make one call at a time: leave it out"},
		{"logprobs", r.Logprobs != nil && *r.Logprobs, "there are no log probabilities: leave it out"},
		{"top_logprobs", r.TopLogprobs != nil && *r.TopLogprobs != 0, "there are no log probabilities: leave it out"},
		{"modalities", len(r.Modalities) > 0 && !slices.Equal(r.Modalities, []string{"text"}), "answers are text"},
		{"logit_bias", given(r.LogitBias), "it cannot be honoured: leave it out"},
		{"functions", given(r.Functions), "use tools"},
		{"function_call", given(r.FunctionCall), "use tool_choice"},
		{"audio", given(r.Audio), "answers are text"},
		{"prediction", given(r.Prediction), "it cannot be honoured: leave it out"},
		{"web_search_options", given(r.WebSearch), "there is no web search: leave it out"},
		{"max_tokens", r.MaxTokens != nil && r.MaxCompletion != nil && *r.MaxTokens != *r.MaxCompletion, "it contradicts max_completion_tokens: send one of them"},
		{"stream_options", r.StreamOptions != nil && !r.Stream, "it is for streams only"},
	} {
		if m.bad {
			return bad(m.name, m.name+": "+m.why)
		}
	}
	return nil
}

func (openAI) decode(body []byte, _ route) (*call, *problem) {
	var r chatRequest
	if err := strictjson.Exact(body, &r); err != nil {
		return nil, bad("", "the request cannot be read: "+err.Error())
	}
	if p := r.check(); p != nil {
		return nil, p
	}
	config, p := r.config()
	if p != nil {
		return nil, p
	}
	var h history
	for i := range r.Messages {
		if p := h.add(fmt.Sprintf("messages[%d]", i), &r.Messages[i]); p != nil {
			return nil, p
		}
	}
	if p := h.answered("messages"); p != nil {
		return nil, p
	}
	if len(h.contents) == 0 {
		return nil, bad("messages", "messages: at least one that is not a system message is needed")
	}
	if len(h.system) > 0 {
		config.SystemInstruction = &genai.Content{Role: genai.RoleUser, Parts: h.system}
	}
	return &call{
		model: r.Model, stream: r.Stream, usage: r.StreamOptions != nil && r.StreamOptions.IncludeUsage,
		request: &model.LLMRequest{Contents: h.contents, Config: config},
	}, nil
}

var efforts = map[string]genai.ThinkingLevel{
	"minimal": genai.ThinkingLevelMinimal, "low": genai.ThinkingLevelLow, "medium": genai.ThinkingLevelMedium, "high": genai.ThinkingLevelHigh,
}

// config turns settings and tools into genai's.
func (r *chatRequest) config() (*genai.GenerateContentConfig, *problem) {
	c := &genai.GenerateContentConfig{
		Temperature: r.Temperature, TopP: r.TopP, Seed: r.Seed, PresencePenalty: r.Presence, FrequencyPenalty: r.Frequency,
	}
	for _, most := range []*int32{r.MaxTokens, r.MaxCompletion} {
		if most != nil && *most <= 0 {
			return nil, bad("max_completion_tokens", "max_completion_tokens: it must be over 0")
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
			return nil, bad("stop", "stop: it must be a string or an array of strings")
		}
	}
	if r.Effort == "none" {
		c.ThinkingConfig = &genai.ThinkingConfig{ThinkingBudget: new(int32)}
	} else if level, ok := efforts[r.Effort]; ok {
		c.ThinkingConfig = &genai.ThinkingConfig{ThinkingLevel: level}
	} else if r.Effort != "" {
		return nil, bad("reasoning_effort", "reasoning_effort: use none, minimal, low, medium or high")
	}
	if p := r.format(c); p != nil {
		return nil, p
	}
	return c, r.tools(c)
}

func (r *chatRequest) format(c *genai.GenerateContentConfig) *problem {
	f := r.ResponseFormat
	switch {
	case f == nil || f.Type == "text":
	case f.Type == "json_object":
		c.ResponseMIMEType = "application/json"
	case f.Type == "json_schema" && f.JSONSchema != nil && given(f.JSONSchema.Schema):
		schema, p := object("response_format", f.JSONSchema.Schema)
		if p != nil {
			return p
		}
		c.ResponseMIMEType, c.ResponseJsonSchema = "application/json", schema
	default:
		return bad("response_format", "response_format: use text, json_object, or json_schema with a schema")
	}
	return nil
}

func (r *chatRequest) tools(c *genai.GenerateContentConfig) *problem {
	var declared []*genai.FunctionDeclaration
	for i, t := range r.Tools {
		at := fmt.Sprintf("tools[%d]", i)
		if t.Type != "function" || t.Function == nil {
			return bad(at, at+": only tools of type function are served")
		}
		d := &genai.FunctionDeclaration{Name: t.Function.Name, Description: t.Function.Description}
		if len(t.Function.Parameters) > 0 && string(t.Function.Parameters) != "null" {
			schema, p := object(at+".function.parameters", t.Function.Parameters)
			if p != nil {
				return p
			}
			d.ParametersJsonSchema = schema
		}
		declared = append(declared, d)
	}
	if p := checkDeclarations("tools", declared); p != nil {
		return p
	}
	if len(declared) > 0 {
		c.Tools = []*genai.Tool{{FunctionDeclarations: declared}}
	}
	return r.choice(c, declared)
}

// choice reads tool_choice: a word, or one function's name.
func (r *chatRequest) choice(c *genai.GenerateContentConfig, declared []*genai.FunctionDeclaration) *problem {
	if !given(r.ToolChoice) {
		return nil
	}
	if len(declared) == 0 {
		return bad("tool_choice", "tool_choice: there are no tools to choose from")
	}
	f := &genai.FunctionCallingConfig{}
	var word string
	var one struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	switch {
	case strictjson.Unmarshal(r.ToolChoice, &word) == nil:
		modes := map[string]genai.FunctionCallingConfigMode{
			"auto": genai.FunctionCallingConfigModeAuto, "none": genai.FunctionCallingConfigModeNone, "required": genai.FunctionCallingConfigModeAny,
		}
		f.Mode = modes[word]
	case strictjson.Exact(r.ToolChoice, &one) == nil && one.Type == "function":
		f.Mode, f.AllowedFunctionNames = genai.FunctionCallingConfigModeAny, []string{one.Function.Name}
		if !slices.ContainsFunc(declared, func(d *genai.FunctionDeclaration) bool { return d.Name == one.Function.Name }) {
			return bad("tool_choice", "tool_choice: no tool has this name")
		}
	}
	if f.Mode == "" {
		return bad("tool_choice", "tool_choice: use auto, none, required, or one function")
	}
	c.ToolConfig = &genai.ToolConfig{FunctionCallingConfig: f}
	return nil
}

// checkDeclarations refuses tools that no call could name.
func checkDeclarations(at string, declared []*genai.FunctionDeclaration) *problem {
	seen := make(map[string]bool)
	for _, d := range declared {
		if d.Name == "" || seen[d.Name] {
			return bad(at, at+": each function needs a name of its own")
		}
		seen[d.Name] = true
	}
	return nil
}

// object decodes a JSON object.
func object(at string, text []byte) (map[string]any, *problem) {
	var m map[string]any
	if err := strictjson.Unmarshal(text, &m); err != nil || m == nil {
		return nil, bad(at, at+": it must be a JSON object")
	}
	return m, nil
}

// dataURL decodes a data: URL in base64, the only form that OpenAI takes.
func dataURL(url string) (*genai.Blob, bool) {
	head, data, ok := strings.Cut(strings.TrimPrefix(url, "data:"), ",")
	mime, isBase64 := strings.CutSuffix(head, ";base64")
	bytes, err := base64.StdEncoding.DecodeString(data)
	return &genai.Blob{MIMEType: mime, Data: bytes}, ok && isBase64 && err == nil && mime != ""
}
