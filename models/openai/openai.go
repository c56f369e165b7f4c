package openai

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

// DefaultModel is a small model that takes tools over chat completions.
const DefaultModel = "gpt-5-mini"

// Host serves OpenAI's own API.
const Host = "api.openai.com"

// efforts are the words of reasoning effort; each model takes some of them.
var efforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// Settings are the settings that [New] and [NewAzure] take.
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

// Config is that of every provider.
type Config = provider.Config

// New opens a model of OpenAI, or of a server of its API: whose address has its path, such as
// https://host/v1. It does no network I/O.
func New(c Config) (*provider.Model, error) {
	base := *cmp.Or(c.BaseURL, &url.URL{Scheme: "https", Host: Host, Path: "/v1"})
	return open(c, base, attempt{
		target: provider.Target{Provider: "openai", Hosted: base.Host == Host}, // and no compatible server
		bare:   base.Path == "",
	}), nil
}

// NewAzure opens a deployment at an Azure OpenAI resource, whose address and key are
// needed. version selects the older API by deployment, such as 2024-10-21; "" means the
// v1 API, which needs none. It does no network I/O.
func NewAzure(c Config, version string) (*provider.Model, error) {
	if c.BaseURL == nil || c.Key.Reveal() == "" {
		return nil, errors.New("models: azure needs its resource's address and a key")
	}
	base := *c.BaseURL
	if version == "" {
		base = *base.JoinPath("openai", "v1")
	}
	return open(c, base, attempt{target: provider.Target{Provider: "azure", Hosted: true}, azure: true, version: version}), nil
}

func open(c Config, base url.URL, a attempt) *provider.Model {
	to := &a.target
	to.Model, to.Host, to.Key, to.Secret = cmp.Or(c.Model, DefaultModel), base.Host, c.KeyVariable, c.Key
	a.client, a.key, a.settings, a.server, a.family = provider.Client(c.HTTPClient), c.Key, c.Settings, base.String(), familyOf(to.Model)
	return provider.NewModel(&a, *to, c.Retry)
}

// deployments are names at Azure, whose older API has them in the path.
var deployments = lazy.Regexp(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

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
		if a.azure && !deployments().MatchString(c.to.Model) {
			yield(nil, c.to.Fail(provider.BadName, nil))
			return
		}
		c.ctx, c.exchange = provider.Observe(ctx, provider.Keep{})
		if err := c.run(req.Contents, stream); err != nil {
			yield(nil, err)
		}
	}
}
