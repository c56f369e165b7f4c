package modelserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// generateRequest is the body of generateContent, as far as it is read: in genai's
// own types, which are those of the wire.
type generateRequest struct {
	Contents      []*geminiContent       `json:"contents"`
	System        *geminiContent         `json:"systemInstruction"`
	Tools         []*genai.Tool          `json:"tools"`
	ToolConfig    *genai.ToolConfig      `json:"toolConfig"`
	Settings      genai.GenerationConfig `json:"generationConfig"`
	Safety        []*genai.SafetySetting `json:"safetySettings"`
	Labels        map[string]string      `json:"labels"`
	CachedContent string                 `json:"cachedContent"` // refused
}

type geminiContent struct {
	Role  string        `json:"role"`
	Parts []*geminiPart `json:"parts"`
}

// geminiPart is a part of which is known whether it holds a text.
type geminiPart struct {
	genai.Part
	Text *string `json:"text"`
}

func (gemini) decode(body []byte, to route) *call {
	var r generateRequest
	var names any
	readable(exactly(body, &names))
	body, err := json.Marshal(camelNames(names, "", ""))
	readable(err)
	unmarshal(body, &r)
	if r.CachedContent != "" {
		reject("cachedContent", "nothing is cached here: send the contents")
	}
	config := r.config()
	if r.System != nil {
		config.SystemInstruction = r.System.read("systemInstruction")
		config.SystemInstruction.Role = genai.RoleUser // what the client calls it says nothing
		if slices.ContainsFunc(r.System.Parts, func(p *geminiPart) bool { return p.Text == nil }) {
			reject("systemInstruction", "its parts are text")
		}
	}
	return &call{model: to.model, request: &model.LLMRequest{Contents: readContents(r.Contents), Config: config}, stream: to.op == opStream}
}

// config turns settings and tools into genai's.
func (r *generateRequest) config() *genai.GenerateContentConfig {
	s := &r.Settings
	c := &genai.GenerateContentConfig{
		Tools: r.Tools, ToolConfig: r.ToolConfig, SafetySettings: r.Safety, Labels: r.Labels,
		Temperature: s.Temperature, TopP: s.TopP, TopK: s.TopK, Seed: s.Seed, CandidateCount: s.CandidateCount,
		MaxOutputTokens: s.MaxOutputTokens, StopSequences: s.StopSequences, PresencePenalty: s.PresencePenalty, FrequencyPenalty: s.FrequencyPenalty,
		ResponseMIMEType: s.ResponseMIMEType, ResponseSchema: s.ResponseSchema, ResponseJsonSchema: s.ResponseJsonSchema, ThinkingConfig: s.ThinkingConfig,
	}
	modes := []genai.FunctionCallingConfigMode{
		"", genai.FunctionCallingConfigModeUnspecified, genai.FunctionCallingConfigModeAuto, genai.FunctionCallingConfigModeAny,
		genai.FunctionCallingConfigModeNone, genai.FunctionCallingConfigModeValidated,
	}
	switch {
	case s.CandidateCount > 1:
		reject("generationConfig.candidateCount", "one answer is given")
	case s.MaxOutputTokens < 0:
		reject("generationConfig.maxOutputTokens", "it may not be negative")
	case s.ResponseLogprobs || s.Logprobs != nil:
		reject("generationConfig.responseLogprobs", "there are no log probabilities")
	case len(s.ResponseModalities) > 1 || len(s.ResponseModalities) == 1 && s.ResponseModalities[0] != genai.ModalityText:
		reject("generationConfig.responseModalities", "answers are text")
	case !slices.Contains(modes, choiceOf(c).Mode):
		reject("toolConfig.functionCallingConfig.mode", "use AUTO, ANY, NONE or VALIDATED")
	}
	checkTools(c)
	return c
}

// readContents reads the history, and checks that each turn of calls is answered by
// the next turn.
func readContents(in []*geminiContent) []*genai.Content {
	h := history{rule: "function calls need as many function responses in the turn right after them, with the same ids"}
	for i, c := range in {
		at := fmt.Sprintf("contents[%d]", i)
		content := c.read(at)
		var calls []*genai.FunctionCall
		var unnamed int // responses: ids are optional on this wire
		for _, part := range content.Parts {
			if part.FunctionCall != nil {
				calls = append(calls, part.FunctionCall)
			}
			r := part.FunctionResponse
			if part.FunctionCall != nil && content.Role != genai.RoleModel || r != nil && content.Role == genai.RoleModel {
				reject(at, "calls are the model's, their responses the user's")
			}
			if r != nil && r.ID == "" {
				unnamed++
			} else if r != nil && h.take(r.ID) == nil {
				reject(at, h.rule)
			}
		}
		if len(h.open) != unnamed {
			reject(at, h.rule)
		}
		h.open, h.contents = calls, append(h.contents, content)
	}
	h.whole("contents")
	return h.contents
}

// read turns a content into genai's. Each of its parts must hold one thing.
func (c *geminiContent) read(at string) *genai.Content {
	if c == nil || len(c.Parts) == 0 {
		reject(at, "it has no parts")
	}
	out := &genai.Content{Role: c.Role}
	switch c.Role {
	case "", "function", "system":
		out.Role = genai.RoleUser
	case genai.RoleUser, genai.RoleModel:
	default:
		reject(at, "the role must be user or model")
	}
	for i, p := range c.Parts {
		at := fmt.Sprintf("%s.parts[%d]", at, i)
		if p == nil {
			reject(at, "it is null")
		}
		part, things := p.Part, 0
		for _, there := range []bool{
			p.Text != nil, p.InlineData != nil, p.FileData != nil, p.FunctionCall != nil, p.FunctionResponse != nil,
			p.ExecutableCode != nil, p.CodeExecutionResult != nil,
		} {
			if there {
				things++
			}
		}
		if p.Text != nil {
			part.Text = *p.Text
		}
		switch {
		case things > 1:
			reject(at, "a part holds one thing")
		case things == 0 && len(part.ThoughtSignature) == 0:
			reject(at, "a part holds text, inlineData, fileData, a functionCall or a functionResponse")
		case part.FunctionCall != nil && part.FunctionCall.Name == "", part.FunctionResponse != nil && part.FunctionResponse.Name == "":
			reject(at, "it names no function")
		}
		out.Parts = append(out.Parts, &part)
	}
	return out
}

// The names of members say how Google's readers take what they hold.
var (
	// The names within are the caller's own.
	opaque = []string{"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "labels"}
	// Schemas as Google writes them.
	schemas = []string{"parameters", "responseSchema"}
	// Bytes in base64, in either alphabet, padded or not.
	byteMembers = []string{"data", "thoughtSignature"}
	// 64-bit numbers of a schema, which Google's clients in JavaScript write as text.
	countMembers = []string{"maxItems", "minItems", "maxLength", "minLength", "maxProperties", "minProperties"}
)

// camelNames writes v, a value in the member name, as Google's clients in Go would.
// Google takes names such as system_instruction for systemInstruction, as every proto3
// JSON parser does; its guides write so with curl. Within an opaque member no name is
// changed.
func camelNames(v any, name, within string) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, member := range v {
			inside := within
			if within == "" {
				if key = camel(key); slices.Contains(opaque, key) {
					inside = key
				}
			}
			if _, twice := out[key]; twice {
				readable(errors.New("two members have the same name"))
			}
			out[key] = camelNames(member, key, inside)
		}
		return out
	case []any:
		for i := range v {
			v[i] = camelNames(v[i], name, within)
		}
	case string:
		switch {
		case within == "" && slices.Contains(byteMembers, name):
			text := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(v, "="))
			return text + strings.Repeat("=", (4-len(text)%4)%4)
		case slices.Contains(schemas, within) && slices.Contains(countMembers, name) && jsontext.Value(v).Kind() == '0' && jsontext.Value(v).IsValid():
			return json.Number(v)
		}
	}
	return v
}

func camel(name string) string {
	words := strings.Split(name, "_")
	for i, w := range words[1:] {
		if w != "" {
			words[i+1] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "")
}
