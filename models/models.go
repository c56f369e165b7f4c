package models

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

// Options says where keys come from and how providers are reached. The zero
// Options are ready to use.
type Options struct {
	// Getenv looks up a variable: keys, base URLs, and what selects Vertex AI. nil
	// means [os.Getenv].
	Getenv func(string) string
	// Settings shape answers where a request does not say: temperature, max_tokens
	// and so on, as [Provider].Settings lists them. Unknown ones are an error.
	Settings map[string]string
	// HTTPClient makes the calls. It is copied, and the copy follows no redirect.
	// nil means one with [http.DefaultTransport], and more idle connections.
	HTTPClient *http.Client
	// BaseURL replaces the provider's address, and wins over its variable: for a
	// gateway or a test server. It must be https, or http on loopback, since the key
	// is sent there. Empty means what the variable says, else the provider's own. A
	// provider that works in this process refuses it.
	BaseURL string
	// VertexToken gives access tokens for Vertex AI. nil means Google's Application
	// Default Credentials. Other providers ignore it.
	VertexToken func(context.Context) (secret.String, error)
	// Retry bounds how temporary failures are tried again. The zero policy is four
	// attempts; its Logger is the one below unless set.
	Retry provider.RetryPolicy
	// Logger hears at debug level which provider, model and host were opened and what
	// a provider says to a failed call, which may quote the prompt, at info level
	// about retries, and at warning level of an address that was mended. It is never given a key or an answer. nil discards.
	Logger *slog.Logger
}

// A Provider describes one source of models, for help texts and diagnosis.
type Provider struct {
	// Name is the part of a model's name before the slash.
	Name string
	// DefaultModel is what the bare provider name opens. Empty when there is none.
	DefaultModel string
	// KeyVariables are the environment variables that may hold the API key. The
	// first that is set wins. Empty when no key is needed.
	KeyVariables []string
	// BaseURLVariable is the environment variable that replaces the address. Empty
	// when nothing leaves the process.
	BaseURLVariable string
	// Host is where requests go unless told otherwise. Empty when nothing leaves the
	// process, or when the provider has no address of its own.
	Host string
	// Data says in one sentence where documents go. [Destination] says it for one
	// configuration.
	Data string
	// Settings are those that Options.Settings may hold.
	Settings []provider.Setting
}

// Providers describes every provider that [Open] knows. The caller owns the
// result.
func Providers() []Provider {
	var out []Provider
	for _, e := range table() {
		out = append(out, e.Provider)
	}
	return out
}

// Describe returns the provider that [Open] would use for name, and the model's
// name at that provider, without looking at keys. It fails as Open does on a name
// that is not known.
func Describe(name string) (Provider, string, error) {
	e, modelName, err := lookup(name)
	return e.Provider, modelName, err
}

// Destination says in one sentence where documents go when name is opened with
// opts, given its base URL and variables. It fails as [Open] does on a name or an
// address that is not usable, and does not look at keys.
func Destination(name string, opts Options) (string, error) {
	e, _, err := lookup(name)
	if err != nil {
		return "", err
	}
	opts = opts.withDefaults()
	if e.reach == nil {
		return e.Data, e.takesNone(opts)
	}
	to, err := e.reach(e.Provider, opts)
	if err != nil {
		return "", err
	}
	return to.data(), nil
}

// Open returns the model called name: "provider" or "provider/model". It calls no
// provider; only for Vertex AI without Options.VertexToken it looks for Google Cloud
// credentials, in files and, on a Google machine, at its metadata server. The model
// is safe for concurrent use. ctx is for opening only; ending it later does not end
// the model.
func Open(ctx context.Context, name string, opts Options) (model.LLM, error) {
	e, modelName, err := lookup(name)
	if err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	if err := e.takesNone(opts); err != nil {
		return nil, err
	}
	settings, err := provider.ParseSettings(e.Name, e.Settings, opts.Settings)
	if err != nil {
		return nil, err
	}
	o := opening{Options: opts, model: modelName, settings: settings}
	if e.reach != nil {
		if o.to, err = e.reach(e.Provider, opts); err != nil {
			return nil, err
		}
		if o.key, err = findKey(e.Provider, o.to, opts.Getenv); err != nil {
			return nil, err
		}
	}
	if o.to.mended != "" {
		opts.Logger.WarnContext(ctx, "the base URL was mended", "provider", e.Name, "how", o.to.mended, "used", o.to.base.String())
	}
	llm, err := e.open(ctx, o)
	if err != nil {
		return nil, err
	}
	opts.Logger.DebugContext(ctx, "model opened", "provider", e.Name, "model", modelName, "host", o.to.host(), "key_variable", o.key.variable)
	return llm, nil
}

// Check reports whether llm can be reached with the key it was opened with, for
// diagnosis. It sends no document. A server that does not say gives
// [provider.ErrCannotTell]. A model that needs no network is always
// reachable, and so, to Check, is a model that this package did not open.
func Check(ctx context.Context, llm model.LLM) error {
	if c, ok := llm.(interface{ Check(context.Context) error }); ok {
		return c.Check(ctx)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Retry.Logger = cmp.Or(o.Retry.Logger, o.Logger)
	return o
}

// apiKey is a key and the variable that held it, which errors name.
type apiKey struct {
	secret.String
	variable string
}

// findKey reads the provider's key. White space around it is dropped: keys are
// pasted, and a trailing newline would make an invalid header.
func findKey(p Provider, to destination, getenv func(string) string) (apiKey, error) {
	if to.vertex != nil {
		return apiKey{}, nil
	}
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
	if to.keyless {
		return apiKey{}, nil
	}
	return apiKey{}, fmt.Errorf("models: %s needs an API key: set %s", p.Name, strings.Join(p.KeyVariables, " or "))
}
