package provider

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/secret"
)

// A Config says which model of a provider answers, and who asks.
type Config struct {
	// Model is the name at the server; "" means the provider's default.
	Model string
	// Key is the API key, and KeyVariable the variable it came from, for errors. An
	// empty key sends none, which is for servers that ask for none.
	Key         secret.String
	KeyVariable string
	// BaseURL is the server's address, of the form that the provider says. It must come
	// from [BaseURL]. nil means the provider's own.
	BaseURL *url.URL
	// HTTPClient makes the calls, through [Client]. nil is fine.
	HTTPClient *http.Client
	// Settings apply where a request does not say.
	Settings Settings
	// Retry bounds how temporary failures are tried again.
	Retry RetryPolicy
}

// A Model is one of a provider. It is safe for concurrent use.
type Model struct {
	llm  model.LLM
	once Once
}

// Once is what a provider implements: a model that makes each call once, and looks
// whether the server knows it. Both are safe for concurrent use.
type Once interface {
	model.LLM
	// Check asks the server about the model, as [Model.Check].
	Check(ctx context.Context) error
}

// NewModel returns the model that once makes the calls of, with answers as [Read] reads
// them for to, and failures tried again as [Retry] does.
func NewModel(once Once, to Target, p RetryPolicy) *Model {
	return &Model{Retry(Read(once, to), p), once}
}

// Name returns the name without the provider: ADK sends it as the model's name.
func (m *Model) Name() string { return m.once.Name() }

// GenerateContent implements [model.LLM].
func (m *Model) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	return m.llm.GenerateContent(ctx, req, stream)
}

// GetGoogleLLMVariant passes on what ADK asks a model, and shapes requests and spans by:
// which of Google's backends it is, if any.
func (m *Model) GetGoogleLLMVariant() genai.Backend {
	if g, ok := m.once.(interface{ GetGoogleLLMVariant() genai.Backend }); ok {
		return g.GetGoogleLLMVariant()
	}
	return genai.BackendUnspecified
}

// Check asks the server about the model: the key is accepted, and the model is there
// as far as the server can be asked: one that has no list of models gives
// [ErrCannotTell]. No document is sent, and nothing tried again.
func (m *Model) Check(ctx context.Context) error { return m.once.Check(ctx) }

// MaxNames bounds how many names of a server's models are read.
const MaxNames = 4096

// Suggest makes err, where it says that there is no such model, and names can be had and
// t's is not among them, say which of them to choose. It reports whether it does.
func (t Target) Suggest(err error, names func() ([]string, error)) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Status != http.StatusNotFound {
		return false
	}
	all, err := names()
	if err != nil || len(all) == 0 || len(all) >= MaxNames || slices.Contains(all, t.Model) {
		return false
	}
	e.Remedy = "choose another name, for example " + Shorten(all[0])
	if near := plain.Nearest(t.Model, all); near != "" {
		e.Remedy = "did you mean " + Shorten(near) + "?"
	}
	return true
}
