package gemini

import (
	"slices"

	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/models/provider"
)

// history returns contents as the API takes them: each turn of calls is followed by
// one of their results, in their order and as many. What a crash, a cancel or a call
// still pending leaves behind is refused with 400 otherwise. Nil and empty contents
// and nil parts, on which Google's library panics, are left out. State goes to the
// server that it came from alone. Nothing of contents is changed; what needs no change
// is shared.
func history(contents []*genai.Content, server string) []*genai.Content {
	results := provider.Results(contents)
	out := make([]*genai.Content, 0, len(contents)+1) // ADK's adapter may append one
	for i, content := range contents {
		if content == nil {
			continue
		}
		answers := &genai.Content{Role: genai.RoleUser}
		kept := keep(content, func(j int, p *genai.Part) bool {
			if f := p.FunctionCall; f != nil {
				r := results[provider.Place{Content: i, Part: j}]
				if r == nil {
					r = &genai.FunctionResponse{Response: provider.NoResult()}
				}
				r = new(*r)
				r.ID, r.Name = f.ID, provider.Name(f.Name)
				answers.Parts = append(answers.Parts, &genai.Part{FunctionResponse: r})
			}
			return p.FunctionResponse == nil
		})
		if len(kept.Parts) > 0 {
			kept = &genai.Content{Role: kept.Role, Parts: slices.Clone(kept.Parts)}
			for j, p := range kept.Parts {
				kept.Parts[j] = outgoing(p, server)
			}
			out = append(out, kept)
		}
		if len(answers.Parts) > 0 {
			out = append(out, answers)
		}
	}
	return out
}

// outgoing returns p as it may be sent: its state unsealed, or left out where it is of
// another server, and large numbers as text, since Google's library rounds them.
func outgoing(p *genai.Part, server string) *genai.Part {
	if p.ThoughtSignature == nil && p.FunctionCall == nil {
		return p
	}
	p = new(*p)
	p.ThoughtSignature, _ = provider.Unseal(server, p.ThoughtSignature)
	if f := p.FunctionCall; f != nil {
		p.FunctionCall = new(*f)
		p.FunctionCall.Name = provider.Name(f.Name)
		p.FunctionCall.Args, _ = strictjson.NumbersAsText(f.Args).(map[string]any)
	}
	return p
}

// keep returns content with those parts alone that are wanted, nil ones never.
func keep(content *genai.Content, wanted func(int, *genai.Part) bool) *genai.Content {
	if content == nil {
		return nil
	}
	parts := make([]*genai.Part, 0, len(content.Parts))
	for j, p := range content.Parts {
		if p != nil && wanted(j, p) {
			parts = append(parts, p)
		}
	}
	if len(parts) == len(content.Parts) {
		return content
	}
	return &genai.Content{Role: content.Role, Parts: parts}
}

// sane returns config without the nils in it on which Google's library panics.
// config is the caller's own.
func sane(config *genai.GenerateContentConfig) {
	config.SystemInstruction = keep(config.SystemInstruction, func(int, *genai.Part) bool { return true })
	if config.SystemInstruction != nil && len(config.SystemInstruction.Parts) == 0 {
		config.SystemInstruction = nil
	}
	var tools []*genai.Tool
	for _, t := range config.Tools {
		if t != nil {
			tools = append(tools, t)
		}
	}
	config.Tools = tools
}
