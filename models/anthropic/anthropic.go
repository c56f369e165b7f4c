package anthropic

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"

	api "github.com/anthropics/anthropic-sdk-go/v2"
	"github.com/anthropics/anthropic-sdk-go/v2/option"
	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

// DefaultModel is the model that is opened unless another is named.
const DefaultModel = api.ModelClaudeSonnet5_5

// Host serves Anthropic's own API.
const Host = "api.anthropic.com"

// maxTokens bounds an answer where nobody else does: the API demands a bound.
const maxTokens = 16_384

// maxPauses bounds how often an answer that the server paused is asked to go on.
const maxPauses = 3

// Config says which model answers, and who asks.
type Config struct {
	// Model is the name at the server; "" means [DefaultModel].
	Model string
	// Key is the API key, and KeyVariable the variable it came from, for errors. An
	// empty key sends none, which is for servers that ask for none.
	Key         secret.String
	KeyVariable string
	// BaseURL is the server's address, without /v1. It must come from
	// [provider.BaseURL]. nil means Anthropic's own.
	BaseURL *url.URL
	// HTTPClient makes the calls, through [provider.Client]. nil is fine.
	HTTPClient *http.Client
	// Settings apply where a request does not say.
	Settings provider.Settings
	// Retry bounds how temporary failures are tried again.
	Retry provider.RetryPolicy
}

// efforts are the words of reasoning effort; each model takes some of them.
var efforts = []string{"low", "medium", "high", "xhigh", "max"}

// Settings are the settings that [Config] takes.
func Settings() []provider.Setting {
	return []provider.Setting{
		{Name: provider.MaxTokens, Help: fmt.Sprintf("a whole number from 1: the most tokens of an answer, thinking included; %d unless set", maxTokens)},
		{Name: provider.ReasoningEffort, Help: "low, medium, high, xhigh or max, as far as the model takes it: how much it thinks and writes", Values: append([]string(nil), efforts...)},
	}
}

// Model is a model behind the Messages API. It is safe for concurrent use.
type Model struct {
	retrying model.LLM
	once     *attempt
}

// New opens the model of c. It does no network I/O.
func New(c Config) (*Model, error) {
	base := &url.URL{Scheme: "https", Host: Host}
	if c.BaseURL != nil {
		base = c.BaseURL
	}
	if c.Model == "" {
		c.Model = DefaultModel
	}
	// Services, not the library's client, which reads the environment.
	options := []option.RequestOption{
		option.WithBaseURL(base.String() + "/"), option.WithHTTPClient(provider.Client(c.HTTPClient)),
		option.WithMaxRetries(0), option.WithOpenTelemetryTraces(false),
	}
	if key := c.Key.Reveal(); key != "" {
		options = append(options, option.WithAPIKey(key)) // as a bearer token, which is what gateways take too
	}
	once := &attempt{
		messages: api.NewMessageService(options...), models: api.NewModelService(options...), settings: c.Settings, server: base.String(),
		target: provider.Target{Provider: "anthropic", Model: c.Model, Host: base.Host, Key: c.KeyVariable, Secret: c.Key, Hosted: base.Host == Host},
	}
	return &Model{retrying: provider.Retry(provider.Read(once, once.target), c.Retry), once: once}, nil
}

// Name returns the name without the provider: ADK sends it as the model's name.
func (m *Model) Name() string { return m.once.Name() }

// GenerateContent implements [model.LLM].
func (m *Model) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	return m.retrying.GenerateContent(ctx, req, stream)
}

// Check asks the server about the model: the key is accepted, and the model is there
// as far as the server can be asked: a gateway without a list of models gives
// [provider.ErrCannotTell]. No document is sent.
func (m *Model) Check(ctx context.Context) error {
	ctx, x := provider.Observe(ctx, provider.Keep{})
	_, err := m.once.models.Get(ctx, m.Name(), api.ModelGetParams{})
	if err == nil && x.Seen().Status < 300 {
		return nil
	}
	e := m.once.explain(ctx, m.once.target, x, err)
	if failure, ok := errors.AsType[*provider.Error](e); ok && m.once.target.Host != Host && (failure.Status == http.StatusNotFound || failure.Status == http.StatusMethodNotAllowed) {
		return provider.ErrCannotTell
	}
	return e
}

// attempt asks the server once.
type attempt struct {
	messages api.MessageService
	models   api.ModelService
	settings provider.Settings
	target   provider.Target
	server   string // whose state [provider.Seal] marks
}

// Name implements [model.LLM].
func (a *attempt) Name() string { return a.target.Model }

// GenerateContent implements [model.LLM].
func (a *attempt) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		to := a.target
		if req.Model != "" {
			to.Model = req.Model // a hook may have changed it, and ADK prefers it
		}
		ctx, x := provider.Observe(ctx, provider.Keep{Write: write})
		params, err := a.params(req, to.Model)
		if err != nil {
			yield(nil, a.explain(ctx, to, x, err))
			return
		}
		var answer answer
		show := func(piece *model.LLMResponse) bool { return !stream || yield(piece, nil) }
		asked := params.Messages
		for range maxPauses + 1 {
			err := a.listen(ctx, params, &answer, show)
			switch ended := to.Ended(ctx); {
			case errors.Is(err, errLeft):
				return
			case err != nil && !answer.ended || errors.Is(err, provider.ErrUnreadable) || x.Seen().Status >= 300:
				yield(nil, a.explain(ctx, to, x, err))
				return
			case ended != nil && !answer.ended:
				yield(nil, ended)
				return
			}
			paused := answer.paused()
			if len(paused) == 0 {
				break
			}
			params.Messages = append(slices.Clip(asked), api.NewAssistantMessage(paused...))
		}
		yield(answer.response(to, a.server))
	}
}

// listen adds what the server answers to answer, and shows what may be shown at once.
func (a *attempt) listen(ctx context.Context, params api.MessageNewParams, answer *answer, show func(*model.LLMResponse) bool) error {
	answer.begin()
	events := a.messages.NewStreaming(ctx, params)
	defer func() { _ = events.Close() }()
	for events.Next() {
		piece, err := answer.add(events.Current())
		if err != nil {
			return err
		}
		if piece != nil && !show(piece) {
			return errLeft
		}
	}
	return events.Err()
}

var errLeft = errors.New("the caller stopped listening")

// explain turns what went wrong into a [provider.Error]. A context's end stays what
// it is. The library's errors hold the request, with its key, and are not passed on.
func (a *attempt) explain(ctx context.Context, to provider.Target, x *provider.Exchange, err error) error {
	if ended := to.Ended(ctx); ended != nil {
		return ended
	}
	if e, ok := errors.AsType[provider.Unsupported](err); ok {
		return to.Unsupported(e)
	}
	seen := x.Seen()
	r := provider.Refusal{Status: seen.Status, RetryAfter: seen.RetryAfter, Page: true}
	if said, ok := errors.AsType[*api.Error](err); ok {
		var body struct {
			Error struct {
				Type    string `json:"type"`
				Message string `json:"message"`
			} `json:"error"`
		}
		_ = strictjson.Unmarshal([]byte(said.RawJSON()), &body) // a proxy's page has nothing to read
		r.Kind, r.Message, r.Page = body.Error.Type, body.Error.Message, body.Error.Type == ""
		if r.Status < 300 {
			r.Status = statuses[r.Kind]
		}
		return to.Refused(r, nil)
	}
	if r.Status >= 300 {
		return to.Refused(r, nil)
	}
	return to.Unanswered(x, err)
}

// statuses are those that an error within a stream would have had before it.
var statuses = map[string]int{
	"invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403, "not_found_error": 404,
	"request_too_large": 413, "rate_limit_error": 429, "api_error": 500, "timeout_error": 504, "overloaded_error": 529,
}
