package openai

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	api "github.com/sashabaranov/go-openai"

	"github.com/jitagent/jitagent/models/provider"
)

// A failure is an error as the server states it, before its answer or within.
type failure struct{ provider.Refusal }

func (f *failure) Error() string { return "the server answered with an error" }

// stating is where servers put an error, and what they say of it.
type stating struct {
	Error    jsontext.Value `json:"error"`
	Code     text           `json:"code"`
	Type     text           `json:"type"`
	Status   text           `json:"status"` // Google's word for the kind
	Message  text           `json:"message"`
	Detail   text           `json:"detail"` // FastAPI
	Details  jsontext.Value `json:"details"`
	Inner    jsontext.Value `json:"innererror"` // Azure
	Metadata jsontext.Value `json:"metadata"`   // OpenRouter
}

// readFailure reads an error object, alone or as the member "error" of another, or a
// bare text in its place.
func readFailure(data []byte) *failure {
	f := &failure{}
	var s stating
	if decode(data, &s) != nil {
		f.Message, f.Page = string(data), true
		return f
	}
	f.Code, f.Kind, f.Message = string(s.Code), cmp.Or(string(s.Type), string(s.Status)), cmp.Or(string(s.Message), string(s.Detail))
	// These are of another form at other servers: then there is nothing to read in them.
	var inner stating
	var behind struct {
		Raw text `json:"raw"` // what the provider behind a gateway says
	}
	_, _, _ = decode(s.Details, &f.Details), decode(s.Inner, &inner), decode(s.Metadata, &behind)
	f.Code, f.Message = cmp.Or(f.Code, string(inner.Code)), f.Message+string(behind.Raw)
	if stated(s.Error) {
		if s.Error.Kind() == '{' {
			return readFailure(s.Error)
		}
		_ = decode(s.Error, &f.Message)
	}
	f.Page = f.Message == "Not Found" // FastAPI, of a path that it does not know
	f.Status = statusOf(f.Code, f.Kind)
	return f
}

// statusOf returns the status that an error within an answer would have had before
// it: some servers write it as the code, others have a word for it.
func statusOf(code, kind string) int {
	if n, err := strconv.Atoi(code); err == nil && n >= 400 && n < 600 {
		return n
	}
	switch {
	case code == "rate_limit_exceeded":
		return http.StatusTooManyRequests
	case code == "server_error", kind == "server_error":
		return http.StatusInternalServerError
	}
	return 0
}

// explain turns what went wrong into a [provider.Error]. A context's end stays what
// it is.
func (c *call) explain(err error) error {
	if ended := c.to.Ended(c.ctx); ended != nil {
		return ended
	}
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[provider.Unsupported](err); ok {
		return c.to.Unsupported(e)
	}
	for sentinel, p := range map[error]provider.Problem{
		api.ErrReasoningToolsRequireResponses:    {Text: "the model takes tools over the Responses API only", Remedy: "leave out the setting api=chat"},
		api.ErrReasoningEffortUnsupported:        {Text: "the model does not take this reasoning effort", Remedy: "choose another reasoning_effort"},
		api.ErrReasoningSamplingUnsupported:      noSampling,
		api.ErrReasoningModelLimitationsOther:    noSampling,
		api.ErrReasoningModelLimitationsLogprobs: noSampling,
	} {
		if errors.Is(err, sentinel) {
			return c.to.Fail(p, sentinel)
		}
	}
	if f, ok := errors.AsType[*failure](err); ok {
		f.RetryAfter = c.exchange.Seen().RetryAfter
		e := c.to.Refused(f.Refusal, &api.APIError{
			HTTPStatusCode: f.Status, HTTPStatus: http.StatusText(f.Status), Code: provider.Code(f.Code), Type: provider.Code(f.Kind),
		})
		if f.Status == http.StatusNotFound && c.bare && f.Code != "model_not_found" {
			e.Problem, e.Remedy = "there is no such model or API at this address", "check the name, and the base URL: most servers want /v1 at its end"
		}
		return e
	}
	if c.bare && errors.Is(err, provider.ErrUnreadable) && !c.exchange.Seen().Streams {
		return c.to.Fail(provider.Problem{Text: "what is at this address does not answer as the API does", Remedy: "check the base URL: most servers want /v1 at its end"}, nil)
	}
	return c.to.Unanswered(c.exchange, err)
}

var noSampling = provider.Problem{Text: "the model takes no temperature, top_p, penalties or log probabilities", Remedy: "leave them out"}
