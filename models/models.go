package models

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/models/offline"
	"github.com/jitagent/jitagent/secret"
)

// Options says where keys come from and how providers are reached. The zero
// Options are ready to use.
type Options struct {
	// Getenv looks up a key variable. nil means [os.Getenv].
	Getenv func(string) string
	// HTTPClient makes the calls. It is copied, and the copy follows no redirect.
	// nil means a client with [http.DefaultTransport].
	HTTPClient *http.Client
	// BaseURL replaces the provider's address: for a gateway or a test server. It
	// must be https, or http on loopback, since the key is sent there. Empty means
	// the provider's own. A provider that works in this process refuses it.
	BaseURL string
	// Logger hears at debug level which provider, model and host were opened. It is
	// never given a key, a prompt or an answer. nil discards.
	Logger *slog.Logger
}

// A Provider describes one source of models, for help texts and diagnosis.
type Provider struct {
	// Name is the part of a model's name before the slash.
	Name string
	// DefaultModel is what the bare provider name opens. Empty when the provider
	// takes no model name.
	DefaultModel string
	// KeyVariables are the environment variables that may hold the API key. The
	// first that is set wins. Empty when no key is needed.
	KeyVariables []string
	// Host is where requests go unless Options.BaseURL says otherwise. Empty when
	// nothing leaves the process.
	Host string
	// Data says in one sentence where documents go.
	Data string
}

// provider is a table entry: what is told about it, and how it is opened. name is
// the checked part after the slash, or DefaultModel; key is empty only when no
// key variable is listed.
type provider struct {
	Provider
	open func(ctx context.Context, p Provider, name string, key apiKey, opts Options) (model.LLM, error)
}

// table lists every provider, the default first.
func table() []provider {
	return []provider{
		{
			Provider: Provider{
				Name: "offline",
				Data: "documents stay in this process: summaries are extracted by rules, no language model is involved",
			},
			open: func(context.Context, Provider, string, apiKey, Options) (model.LLM, error) { return offline.New(), nil },
		},
		{
			Provider: Provider{
				Name:         "gemini",
				DefaultModel: DefaultGemini,
				KeyVariables: []string{"GOOGLE_API_KEY", "GEMINI_API_KEY"},
				Host:         "generativelanguage.googleapis.com",
				Data:         "documents leave this machine to generativelanguage.googleapis.com (Google)",
			},
			open: openGemini,
		},
	}
}

// Providers describes every provider that [Open] knows. The caller owns the
// result.
func Providers() []Provider {
	var out []Provider
	for _, p := range table() {
		out = append(out, p.Provider)
	}
	return out
}

// Describe returns the provider that [Open] would use for name, and the model's
// name at that provider, without looking at keys. It fails as Open does on a name
// that is not known.
func Describe(name string) (Provider, string, error) {
	p, modelName, err := lookup(name)
	return p.Provider, modelName, err
}

// Open returns the model called name: "provider" or "provider/model". It does no
// network I/O. The model is safe for concurrent use. ctx is for opening only;
// ending it later does not end the model.
func Open(ctx context.Context, name string, opts Options) (model.LLM, error) {
	p, modelName, err := lookup(name)
	if err != nil {
		return nil, err
	}
	if opts.Getenv == nil {
		opts.Getenv = os.Getenv
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if p.Host == "" && opts.BaseURL != "" {
		return nil, fmt.Errorf("models: %s works in this process and takes no base URL", p.Name)
	}
	key, err := findKey(p.Provider, opts.Getenv)
	if err != nil {
		return nil, err
	}
	llm, err := p.open(ctx, p.Provider, modelName, key, opts)
	if err != nil {
		return nil, err
	}
	opts.Logger.DebugContext(ctx, "model opened", "provider", p.Name, "model", modelName, "key_variable", key.variable)
	return llm, nil
}

// modelNames is narrower than what providers accept: the name becomes a path
// segment of a URL, so no slash, no dot segment, no escape.
var modelNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)

func lookup(name string) (provider, string, error) {
	providerName, modelName, named := strings.Cut(name, "/")
	all := table()
	i := slices.IndexFunc(all, func(p provider) bool { return p.Name == providerName })
	switch {
	case i < 0:
		return provider{}, "", fmt.Errorf("models: unknown model %q: use %s", shorten(name), usage(all))
	case named && all[i].DefaultModel == "":
		return provider{}, "", fmt.Errorf("models: %s takes no model name: use %q", providerName, providerName)
	case named && !modelNames.MatchString(modelName):
		return provider{}, "", fmt.Errorf("models: malformed model name %q: use a name such as %q", shorten(name), providerName+"/"+all[i].DefaultModel)
	case !named:
		modelName = all[i].DefaultModel
	}
	return all[i], modelName, nil
}

// usage lists the names that Open takes.
func usage(all []provider) string {
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
		if p.DefaultModel != "" {
			names = append(names, p.Name+"/NAME")
		}
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// shorten bounds what an error repeats of a caller's text.
func shorten(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// apiKey is a key and the variable that held it, which errors name.
type apiKey struct {
	secret.String
	variable string
}

// findKey reads the provider's key. White space around it is dropped: keys are
// pasted, and a trailing newline would make an invalid header.
func findKey(p Provider, getenv func(string) string) (apiKey, error) {
	for _, variable := range p.KeyVariables {
		value := strings.TrimSpace(getenv(variable))
		if value == "" {
			continue
		}
		if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return apiKey{}, fmt.Errorf("models: %s holds a character that no API key has: set it again", variable)
		}
		return apiKey{secret.New(value), variable}, nil
	}
	if len(p.KeyVariables) > 0 {
		return apiKey{}, fmt.Errorf("models: %s needs an API key: set %s", p.Name, strings.Join(p.KeyVariables, " or "))
	}
	return apiKey{}, nil
}
