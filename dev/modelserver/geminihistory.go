package modelserver

import (
	"encoding/base64"
	"fmt"
	"strings"

	"google.golang.org/genai"
)

type geminiContent struct {
	Role  string        `json:"role"`
	Parts []*geminiPart `json:"parts"`
}

type geminiPart struct {
	Text             *string `json:"text"`
	Thought          bool    `json:"thought"`
	ThoughtSignature string  `json:"thoughtSignature"`
	InlineData       *struct {
		MIMEType    string `json:"mimeType"`
		Data        string `json:"data"`
		DisplayName string `json:"displayName"`
	} `json:"inlineData"`
	FileData *struct {
		MIMEType    string `json:"mimeType"`
		FileURI     string `json:"fileUri"`
		DisplayName string `json:"displayName"`
	} `json:"fileData"`
	FunctionCall *struct {
		ID   string         `json:"id"`
		Name string         `json:"name"`
		Args map[string]any `json:"args"`
	} `json:"functionCall"`
	FunctionResponse *struct {
		ID       string         `json:"id"`
		Name     string         `json:"name"`
		Response map[string]any `json:"response"`
	} `json:"functionResponse"`
}

// system reads a system instruction, which is text. Its role says nothing.
func (c *geminiContent) system() (*genai.Content, *problem) {
	out := &genai.Content{Role: genai.RoleUser}
	for i, p := range c.Parts {
		part, problem := p.read(fmt.Sprintf("systemInstruction.parts[%d]", i))
		if problem != nil {
			return nil, problem
		}
		if p.Text == nil {
			return nil, bad("", "systemInstruction: its parts are text")
		}
		out.Parts = append(out.Parts, part)
	}
	return out, nil
}

// readContents reads the history, and checks that each turn of calls is answered by
// the next turn.
func readContents(in []*geminiContent) ([]*genai.Content, *problem) {
	var out []*genai.Content
	var open []*genai.FunctionCall
	for i, c := range in {
		at := fmt.Sprintf("contents[%d]", i)
		if c == nil || len(c.Parts) == 0 {
			return nil, bad("", at+": it has no parts")
		}
		content := &genai.Content{Role: genai.RoleUser}
		switch c.Role {
		case "", genai.RoleUser, "function":
		case genai.RoleModel:
			content.Role = genai.RoleModel
		default:
			return nil, bad("", at+": the role must be user or model")
		}
		var calls []*genai.FunctionCall
		var results []*genai.FunctionResponse
		for j, p := range c.Parts {
			part, problem := p.read(fmt.Sprintf("%s.parts[%d]", at, j))
			if problem != nil {
				return nil, problem
			}
			if part.FunctionCall != nil {
				calls = append(calls, part.FunctionCall)
			}
			if part.FunctionResponse != nil {
				results = append(results, part.FunctionResponse)
			}
			content.Parts = append(content.Parts, part)
		}
		if len(calls) > 0 && content.Role != genai.RoleModel || len(results) > 0 && content.Role == genai.RoleModel {
			return nil, bad("", at+": calls are the model's, their responses the user's")
		}
		if !paired(open, results) {
			return nil, bad("", at+": there must be as many function responses as function calls in the turn right before, with the same ids")
		}
		open = calls
		out = append(out, content)
	}
	if len(open) > 0 {
		return nil, bad("", "contents: the last turn's function calls have no responses")
	}
	if len(out) == 0 {
		return nil, bad("", "contents: at least one is needed")
	}
	return out, nil
}

// paired reports whether each call has its response. Ids are optional on this wire.
func paired(calls []*genai.FunctionCall, results []*genai.FunctionResponse) bool {
	if len(calls) != len(results) {
		return false
	}
	open := make(map[string]int)
	for _, c := range calls {
		open[c.ID]++
	}
	for _, r := range results {
		if r.ID != "" && open[r.ID] == 0 {
			return false
		}
		open[r.ID]--
	}
	return true
}

// read turns a part into genai's. It must hold one thing.
func (p *geminiPart) read(at string) (*genai.Part, *problem) {
	if p == nil {
		return nil, bad("", at+": it is null")
	}
	out := &genai.Part{Thought: p.Thought}
	things := 0
	if p.Text != nil {
		things++
		out.Text = *p.Text
	}
	if d := p.InlineData; d != nil {
		things++
		data, ok := decodeBase64(d.Data)
		if !ok || d.MIMEType == "" {
			return nil, bad("", at+".inlineData: data in base64 and a mimeType are needed")
		}
		out.InlineData = &genai.Blob{MIMEType: d.MIMEType, Data: data, DisplayName: d.DisplayName}
	}
	if d := p.FileData; d != nil {
		things++
		out.FileData = &genai.FileData{MIMEType: d.MIMEType, FileURI: d.FileURI, DisplayName: d.DisplayName}
	}
	if f := p.FunctionCall; f != nil {
		things++
		out.FunctionCall = &genai.FunctionCall{ID: f.ID, Name: f.Name, Args: f.Args}
	}
	if f := p.FunctionResponse; f != nil {
		things++
		out.FunctionResponse = &genai.FunctionResponse{ID: f.ID, Name: f.Name, Response: f.Response}
	}
	signature, ok := decodeBase64(p.ThoughtSignature)
	if !ok {
		return nil, bad("", at+".thoughtSignature: it is not base64")
	}
	if len(signature) > 0 {
		out.ThoughtSignature = signature
	}
	switch {
	case things > 1:
		return nil, bad("", at+": a part holds one thing")
	case things == 0 && len(signature) == 0:
		return nil, bad("", at+": a part holds text, inlineData, fileData, a functionCall or a functionResponse")
	case out.FunctionCall != nil && out.FunctionCall.Name == "", out.FunctionResponse != nil && out.FunctionResponse.Name == "":
		return nil, bad("", at+": it names no function")
	}
	return out, nil
}

// decodeBase64 reads both alphabets, padded or not, as proto3 JSON parsers do.
func decodeBase64(s string) ([]byte, bool) {
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	b, err := base64.RawStdEncoding.DecodeString(s)
	return b, err == nil
}
