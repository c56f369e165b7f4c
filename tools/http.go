package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
)

const (
	// maxBody bounds what is read of one API response, after decompression.
	maxBody = 4 << 20
	// bodyTime bounds how long a response's body may take, so that one that drips
	// does not hold the call.
	bodyTime = 30 * time.Second
	// maxReads bounds how often a GET whose answer breaks off is made.
	maxReads = 3
)

// GetJSON fetches url and decodes the JSON answer into out; a nil out ignores it.
// An answer that is not 2xx is an *[APIError]. No other error's text is meant for
// the model: return it as it is, and package jitmw finds the words. An answer that
// breaks off is asked for again, a few times.
func (c Context) GetJSON(url string, out any) error {
	answer, err := c.get(url, "application/json")
	if err != nil {
		return err
	}
	if err := answer.JSON(out); err != nil {
		return &jitmw.Failure{Message: "the API's answer is not the JSON that was expected", Err: err}
	}
	return nil
}

// Get fetches url for a tool that takes whatever the API has. Its errors are those
// of GetJSON.
func (c Context) Get(url string) (*Answer, error) {
	return c.get(url, "application/json, text/*;q=0.9, */*;q=0.5")
}

func (c Context) get(url, accept string) (*Answer, error) {
	for attempt := 1; ; attempt++ {
		req, err := http.NewRequestWithContext(c, http.MethodGet, url, nil)
		if err != nil {
			return nil, fmt.Errorf("tools: GET: %w", err)
		}
		req.Header.Set("Accept", accept)
		answer, err := c.do(req)
		if errors.Is(err, errBrokeOff) && attempt < maxReads && c.Err() == nil {
			continue
		}
		if err == nil && answer.cut != nil {
			err = &jitmw.Failure{Message: fmt.Sprintf("the API's answer is larger than %d bytes", maxBody)}
		}
		return answer, err
	}
}

// PostJSON sends in as JSON and decodes the JSON answer into out; a nil out ignores
// it. A repeat of the same call carries the same Idempotency-Key. Errors are those
// of GetJSON, and one more: an *[AcceptedError] says that the request took effect,
// and out could not be filled. Returned as it is, it is a success to the model.
func (c Context) PostJSON(url string, in, out any) error {
	answer, err := c.Post(url, in)
	if err != nil {
		return err
	}
	if err := answer.JSON(out); err != nil {
		return &AcceptedError{Answer: answer, Err: err}
	}
	return nil
}

// Post sends in as JSON. Whatever it returns without an error took effect: a 2xx
// answer with any body, whole or not, or 303 (RFC 9110, section 15.4.4). An error may
// leave that open ([jit.InDoubt]); the model is told so, whatever the tool makes of it.
func (c Context) Post(url string, in any) (*Answer, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("tools: encode the request: %w", err)
	}
	req, err := http.NewRequestWithContext(c, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("tools: POST: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	return c.do(req)
}

// errBrokeOff is an answer whose body ended too early.
var errBrokeOff = errors.New("the answer broke off")

// errTooSlow is an answer whose body took longer than bodyTime.
var errTooSlow = errors.New("the answer did not end in time")

func (c Context) do(req *http.Request) (*Answer, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	defer cancel(nil)
	resp, err := c.client.Do(req.WithContext(ctx)) //nolint:gosec // the URL is the tool's own, and credentials go to one origin alone
	if err != nil {
		return nil, unanswered(err)
	}
	defer func() { _ = resp.Body.Close() }()
	late := time.AfterFunc(bodyTime, func() { cancel(errTooSlow) })
	defer late.Stop()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	answer := &Answer{StatusCode: resp.StatusCode, Type: resp.Header.Get("Content-Type"), Body: body}
	if at, lerr := resp.Location(); lerr == nil && at.Scheme == req.URL.Scheme && at.Host == req.URL.Host && at.User == nil {
		answer.Location = at.String()
	}
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errTooSlow):
		answer.cut = fmt.Errorf("%w: %w", errTooSlow, err)
	case err != nil:
		answer.cut = fmt.Errorf("%w: %w", errBrokeOff, err)
	case len(body) > maxBody:
		answer.Body, answer.cut = body[:maxBody], strictjson.ErrTooLarge
	}
	read := req.Method == http.MethodGet
	switch {
	case err != nil && read:
		return nil, unanswered(answer.cut)
	case resp.StatusCode/100 == 2, resp.StatusCode == http.StatusSeeOther && !read: // it took effect, whatever can be read of it
		return answer, nil
	case answer.cut != nil:
		return nil, &APIError{StatusCode: resp.StatusCode}
	}
	return nil, apiError(resp.StatusCode, answer.Body)
}

// An AcceptedError reports a request that took effect, and whose answer is not the
// one that was expected. A tool made by [New] that returns it has worked: the model
// is shown what the API said.
type AcceptedError struct {
	Answer *Answer
	Err    error // why it could not be read
}

func (e *AcceptedError) Error() string {
	return fmt.Sprintf("the API took the request (%d), and its answer cannot be read: %v", e.Answer.StatusCode, e.Err)
}

// Unwrap returns why the answer could not be read.
func (e *AcceptedError) Unwrap() error { return e.Err }

// result is what the model is shown.
func (e *AcceptedError) result() map[string]any {
	m := map[string]any{"note": fmt.Sprintf("the API took the request and answered %d; it is done", e.Answer.StatusCode)}
	if text, err := e.Answer.Text(); err == nil && strings.TrimSpace(text) != "" {
		m["answer"] = text
	}
	if e.Answer.Location != "" {
		m["location"] = e.Answer.Location
	}
	return m
}

// unanswered words an exchange that broke. What package jit decided, and the end
// of a context, jitmw words; the rest names addresses of the network.
func unanswered(err error) error {
	for _, known := range []error{
		jit.ErrDenied, jit.ErrPending, jit.ErrOutsideCeiling, jit.ErrOvergrant, jit.ErrSilent, jit.ErrStillRefused, jit.ErrUnreadable, jit.ErrTaskEnded,
		jit.ErrScope, jit.ErrLogin, jit.ErrNotReplayable, jit.ErrInDoubt,
	} {
		if errors.Is(err, known) {
			return err
		}
	}
	if _, ok := errors.AsType[*jit.AuthorityError](err); ok {
		return err // of the authorization server
	}
	if _, ok := errors.AsType[*jitmw.Failure](err); ok {
		return err // of the redirect's check
	}
	what, why := "the API could not be reached", peer.Broke(err).String()
	switch {
	case errors.Is(err, errTooSlow):
		why = errTooSlow.Error()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case peer.Broke(err) == peer.Unknown && errors.Is(err, errBrokeOff):
		what, why = "the API's answer could not be read", "the log says why"
	case peer.Broke(err) == peer.Unknown:
		what, why = "the exchange with the API failed", "the log says why"
	}
	return &jitmw.Failure{Message: what + ": " + why, Advice: "Say so in your answer.", Err: err}
}

// An APIError is an answer of the API that is not 2xx.
type APIError struct {
	StatusCode int
	Message    string // what the API says, bounded and without control characters
}

func (e *APIError) Error() string {
	if e.Message == "" {
		return strings.TrimSpace(fmt.Sprintf("the API answered %d %s", e.StatusCode, http.StatusText(e.StatusCode)))
	}
	return fmt.Sprintf("the API answered %d: %s", e.StatusCode, e.Message)
}

// apiError reads an error body: the first of error_description, message, detail
// and error that is a text.
func apiError(status int, body []byte) error {
	var wire map[string]any
	e := &APIError{StatusCode: status}
	if strictjson.Unmarshal(body, &wire) == nil {
		for _, name := range []string{"error_description", "message", "detail", "error"} {
			if s, ok := wire[name].(string); ok && s != "" {
				e.Message = peer.Clean(s, 600)
				break
			}
		}
	}
	return e
}

// notFound words a 404 for the model.
func notFound(err error, what string) error {
	if e, ok := errors.AsType[*APIError](err); ok && e.StatusCode == http.StatusNotFound {
		return &jitmw.Failure{Status: jit.CallNotFound, Message: what + " does not exist", Advice: "Say so in your answer; do not guess another id."}
	}
	return err
}
