package gemini

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/adk/v2/model"
	adkgemini "google.golang.org/adk/v2/model/gemini"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/models/provider"
)

// DefaultModel is a stable model for which Google has announced no shutdown.
const DefaultModel = "gemini-3.5-flash"

// Host serves the Gemini API.
const Host = "generativelanguage.googleapis.com"

// Settings are the settings that [New] and [NewVertex] take: either of the last two.
func Settings() []provider.Setting {
	return []provider.Setting{
		{Name: provider.Temperature, Help: "a number from 0 to 2: how free the wording is"},
		{Name: provider.TopP, Help: "a number from 0 to 1: the share of likely words that is considered"},
		{Name: provider.MaxTokens, Help: "a whole number from 1: the most tokens of an answer, thinking included"},
		{Name: provider.Seed, Help: "a whole number: asks for the same answer to the same question"},
		{Name: provider.ReasoningEffort, Help: "minimal, low, medium or high: how long the model thinks (Gemini 3 and later)", Values: []string{"minimal", "low", "medium", "high"}},
		{Name: provider.ThinkingBudget, Help: "a whole number from -1: the most tokens of thinking (Gemini 2.5); -1 leaves it to the model"},
	}
}

// Config is that of every provider.
type Config = provider.Config

// New opens a model of the Gemini API, whose key is needed. It calls no provider.
func New(ctx context.Context, c Config) (*provider.Model, error) { return open(ctx, c, nil) }

// NewVertex opens a model of Vertex AI; the configuration's key is not sent. It calls no
// provider. Without [Vertex].Token it looks for Google Cloud credentials, in files and, on
// a Google machine, at its metadata server.
func NewVertex(ctx context.Context, c Config, v Vertex) (*provider.Model, error) {
	if err := v.Validate(); err != nil {
		return nil, err
	}
	return open(ctx, c, &v)
}

func open(ctx context.Context, c Config, v *Vertex) (*provider.Model, error) {
	c.Model = cmp.Or(c.Model, DefaultModel)
	if c.Settings.ThinkingBudget != nil && c.Settings.ReasoningEffort != "" {
		return nil, fmt.Errorf("models: gemini takes either %s or %s", provider.ReasoningEffort, provider.ThinkingBudget)
	}
	host, account := Host, ""
	if v != nil {
		host, account = VertexHost(v.Location), "the Google Cloud project"
	}
	base := cmp.Or(c.BaseURL, &url.URL{Scheme: "https", Host: host})
	// Every field that genai would otherwise fill from the process environment is
	// set: GOOGLE_GEMINI_BASE_URL or GOOGLE_GENAI_USE_VERTEXAI must not send
	// documents where nobody asked for.
	config := &genai.ClientConfig{
		Backend:     genai.BackendGeminiAPI,
		HTTPClient:  provider.Client(c.HTTPClient),
		HTTPOptions: genai.HTTPOptions{BaseURL: base.String()},
	}
	if v == nil {
		if c.Key.Reveal() == "" {
			return nil, fmt.Errorf("models: gemini needs an API key")
		}
		config.APIKey = c.Key.Reveal()
	} else {
		config.Backend, config.Project, config.Location = genai.BackendVertexAI, v.Project, v.Location
		var err error
		if config.HTTPClient, err = v.authorized(ctx, config.HTTPClient, base); err != nil {
			return nil, err
		}
	}
	llm, err := adkgemini.NewModel(ctx, c.Model, config)
	if err != nil {
		// The cause may print the whole configuration, the key with it.
		return nil, fmt.Errorf("models: the gemini client refused its configuration")
	}
	once := &attempt{
		LLM: llm, settings: c.Settings, backend: config.Backend,
		target: provider.Target{Provider: "gemini", Model: c.Model, Host: base.Host, Key: c.KeyVariable, Account: account, Secret: c.Key, Hosted: c.BaseURL == nil},
		server: base.String(),
	}
	if own, ok := llm.(interface{ Client() *genai.Client }); ok {
		once.client = own.Client()
	}
	return provider.NewModel(once, once.target, c.Retry), nil
}

// GetGoogleLLMVariant tells ADK which backend this is.
func (a *attempt) GetGoogleLLMVariant() genai.Backend { return a.backend }

// Check implements [provider.Once].
func (a *attempt) Check(ctx context.Context) error {
	if a.client == nil {
		return nil
	}
	ctx, x := provider.Observe(ctx, provider.Keep{})
	_, err := a.client.Models.Get(ctx, a.target.Model, nil)
	if err == nil {
		return nil
	}
	err = a.explain(ctx, a.target, x, err)
	a.target.Suggest(err, func() (names []string, err error) {
		for m, err := range a.client.Models.All(ctx) {
			if err != nil || len(names) == provider.MaxNames {
				return names, err
			}
			if m != nil {
				names = append(names, m.Name[strings.LastIndexByte(m.Name, '/')+1:])
			}
		}
		return names, nil
	})
	return err
}

// attempt is ADK's adapter, called once.
type attempt struct {
	model.LLM
	client   *genai.Client
	backend  genai.Backend
	settings provider.Settings
	target   provider.Target
	server   string // whose state [provider.Seal] marks
}

// names is narrower than what Google accepts: the name becomes a path segment of a
// URL, so no slash, no dot segment, no escape.
var names = lazy.Regexp(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)

// GenerateContent implements [model.LLM].
func (a *attempt) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		to := a.target
		to.Model = cmp.Or(req.Model, to.Model) // a hook may have changed it, and ADK prefers it
		if !names().MatchString(to.Model) {
			yield(nil, to.Fail(provider.BadName, nil))
			return
		}
		own := a.copy(req)
		if len(own.Contents) == 0 {
			yield(nil, to.Fail(provider.Problem{Text: "the request is empty", Remedy: "ask something"}, nil))
			return
		}
		read := &reading{stream: stream}
		ctx, x := provider.Observe(ctx, provider.Keep{Error: true, Write: read.write})
		ended := false
		next := func(resp *model.LLMResponse, err error) bool {
			ended = ended || err != nil || !resp.Partial
			return yield(resp, err)
		}
		if left := a.answer(ctx, own, read, to, x, next); !left && !ended {
			nothing := provider.NoAnswer
			if stream {
				nothing = provider.BrokenOff // a stream has an event at least
			}
			yield(nil, a.incomplete(ctx, to, x, nothing))
		}
	}
}

// answer yields what ADK's adapter makes of one call, until an error or the final
// response. It reports whether the consumer has left.
//
// Google's library and ADK's adapter take some answers for granted and panic on
// others, such as a null among the parts. Those are unreadable, not fatal.
func (a *attempt) answer(ctx context.Context, req *model.LLMRequest, read *reading, to provider.Target, x *provider.Exchange, yield func(*model.LLMResponse, error) bool) (left bool) {
	consumer := false // whose panic is not ours
	next := func(resp *model.LLMResponse, err error) bool {
		consumer = true
		more := yield(resp, err)
		consumer = false
		left = !more
		return more
	}
	defer func() {
		if v := recover(); v != nil {
			if consumer {
				panic(v)
			}
			left = !yield(nil, to.Fail(provider.Unreadable, nil))
		}
	}()
	version, unfinished, continued := "", false, false
	var parts []*genai.Part
	for resp, err := range a.LLM.GenerateContent(ctx, req, read.stream) {
		if err != nil {
			if read.blocked != "" && x.Seen().Err == nil {
				err = blocked(to, read.blocked)
			} else {
				err = a.explain(ctx, to, x, err)
			}
			next(nil, err)
			return left
		}
		unfinished = goesOn(resp.Content, unfinished)
		continued = continued || unfinished
		if version = cmp.Or(resp.ModelVersion, version); resp.Partial {
			parts = gather(parts, resp.Content)
			if piece(resp) && !next(resp, nil) {
				return left
			}
			continue
		}
		resp.ModelVersion = version // ADK's aggregate has none
		if parts != nil && !continued {
			resp.Content.Parts = parts
		}
		if err := a.final(ctx, resp, to, x, req.Config.MaxOutputTokens > 0); err != nil {
			next(nil, err)
		} else if unfinished {
			next(nil, to.Fail(provider.BrokenOff, nil))
		} else {
			next(resp, nil)
		}
		return left
	}
	return left
}

// goesOn reports whether a call in content is to be continued by what follows, where
// open says that one before it is. Another call does not continue it.
func goesOn(content *genai.Content, open bool) bool {
	if content == nil {
		return open
	}
	for _, p := range content.Parts {
		if p == nil || p.FunctionCall == nil {
			continue
		}
		switch f := p.FunctionCall; {
		case f.WillContinue != nil && *f.WillContinue:
			open = true
		case f.Name == "" || f.PartialArgs != nil:
			open = false // the end of it
		}
	}
	return open
}

// piece makes resp one that only shows text and thoughts: calls, and why the answer
// ended, are the final response's to say. It reports whether anything is left.
func piece(resp *model.LLMResponse) bool {
	resp.FinishReason, resp.TurnComplete = "", false
	if resp.ErrorCode != "" {
		return false
	}
	resp.Content = keep(resp.Content, func(_ int, p *genai.Part) bool { return p.Text != "" && p.FunctionCall == nil })
	return resp.Content != nil && len(resp.Content.Parts) > 0
}

// final checks that resp is a whole answer, and takes from it what Google wants back.
func (a *attempt) final(ctx context.Context, resp *model.LLMResponse, to provider.Target, x *provider.Exchange, bounded bool) error {
	resp.Content = keep(resp.Content, func(int, *genai.Part) bool { return true })
	switch {
	case resp.FinishReason == "" && resp.ErrorCode != "":
		return blocked(to, resp.ErrorCode)
	case resp.FinishReason == "":
		// Whatever arrived may be half an answer, or half of a call's arguments.
		return a.incomplete(ctx, to, x, provider.BrokenOff)
	}
	resp.TurnComplete = true
	resp.ErrorMessage = "" // it may quote the prompt
	if err := to.Finish(resp, "", bounded); err != nil || resp.Content == nil {
		return err
	}
	resp.Content.Role = genai.RoleModel
	for _, p := range resp.Content.Parts {
		p.ThoughtSignature = provider.Seal(a.server, p.ThoughtSignature)
		if p.FunctionCall != nil {
			p.FunctionCall.Args = unmark(p.FunctionCall.Args)
		}
	}
	return nil
}

// incomplete is an answer that ended early: by an error that genai did not see, or
// just so.
func (a *attempt) incomplete(ctx context.Context, to provider.Target, x *provider.Exchange, p provider.Problem) error {
	if err := x.Seen().Err; err != nil || ctx.Err() != nil {
		return a.explain(ctx, to, x, err)
	}
	return to.Fail(p, nil)
}

// copy returns req as it is sent. It copies as much as ADK's adapter writes to: that
// sets headers in Config.HTTPOptions and may append to Contents.
func (a *attempt) copy(req *model.LLMRequest) *model.LLMRequest {
	out := *req
	out.Contents = history(req.Contents, a.server)
	config := a.settings.Apply(req.Config)
	sane(config)
	if config.ThinkingConfig == nil && (a.settings.ThinkingBudget != nil || a.settings.ReasoningEffort != "") {
		config.ThinkingConfig = &genai.ThinkingConfig{ThinkingBudget: a.settings.ThinkingBudget, ThinkingLevel: levels[a.settings.ReasoningEffort]}
	}
	var options genai.HTTPOptions
	if config.HTTPOptions != nil {
		options = *config.HTTPOptions
	}
	options.Headers = options.Headers.Clone()
	if options.Headers == nil {
		options.Headers = http.Header{}
	}
	// Hooks may shape a request, not redirect it: documents and key go to the host
	// that was opened.
	options.BaseURL = ""
	config.HTTPOptions = &options
	out.Config = config
	return &out
}
