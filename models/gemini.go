package models

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"

	"google.golang.org/adk/v2/model"
	adkgemini "google.golang.org/adk/v2/model/gemini"
	"google.golang.org/genai"
)

// DefaultGemini is what plain "gemini" opens: a stable model for which Google has
// announced no shutdown.
const DefaultGemini = "gemini-3.5-flash"

// gemini is ADK's adapter with its rough edges taken off: requests are not
// changed, failures are [CallError], and a stream that ends early is one.
type gemini struct {
	inner  model.LLM
	client *genai.Client
	host   string
	key    string // the variable's name, for remedies
}

func openGemini(ctx context.Context, p Provider, name string, key apiKey, opts Options) (model.LLM, error) {
	base, err := baseURL(p, opts.BaseURL)
	if err != nil {
		return nil, err
	}
	// Every field that genai would otherwise fill from the process environment is
	// set: GOOGLE_GEMINI_BASE_URL or GOOGLE_GENAI_USE_VERTEXAI must not send
	// documents where nobody asked for.
	llm, err := adkgemini.NewModel(ctx, name, &genai.ClientConfig{
		APIKey:      key.Reveal(),
		Backend:     genai.BackendGeminiAPI,
		HTTPClient:  boundedClient(opts.HTTPClient),
		HTTPOptions: genai.HTTPOptions{BaseURL: base.String()},
	})
	if err != nil {
		// The cause may print the whole configuration, the key with it.
		return nil, fmt.Errorf("models: the gemini client refused its configuration")
	}
	g := &gemini{inner: llm, host: base.Host, key: key.variable}
	if c, ok := llm.(interface{ Client() *genai.Client }); ok {
		g.client = c.Client()
	}
	return g, nil
}

// Name returns the name without the provider: ADK sends it as the model's name.
func (g *gemini) Name() string { return g.inner.Name() }

// GetGoogleLLMVariant lets ADK see through the wrapper which backend this is: it
// shapes requests and spans by it.
func (g *gemini) GetGoogleLLMVariant() genai.Backend { return genai.BackendGeminiAPI }

// GenerateContent implements [model.LLM].
func (g *gemini) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		ctx, feedback := watchFeedback(ctx)
		name := g.Name()
		if req.Model != "" {
			name = req.Model // a hook may have changed it, and ADK prefers it
		}
		if !modelNames.MatchString(name) {
			yield(nil, g.failure(name, problem{text: "the model name is malformed", remedy: "choose another"}))
			return
		}
		finished := false
		for resp, err := range g.inner.GenerateContent(ctx, copyRequest(req), stream) {
			if err != nil {
				if reason := feedback.blocked(); reason != "" {
					yield(nil, g.blocked(name, reason))
					return
				}
				yield(nil, g.explain(ctx, name, err))
				return
			}
			switch {
			case resp.Partial && resp.ErrorCode != "":
				continue // repeated by the final response
			case !resp.Partial && resp.FinishReason == "" && resp.ErrorCode != "":
				yield(nil, g.blocked(name, resp.ErrorCode))
				return
			case !resp.Partial && resp.FinishReason == "":
				// Whatever arrived may be half an answer, or half of a call's arguments.
				yield(nil, g.failure(name, problem{text: "the answer broke off", remedy: "try again"}))
				return
			case !resp.Partial:
				finished = true
				resp.TurnComplete = true
			}
			if !yield(resp, nil) {
				return
			}
		}
		if !finished {
			yield(nil, g.failure(name, problem{text: "there was no answer", remedy: "try again"}))
		}
	}
}

// Check asks the provider about the model: the key is accepted and the model
// exists. No document is sent.
func (g *gemini) Check(ctx context.Context) error {
	if g.client == nil {
		return nil
	}
	if _, err := g.client.Models.Get(ctx, g.Name(), nil); err != nil {
		return g.explain(ctx, g.Name(), err)
	}
	return nil
}

// Check reports whether llm can be reached with the key it was opened with, for
// diagnosis. It sends no document. A model that needs no network is always
// reachable, and so, to Check, is a model that this package did not open.
func Check(ctx context.Context, llm model.LLM) error {
	if c, ok := llm.(interface{ Check(context.Context) error }); ok {
		return c.Check(ctx)
	}
	return nil
}

// copyRequest copies as much of req as ADK's adapter writes to: it sets headers in
// Config.HTTPOptions and may append to Contents.
func copyRequest(req *model.LLMRequest) *model.LLMRequest {
	out := *req
	out.Contents = slices.Clip(slices.Clone(req.Contents))
	var config genai.GenerateContentConfig
	if req.Config != nil {
		config = *req.Config
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
	out.Config = &config
	return &out
}
