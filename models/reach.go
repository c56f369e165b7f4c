package models

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/models/gemini"
	"github.com/jitagent/jitagent/models/provider"
)

// Variables that say where documents go. Google's are named as its own libraries
// name them, but read through Options.Getenv and held to our rules for addresses.
const (
	geminiBase     = "GOOGLE_GEMINI_BASE_URL"
	vertexSelected = "GOOGLE_GENAI_USE_VERTEXAI"
	vertexProject  = "GOOGLE_CLOUD_PROJECT"
	vertexLocation = "GOOGLE_CLOUD_LOCATION"
	vertexBase     = "GOOGLE_VERTEX_BASE_URL"
	azureBase      = "AZURE_OPENAI_ENDPOINT"
	azureVersion   = "AZURE_OPENAI_API_VERSION"
	anthropicBase  = "ANTHROPIC_BASE_URL"
	anthropicToken = "ANTHROPIC_AUTH_TOKEN" //nolint:gosec // a variable's name
)

// override returns the address that Options.BaseURL or else variable gives, and nil
// when neither does.
func override(name, variable string, opts Options) (*url.URL, error) {
	raw := cmp.Or(opts.BaseURL, strings.TrimSpace(opts.Getenv(variable)))
	if raw == "" {
		return nil, nil
	}
	u, err := provider.BaseURL(name, raw)
	if err != nil && opts.BaseURL == "" {
		return nil, fmt.Errorf("%w (in %s)", err, variable)
	}
	return u, err
}

func reachGemini(p Provider, opts Options) (destination, error) {
	switch strings.ToLower(strings.TrimSpace(opts.Getenv(vertexSelected))) {
	case "", "0", "false":
	case "1", "true":
		return reachVertex(p, opts)
	default:
		return destination{}, fmt.Errorf("models: %s must be true or false", vertexSelected)
	}
	base, err := override(p.Name, geminiBase, opts)
	if base == nil {
		return destination{base: &url.URL{Scheme: "https", Host: p.Host}, whose: " (Google)"}, err
	}
	return destination{base: base}, err
}

// reachVertex needs both project and location: Google's library would take "global"
// for a missing location, and with it leave open where documents are processed.
func reachVertex(p Provider, opts Options) (destination, error) {
	v := &gemini.Vertex{
		Project:  strings.TrimSpace(opts.Getenv(vertexProject)),
		Location: strings.TrimSpace(opts.Getenv(vertexLocation)),
		Token:    opts.VertexToken,
	}
	if v.Project == "" || v.Location == "" {
		return destination{}, fmt.Errorf("models: %s selects Vertex AI, which needs %s and %s: set both", vertexSelected, vertexProject, vertexLocation)
	}
	if err := v.Validate(); err != nil {
		return destination{}, err
	}
	d := destination{vertex: v}
	base, err := override(p.Name, vertexBase, opts)
	if d.base = base; base == nil {
		d.base = &url.URL{Scheme: "https", Host: gemini.VertexHost(v.Location)}
		d.whose = fmt.Sprintf(" (Google Vertex AI, project %s, location %s)", v.Project, v.Location)
	}
	return d, err
}

func reachOpenAI(p Provider, opts Options) (destination, error) {
	base, err := override(p.Name, p.BaseURLVariable, opts)
	if base == nil {
		return destination{base: &url.URL{Scheme: "https", Host: p.Host, Path: "/v1"}, whose: " (OpenAI)"}, err
	}
	if err != nil {
		return destination{}, err
	}
	// Servers on this machine, such as Ollama's, ask for no key.
	return mended(destination{base: base, keyless: provider.Loopback(base)}, "/chat/completions", "/responses", "/completions", "/models"), nil
}

// mended leaves out what of d's address is one of the API's paths.
func mended(d destination, ends ...string) destination {
	for _, end := range ends {
		if path, whole := strings.CutSuffix(d.base.Path, end); whole {
			d.base, d.mended = new(*d.base), "its end "+end+" is left out: it is one of the API's paths"
			d.base.Path = path
			break
		}
	}
	return d
}

func reachAnthropic(p Provider, opts Options) (destination, error) {
	base, err := override(p.Name, p.BaseURLVariable, opts)
	if base == nil {
		return destination{base: &url.URL{Scheme: "https", Host: p.Host}, whose: " (Anthropic)"}, err
	}
	return mended(destination{base: base, keyless: provider.Loopback(base)}, "/v1/messages", "/v1"), err
}

func reachAzure(p Provider, opts Options) (destination, error) {
	base, err := override(p.Name, azureBase, opts)
	if err != nil {
		return destination{}, err
	}
	if base == nil {
		return destination{}, fmt.Errorf("models: azure needs its resource's address: set %s, such as https://NAME.openai.azure.com", azureBase)
	}
	version := strings.TrimSpace(opts.Getenv(azureVersion))
	if version != "" && !segment().MatchString(version) {
		return destination{}, fmt.Errorf("models: malformed %s: use one such as 2024-10-21, or unset it", azureVersion)
	}
	return destination{base: base, version: version, whose: " (Azure OpenAI)"}, nil
}

// config is what every provider is opened with.
func (o opening) config() provider.Config {
	return provider.Config{
		Model: o.model, Key: o.key.String, KeyVariable: o.key.variable, BaseURL: o.to.base, HTTPClient: o.HTTPClient, Settings: o.settings, Retry: o.Retry,
	}
}

// opened keeps a nil pointer out of an interface.
func opened(llm *provider.Model, err error) (model.LLM, error) {
	if err != nil {
		return nil, err
	}
	return llm, nil
}
