package modelserver

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// generateRequest is the body of generateContent. A member that is not here is
// refused by the decoder.
type generateRequest struct {
	Contents   []*geminiContent       `json:"contents"`
	System     *geminiContent         `json:"systemInstruction"`
	Tools      []*geminiTool          `json:"tools"`
	ToolConfig *geminiToolConfig      `json:"toolConfig"`
	Settings   *geminiSettings        `json:"generationConfig"`
	Safety     []*genai.SafetySetting `json:"safetySettings"`
	Labels     map[string]string      `json:"labels"`

	CachedContent string `json:"cachedContent"` // refused

	// Read and not passed on.
	Model       jsontext.Value `json:"model"` // the address names it
	Store       jsontext.Value `json:"store"`
	ServiceTier jsontext.Value `json:"serviceTier"`
}

type geminiTool struct {
	Functions []*geminiFunction `json:"functionDeclarations"`
}

type geminiFunction struct {
	Name                 string         `json:"name"`
	Description          string         `json:"description"`
	Behavior             genai.Behavior `json:"behavior"`
	Parameters           jsontext.Value `json:"parameters"`
	ParametersJSONSchema jsontext.Value `json:"parametersJsonSchema"`
	Response             jsontext.Value `json:"response"`
	ResponseJSONSchema   jsontext.Value `json:"responseJsonSchema"`
}

type geminiToolConfig struct {
	FunctionCalling *struct {
		Mode  genai.FunctionCallingConfigMode `json:"mode"`
		Names []string                        `json:"allowedFunctionNames"`
	} `json:"functionCallingConfig"`
}

type geminiSettings struct {
	Temperature        *float32       `json:"temperature"`
	TopP               *float32       `json:"topP"`
	TopK               *float32       `json:"topK"`
	CandidateCount     int32          `json:"candidateCount"`
	MaxOutputTokens    int32          `json:"maxOutputTokens"`
	StopSequences      []string       `json:"stopSequences"`
	PresencePenalty    *float32       `json:"presencePenalty"`
	FrequencyPenalty   *float32       `json:"frequencyPenalty"`
	Seed               *int32         `json:"seed"`
	ResponseMIMEType   string         `json:"responseMimeType"`
	ResponseSchema     jsontext.Value `json:"responseSchema"`
	ResponseJSONSchema jsontext.Value `json:"responseJsonSchema"`
	Modalities         []string       `json:"responseModalities"`
	Logprobs           *int32         `json:"logprobs"`
	ResponseLogprobs   bool           `json:"responseLogprobs"`
	Thinking           *struct {
		IncludeThoughts bool                `json:"includeThoughts"`
		Budget          *int32              `json:"thinkingBudget"`
		Level           genai.ThinkingLevel `json:"thinkingLevel"`
	} `json:"thinkingConfig"`
}

func (gemini) decode(body []byte, to route) (*call, *problem) {
	var whole jsontext.Value
	if err := strictjson.Unmarshal(body, &whole); err != nil {
		return nil, bad("", "the request cannot be read: "+err.Error())
	}
	text, err := camelNames(whole)
	if err != nil {
		return nil, bad("", "the request cannot be read: two members have the same name")
	}
	var r generateRequest
	if err := strictjson.Exact(text, &r); err != nil {
		return nil, bad("", "the request cannot be read: "+err.Error())
	}
	if r.CachedContent != "" {
		return nil, bad("", "cachedContent: nothing is cached here: send the contents")
	}
	config, p := r.config()
	if p != nil {
		return nil, p
	}
	req := &model.LLMRequest{Config: config}
	if r.System != nil {
		if config.SystemInstruction, p = r.System.system(); p != nil {
			return nil, p
		}
	}
	if req.Contents, p = readContents(r.Contents); p != nil {
		return nil, p
	}
	return &call{model: to.model, request: req, stream: to.op == opStream}, nil
}

// config turns settings and tools into genai's.
func (r *generateRequest) config() (*genai.GenerateContentConfig, *problem) {
	c := &genai.GenerateContentConfig{SafetySettings: r.Safety, Labels: r.Labels}
	if s := r.Settings; s != nil {
		switch {
		case s.CandidateCount > 1:
			return nil, bad("", "generationConfig.candidateCount: one answer is given")
		case s.MaxOutputTokens < 0:
			return nil, bad("", "generationConfig.maxOutputTokens: it may not be negative")
		case s.ResponseLogprobs || s.Logprobs != nil:
			return nil, bad("", "generationConfig.responseLogprobs: there are no log probabilities")
		case len(s.Modalities) > 1 || len(s.Modalities) == 1 && s.Modalities[0] != "TEXT":
			return nil, bad("", "generationConfig.responseModalities: answers are text")
		}
		c.Temperature, c.TopP, c.TopK, c.Seed = s.Temperature, s.TopP, s.TopK, s.Seed
		c.CandidateCount, c.MaxOutputTokens, c.StopSequences = s.CandidateCount, s.MaxOutputTokens, s.StopSequences
		c.PresencePenalty, c.FrequencyPenalty, c.ResponseMIMEType = s.PresencePenalty, s.FrequencyPenalty, s.ResponseMIMEType
		if t := s.Thinking; t != nil {
			c.ThinkingConfig = &genai.ThinkingConfig{IncludeThoughts: t.IncludeThoughts, ThinkingBudget: t.Budget, ThinkingLevel: t.Level}
		}
		var p *problem
		if c.ResponseSchema, p = readSchema("generationConfig.responseSchema", s.ResponseSchema); p != nil {
			return nil, p
		}
		if c.ResponseJsonSchema, p = readJSONSchema("generationConfig.responseJsonSchema", s.ResponseJSONSchema); p != nil {
			return nil, p
		}
	}
	declared, p := r.tools(c)
	if p != nil {
		return nil, p
	}
	if r.ToolConfig == nil || r.ToolConfig.FunctionCalling == nil {
		return c, nil
	}
	f := r.ToolConfig.FunctionCalling
	switch f.Mode {
	case "", genai.FunctionCallingConfigModeAuto, genai.FunctionCallingConfigModeAny, genai.FunctionCallingConfigModeNone, genai.FunctionCallingConfigModeValidated:
	default:
		return nil, bad("", "toolConfig.functionCallingConfig.mode: use AUTO, ANY, NONE or VALIDATED")
	}
	for _, name := range f.Names {
		if !declared[name] {
			return nil, bad("", "toolConfig.functionCallingConfig.allowedFunctionNames: no function has this name")
		}
	}
	c.ToolConfig = &genai.ToolConfig{FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: f.Mode, AllowedFunctionNames: f.Names}}
	return c, nil
}

// tools reads the declarations, and returns their names.
func (r *generateRequest) tools(c *genai.GenerateContentConfig) (map[string]bool, *problem) {
	var all []*genai.FunctionDeclaration
	names := make(map[string]bool)
	for _, t := range r.Tools {
		if t == nil {
			continue
		}
		tool := &genai.Tool{}
		for _, f := range t.Functions {
			if f == nil {
				continue
			}
			at := "tools.functionDeclarations." + f.Name
			d := &genai.FunctionDeclaration{Name: f.Name, Description: f.Description, Behavior: f.Behavior}
			var p *problem
			if d.Parameters, p = readSchema(at+".parameters", f.Parameters); p != nil {
				return nil, p
			}
			if d.ParametersJsonSchema, p = readJSONSchema(at+".parametersJsonSchema", f.ParametersJSONSchema); p != nil {
				return nil, p
			}
			if d.Response, p = readSchema(at+".response", f.Response); p != nil {
				return nil, p
			}
			if d.ResponseJsonSchema, p = readJSONSchema(at+".responseJsonSchema", f.ResponseJSONSchema); p != nil {
				return nil, p
			}
			if d.Parameters != nil && d.ParametersJsonSchema != nil {
				return nil, bad("", at+": parameters and parametersJsonSchema exclude each other")
			}
			names[d.Name] = true
			tool.FunctionDeclarations = append(tool.FunctionDeclarations, d)
		}
		all = append(all, tool.FunctionDeclarations...)
		if len(tool.FunctionDeclarations) > 0 {
			c.Tools = append(c.Tools, tool)
		}
	}
	return names, checkDeclarations("tools", all)
}

// readSchema reads Google's form of a schema, which has its own Go type.
func readSchema(at string, v jsontext.Value) (*genai.Schema, *problem) {
	if len(v) == 0 || v.Kind() == 'n' {
		return nil, nil
	}
	var s genai.Schema
	d := json.NewDecoder(bytes.NewReader(v)) // genai's types are made for encoding/json; names were checked
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, bad("", at+": it is not a schema as Google writes it")
	}
	return &s, nil
}

func readJSONSchema(at string, v jsontext.Value) (any, *problem) {
	if len(v) == 0 || v.Kind() == 'n' {
		return nil, nil
	}
	m, p := object(at, v)
	if p != nil {
		return nil, p
	}
	return m, nil
}

// opaque members hold names that are the caller's own.
var opaque = map[string]bool{
	"args": true, "response": true, "parameters": true, "parametersJsonSchema": true,
	"responseSchema": true, "responseJsonSchema": true, "labels": true,
}

// camelNames writes names such as system_instruction as systemInstruction. Google
// takes both, as every proto3 JSON parser does; its guides use the first with curl.
func camelNames(body []byte) ([]byte, error) {
	var out bytes.Buffer
	enc := jsontext.NewEncoder(&out)
	if err := camelValue(jsontext.NewDecoder(bytes.NewReader(body)), enc); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func camelValue(dec *jsontext.Decoder, enc *jsontext.Encoder) error {
	kind := dec.PeekKind()
	if kind != '{' && kind != '[' {
		return copyValue(dec, enc)
	}
	if err := copyToken(dec, enc); err != nil {
		return err
	}
	for dec.PeekKind() != '}' && dec.PeekKind() != ']' {
		next := camelValue
		if kind == '{' {
			tok, err := dec.ReadToken()
			if err != nil {
				return err
			}
			name := camel(tok.String())
			if err := enc.WriteToken(jsontext.String(name)); err != nil {
				return err
			}
			if opaque[name] {
				next = copyValue
			}
		}
		if err := next(dec, enc); err != nil {
			return err
		}
	}
	return copyToken(dec, enc)
}

func copyToken(dec *jsontext.Decoder, enc *jsontext.Encoder) error {
	tok, err := dec.ReadToken()
	if err != nil {
		return err
	}
	return enc.WriteToken(tok)
}

func copyValue(dec *jsontext.Decoder, enc *jsontext.Encoder) error {
	v, err := dec.ReadValue()
	if err != nil {
		return err
	}
	return enc.WriteValue(v)
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
