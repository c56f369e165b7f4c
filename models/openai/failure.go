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

// A failure is an error as the server states it. message is looked at for known
// phrases and goes no further.
type failure struct {
	status              int
	code, kind, message string
	typed               error // the library's, without what the server wrote
}

func (f *failure) Error() string { return "the server answered with an error" }

// readFailure reads the error object of an event, or of an answer with status 200.
func readFailure(v jsontext.Value) error {
	f := &failure{}
	f.read(v)
	f.status = statusOf(f.code, f.kind)
	f.typed = f.apiError()
	return f
}

// read reads an error object, or a bare text in its place.
func (f *failure) read(v jsontext.Value) {
	var object struct {
		Code    jsontext.Value `json:"code"`
		Type    text           `json:"type"`
		Message text           `json:"message"`
	}
	if decode(v, &object) != nil {
		f.message = string(v)
		return
	}
	f.code, f.kind, f.message = unquote(object.Code), string(object.Type), string(object.Message)
}

// apiError is the library's error without what the server wrote.
func (f *failure) apiError() error {
	return &api.APIError{HTTPStatusCode: f.status, HTTPStatus: http.StatusText(f.status), Code: provider.Code(f.code), Type: provider.Code(f.kind)}
}

func unquote(v jsontext.Value) string {
	var s string
	if decode(v, &s) == nil {
		return s
	}
	return string(v)
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
	if e, ok := errors.AsType[unsupportedError](err); ok {
		return c.to.Fail(provider.Problem{Text: "the API cannot be asked for " + string(e), Remedy: "leave it out, or use another provider"}, nil)
	}
	for sentinel, p := range map[error]provider.Problem{
		api.ErrReasoningToolsRequireResponses:    {Text: "the model takes tools over the Responses API only", Remedy: "leave out the setting api=chat"},
		api.ErrReasoningEffortUnsupported:        {Text: "the model does not take this reasoning effort", Remedy: "choose another reasoning_effort"},
		api.ErrReasoningSamplingUnsupported:      noSampling,
		api.ErrReasoningModelLimitationsOther:    noSampling,
		api.ErrReasoningModelLimitationsLogprobs: noSampling,
		api.ErrChatCompletionInvalidModel:        {Text: "the model does not chat", Remedy: "choose another name"},
	} {
		if errors.Is(err, sentinel) {
			return c.to.Fail(p, sentinel)
		}
	}
	if f := failureOf(err, c.exchange); f != nil {
		return c.failed(f)
	}
	if errors.Is(err, errUnreadable) || errors.Is(err, api.ErrTooManyEmptyStreamMessages) {
		return c.to.Fail(provider.Unreadable, nil)
	}
	return c.to.Unanswered(err)
}

var noSampling = provider.Problem{Text: "the model takes no temperature, top_p, penalties or log probabilities", Remedy: "leave them out"}

// failureOf returns the error that the server stated, nil when it stated none.
func failureOf(err error, x *provider.Exchange) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	f := &failure{status: x.Status()}
	if e, ok := errors.AsType[*api.RequestError](err); ok { // first: it may wrap half an APIError
		f.status = e.HTTPStatusCode
		var body struct {
			Error jsontext.Value `json:"error"`
		}
		if decode(e.Body, &body) == nil && len(body.Error) > 0 {
			f.read(body.Error)
		} else {
			f.read(e.Body) // vLLM's older form, or no JSON at all
		}
		f.typed = &api.RequestError{HTTPStatusCode: f.status, HTTPStatus: http.StatusText(f.status)}
		return f
	}
	if e, ok := errors.AsType[*api.APIError](err); ok {
		f.kind, f.message = e.Type, e.Message
		switch code := e.Code.(type) {
		case string:
			f.code = code
		case int:
			f.code = strconv.Itoa(code)
		}
		if f.code == "" && e.InnerError != nil {
			f.code = e.InnerError.Code
		}
		f.status = cmp.Or(e.HTTPStatusCode, statusOf(f.code, f.kind))
		f.typed = f.apiError()
		return f
	}
	if f.status >= 300 {
		f.typed = &api.RequestError{HTTPStatusCode: f.status, HTTPStatus: http.StatusText(f.status)}
		return f // its body could not be read
	}
	return nil
}

// failed words f.
func (c *call) failed(f *failure) error {
	reason := provider.Code(f.code)
	if reason == "" {
		reason = provider.Code(f.kind)
	}
	var p provider.Problem
	switch {
	case provider.ContextTooLong(f.code, f.kind, f.message):
		p = provider.TooLong
	case f.code == "content_filter":
		p = provider.Problem{Text: "the provider blocked the prompt", Remedy: "its content policy forbids this content: use another document or model"}
	case f.status == http.StatusNotFound && c.bare && f.code != "model_not_found":
		p = provider.Problem{Text: "there is no such model or API at this address", Remedy: "check the name, and the base URL: most servers want /v1 at its end"}
	case f.status == 0:
		p = provider.Problem{Text: "the provider failed", Remedy: "try again later"}
	default:
		p = c.to.Status(f.status, reason)
	}
	e := c.to.Fail(p, f.typed)
	e.Status, e.Reason, e.RetryAfter = f.status, reason, c.exchange.RetryAfter()
	return e
}
