package models

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/models/anthropic"
	"github.com/jitagent/jitagent/models/gemini"
	"github.com/jitagent/jitagent/models/offline"
	"github.com/jitagent/jitagent/models/openai"
	"github.com/jitagent/jitagent/models/provider"
)

// entry is what is told about a provider, and how it is reached and opened.
type entry struct {
	Provider
	// names are the model names it takes after the slash; nil when it takes none.
	names func() *regexp.Regexp
	// reach finds the address; nil when nothing leaves the process.
	reach func(Provider, Options) (destination, error)
	open  func(context.Context, opening) (model.LLM, error)
}

// opening is everything that a model is opened with, checked. key is empty only
// where none is needed.
type opening struct {
	Options
	model    string
	settings provider.Settings
	to       destination
	key      apiKey
}

var (
	// segment names become a path segment of a URL: no slash, no dot segment, no escape.
	segment = lazy.Regexp(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)
	// slashed names are those of model hubs too: meta-llama/Llama-3.1-8B-Instruct,
	// hf.co/someone/model-GGUF:Q4_K_M, model@q4. Each segment begins with a letter or a
	// digit, which leaves no dot segment.
	slashed = lazy.Regexp(`^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}){0,4}$`)
)

// table lists every provider, the default first.
func table() []entry {
	return []entry{
		{
			Provider: Provider{
				Name: "offline",
				Data: "documents stay in this process: summaries are extracted by rules, no language model is involved",
			},
			open: func(context.Context, opening) (model.LLM, error) { return offline.New(), nil },
		},
		{
			Provider: Provider{
				Name:            "gemini",
				DefaultModel:    gemini.DefaultModel,
				KeyVariables:    []string{"GOOGLE_API_KEY", "GEMINI_API_KEY"},
				BaseURLVariable: geminiBase,
				Host:            gemini.Host,
				Data:            "documents leave this machine to " + gemini.Host + " (Google), or to Vertex AI or the server that " + geminiBase + " names where those are chosen",
				Settings:        gemini.Settings(),
			},
			names: segment,
			reach: reachGemini,
			open: func(ctx context.Context, o opening) (model.LLM, error) {
				if o.to.vertex != nil {
					return opened(gemini.NewVertex(ctx, o.config(), *o.to.vertex))
				}
				return opened(gemini.New(ctx, o.config()))
			},
		},
		{
			Provider: Provider{
				Name:            "openai",
				DefaultModel:    openai.DefaultModel,
				KeyVariables:    []string{"OPENAI_API_KEY"},
				BaseURLVariable: "OPENAI_BASE_URL",
				Host:            openai.Host,
				Data:            "documents leave this machine to " + openai.Host + " (OpenAI), or go to the server that OPENAI_BASE_URL names where it is set",
				Settings:        openai.Settings(),
			},
			names: slashed,
			reach: reachOpenAI,
			open:  func(_ context.Context, o opening) (model.LLM, error) { return opened(openai.New(o.config())) },
		},
		{
			Provider: Provider{
				Name:            "azure",
				KeyVariables:    []string{"AZURE_OPENAI_API_KEY"},
				BaseURLVariable: azureBase,
				Data:            "documents leave this machine to the Azure OpenAI resource that " + azureBase + " names (Microsoft)",
				Settings:        openai.Settings(),
			},
			names: segment,
			reach: reachAzure,
			open: func(_ context.Context, o opening) (model.LLM, error) {
				return opened(openai.NewAzure(o.config(), o.to.version))
			},
		},
		{
			Provider: Provider{
				Name:            "anthropic",
				DefaultModel:    anthropic.DefaultModel,
				KeyVariables:    []string{"ANTHROPIC_API_KEY", anthropicToken},
				BaseURLVariable: anthropicBase,
				Host:            anthropic.Host,
				Data:            "documents leave this machine to " + anthropic.Host + " (Anthropic), or go to the server that " + anthropicBase + " names where it is set",
				Settings:        anthropic.Settings(),
			},
			names: slashed,
			reach: reachAnthropic,
			open:  func(_ context.Context, o opening) (model.LLM, error) { return opened(anthropic.New(o.config())) },
		},
	}
}

func lookup(name string) (entry, string, error) {
	providerName, modelName, named := strings.Cut(name, "/")
	all := table()
	i := slices.IndexFunc(all, func(e entry) bool { return e.Name == providerName })
	if i < 0 {
		near := meant(all, providerName, modelName)
		if near != "" {
			near = fmt.Sprintf("did you mean %q? Or ", provider.Shorten(near))
		}
		return entry{}, "", fmt.Errorf("models: unknown model %q: %suse %s", provider.Shorten(name), near, usage(all))
	}
	e := all[i]
	switch {
	case named && e.names == nil:
		return entry{}, "", fmt.Errorf("models: %s takes no model name: use %q", e.Name, e.Name)
	case named && !e.names().MatchString(modelName):
		return entry{}, "", fmt.Errorf("models: malformed model name %q: use a name such as %q", provider.Shorten(name), e.Name+"/"+e.example())
	case !named && e.names != nil && e.DefaultModel == "":
		return entry{}, "", fmt.Errorf("models: %s needs a model name: use %q", e.Name, e.Name+"/"+e.example())
	case !named:
		modelName = e.DefaultModel
	}
	return e, modelName, nil
}

// meant returns the name that somebody has in mind who names no provider: a slip in the
// provider's name, or a model by a name that says whose it is; "" for none.
func meant(all []entry, providerName, modelName string) string {
	var names []string
	for _, e := range all {
		names = append(names, e.Name)
		whose, _, _ := strings.Cut(e.DefaultModel, "-")
		first, _, _ := strings.Cut(strings.ToLower(providerName), "-")
		switch {
		case whose == "" || first != whose || strings.EqualFold(providerName, e.Name):
		case modelName != "": // claude/NAME
			return e.Name + "/" + modelName
		default: // claude-NAME
			return e.Name + "/" + providerName
		}
	}
	near := plain.Nearest(strings.ToLower(providerName), names)
	if near != "" && modelName != "" {
		near += "/" + modelName
	}
	return near
}

// example is a model name for errors.
func (e entry) example() string {
	if e.DefaultModel == "" {
		return "DEPLOYMENT"
	}
	return e.DefaultModel
}

// takesNone refuses a base URL for a provider that works in this process.
func (e entry) takesNone(opts Options) error {
	if e.reach == nil && opts.BaseURL != "" {
		return fmt.Errorf("models: %s works in this process and takes no base URL", e.Name)
	}
	return nil
}

// usage lists the names that Open takes.
func usage(all []entry) string {
	var names []string
	for _, e := range all {
		switch {
		case e.names == nil:
			names = append(names, e.Name)
		case e.DefaultModel == "":
			names = append(names, e.Name+"/"+e.example())
		default:
			names = append(names, e.Name, e.Name+"/NAME")
		}
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// destination is where a provider is reached.
type destination struct {
	base *url.URL
	// whose names who runs the address, for people.
	whose string
	// keyless says that a missing key is fine: a server on this machine.
	keyless bool
	// vertex is set for Vertex AI, version for Azure's older API.
	vertex  *gemini.Vertex
	version string
	// mended says what of the configured address is not used; empty for nothing.
	mended string
}

func (d destination) host() string {
	if d.base == nil {
		return ""
	}
	return d.base.Host
}

func (d destination) data() string {
	if provider.Loopback(d.base) {
		return "documents go to " + d.base.Host + " on this machine" + d.whose
	}
	return "documents leave this machine to " + d.base.Host + d.whose
}
