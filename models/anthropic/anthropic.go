package anthropic

import (
	"cmp"
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
)

// DefaultModel is the model that is opened unless another is named.
const DefaultModel = api.ModelClaudeSonnet5_5

// Host serves Anthropic's own API.
const Host = "api.anthropic.com"

// maxTokens bounds an answer where nobody else does: the API demands a bound.
const maxTokens = 16_384

// maxPauses bounds how often an answer that the server paused is asked to go on.
const maxPauses = 3

// efforts are the words of reasoning effort; each model takes some of them.
var efforts = []string{"low", "medium", "high", "xhigh", "max"}

// Settings are the settings that [New] takes.
func Settings() []provider.Setting {
	return []provider.Setting{
		{Name: provider.MaxTokens, Help: fmt.Sprintf("a whole number from 1: the most tokens of an answer, thinking included; %d unless set", maxTokens)},
		{Name: provider.ReasoningEffort, Help: "low, medium, high, xhigh or max, as far as the model takes it: how much it thinks and writes", Values: append([]string(nil), efforts...)},
	}
}

// Config is that of every provider.
type Config = provider.Config

// New opens a model of Anthropic, or of a server of its API, whose address is without /v1.
// It does no network I/O.
func New(c Config) (*provider.Model, error) {
	base := cmp.Or(c.BaseURL, &url.URL{Scheme: "https", Host: Host})
	// Services, not the library's client, which reads the environment.
	options := []option.RequestOption{
		option.WithBaseURL(base.String() + "/"), option.WithHTTPClient(provider.Client(c.HTTPClient)),
		option.WithMaxRetries(0), option.WithOpenTelemetryTraces(false),
	}
	if key := c.Key.Reveal(); key != "" {
		options = append(options, option.WithAPIKey(key)) // as a bearer token, which is what gateways take too
	}
	to := provider.Target{Provider: "anthropic", Model: cmp.Or(c.Model, DefaultModel), Host: base.Host, Key: c.KeyVariable, Secret: c.Key, Hosted: base.Host == Host}
	once := &attempt{api.NewMessageService(options...), api.NewModelService(options...), c.Settings, to, base.String()}
	return provider.NewModel(once, to, c.Retry), nil
}

// Check implements [provider.Once].
func (a *attempt) Check(ctx context.Context) error {
	ctx, x := provider.Observe(ctx, provider.Keep{})
	_, err := a.models.Get(ctx, a.target.Model, api.ModelGetParams{})
	if err == nil && x.Seen().Status < 300 {
		return nil
	}
	err = a.explain(ctx, a.target, x, err)
	suggested := a.target.Suggest(err, func() (names []string, err error) {
		all := a.models.ListAutoPaging(ctx, api.ModelListParams{})
		for len(names) < provider.MaxNames && all.Next() {
			names = append(names, all.Current().ID)
		}
		return names, all.Err()
	})
	if e, ok := errors.AsType[*provider.Error](err); ok && !suggested && !a.target.Hosted && (e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed) {
		return provider.ErrCannotTell
	}
	return err
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
		to.Model = cmp.Or(req.Model, to.Model) // a hook may have changed it, and ADK prefers it
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
