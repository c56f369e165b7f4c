package openai

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"regexp"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

// DefaultModel is a small model that takes tools over chat completions.
const DefaultModel = "gpt-5-mini"

// Host serves OpenAI's own API.
const Host = "api.openai.com"

// Config says which model answers, and who asks.
type Config struct {
	// Model is the name at the server, or the deployment's at Azure. "" means
	// [DefaultModel].
	Model string
	// Key is the API key, and KeyVariable the variable it came from, for errors. An
	// empty key sends none, which is for servers that ask for none.
	Key         secret.String
	KeyVariable string
	// BaseURL is the server's address with its path, such as https://host/v1; at Azure
	// the resource's. It must come from [provider.BaseURL]. nil means OpenAI's own.
	BaseURL *url.URL
	// Azure asks an Azure OpenAI resource. nil asks any other server.
	Azure *Azure
	// HTTPClient makes the calls, through [provider.Client]. nil is fine.
	HTTPClient *http.Client
	// Settings apply where a request does not say.
	Settings provider.Settings
	// Retry bounds how temporary failures are tried again.
	Retry provider.RetryPolicy
}

// Azure is what Azure OpenAI asks for besides.
type Azure struct {
	// APIVersion selects the older API by deployment, such as 2024-10-21. Empty means
	// the v1 API, which needs no version.
	APIVersion string
}

// efforts are the words of reasoning effort; each model takes some of them.
var efforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// Settings are the settings that [Config] takes.
func Settings() []provider.Setting {
	return []provider.Setting{
		{Name: provider.Temperature, Help: "a number from 0 to 2: how free the wording is (not for reasoning models)"},
		{Name: provider.TopP, Help: "a number from 0 to 1: the share of likely words that is considered (not for reasoning models)"},
		{Name: provider.MaxTokens, Help: "a whole number from 1: the most tokens of an answer, reasoning included"},
		{Name: provider.Seed, Help: "a whole number: asks for the same answer to the same question"},
		{Name: provider.ReasoningEffort, Help: "none, minimal, low, medium, high, xhigh or max, as far as the model takes it: how long it reasons", Values: append([]string(nil), efforts...)},
		{Name: provider.API, Help: "chat or responses: which of OpenAI's APIs is asked; the default suits the model", Values: []string{apiChat, apiResponses}},
	}
}

// Values of the setting api.
const (
	apiChat      = "chat"
	apiResponses = "responses"
)

// Model is a model behind OpenAI's API. It is safe for concurrent use.
type Model struct {
	retrying model.LLM
	once     *attempt
}

// New opens the model of c. It does no network I/O.
func New(c Config) (*Model, error) {
	if c.Model == "" {
		c.Model = DefaultModel
	}
	base := url.URL{Scheme: "https", Host: Host, Path: "/v1"}
	if c.BaseURL != nil {
		base = *c.BaseURL
	}
	once := &attempt{
		client: provider.Client(c.HTTPClient), key: c.Key, settings: c.Settings, azure: c.Azure != nil,
		target: provider.Target{
			Provider: "openai", Model: c.Model, Host: base.Host, Key: c.KeyVariable, Secret: c.Key,
			Hosted: c.Azure != nil || base.Host == Host, // and no compatible server
		},
		family: familyOf(c.Model),
		bare:   c.Azure == nil && base.Path == "",
	}
	if c.Azure != nil {
		if c.BaseURL == nil || c.Key.Reveal() == "" {
			return nil, fmt.Errorf("models: azure needs its resource's address and a key")
		}
		once.target.Provider, once.version = "azure", c.Azure.APIVersion
		if once.version == "" {
			base = *base.JoinPath("openai", "v1")
		}
	}
	once.server = base.String()
	return &Model{retrying: provider.Retry(provider.Read(once, once.target), c.Retry), once: once}, nil
}

// Name returns the name without the provider: ADK sends it as the model's name.
func (m *Model) Name() string { return m.once.Name() }

// GenerateContent implements [model.LLM].
func (m *Model) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	return m.retrying.GenerateContent(ctx, req, stream)
}

// deployments are names at Azure, whose older API has them in the path.
var deployments = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// attempt asks the server once.
type attempt struct {
	client   *http.Client // a [provider.Client]
	key      secret.String
	server   string // the base URL, whose state [provider.Seal] marks
	version  string // of Azure's older API
	settings provider.Settings
	target   provider.Target
	azure    bool
	bare     bool // the base URL has no path, which is a common slip
	family   family
}

// Name implements [model.LLM].
func (a *attempt) Name() string { return a.target.Model }

// GenerateContent implements [model.LLM].
func (a *attempt) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		c := call{attempt: a, to: a.target, family: a.family, config: a.settings.Apply(req.Config), yield: yield}
		if req.Model != "" && req.Model != c.to.Model {
			c.to.Model, c.family = req.Model, familyOf(req.Model) // a hook may have changed it, and ADK prefers it
		}
		if a.azure && !deployments.MatchString(c.to.Model) {
			yield(nil, c.to.Fail(provider.BadName, nil))
			return
		}
		c.ctx, c.exchange = provider.Observe(ctx, provider.Keep{})
		if err := c.run(req.Contents, stream); err != nil {
			yield(nil, err)
		}
	}
}
