package tools

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"unicode"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
)

// maxBody bounds what is read of one API response.
const maxBody = 8 << 20

// GetJSON fetches url and decodes the JSON answer into out; a nil out ignores it.
// An answer that is not 2xx is an *[APIError]. No other error's text is meant for
// the model: return it as it is, and package jitmw finds the words. An answer that
// breaks off is asked for again, a few times.
func (c Context) GetJSON(url string, out any) error {
	for try := 1; ; try++ {
		req, err := http.NewRequestWithContext(c, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("tools: GET: %w", err)
		}
		if err = c.do(req, out); !errors.Is(err, errBrokeOff) || try >= maxReads || c.Err() != nil {
			return err
		}
	}
}

// maxReads bounds how often GetJSON asks.
const maxReads = 3

// errBrokeOff is an answer whose body ended too early.
var errBrokeOff = errors.New("the answer broke off")

// PostJSON sends in as JSON and decodes the JSON answer into out, with the same
// errors as GetJSON. A repeat of the same call carries the same Idempotency-Key.
func (c Context) PostJSON(url string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("tools: encode the request: %w", err)
	}
	req, err := http.NewRequestWithContext(c, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("tools: POST: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	return c.do(req, out)
}

func (c Context) do(req *http.Request, out any) error {
	req.Header.Set("Accept", "application/json")
	resp, err := c.client.Do(req) //nolint:gosec // the URL is the tool's own, and credentials go to one origin alone
	if err != nil {
		return unanswered(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := strictjson.ReadAll(resp.Body, maxBody)
	switch {
	case errors.Is(err, strictjson.ErrTooLarge):
		return &jitmw.Failure{Message: fmt.Sprintf("the API's answer is larger than %d bytes", maxBody)}
	case err != nil:
		return unanswered(fmt.Errorf("%w: %w", errBrokeOff, err))
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return apiError(resp.StatusCode, body)
	case out == nil:
		return nil
	}
	if err := strictjson.Unmarshal(body, out); err != nil {
		return &jitmw.Failure{Message: "the API's answer is not the JSON that was expected", Err: err}
	}
	return nil
}

// unanswered words an exchange that broke. What package jit decided, and the end
// of a context, jitmw words; the rest names addresses of the network.
func unanswered(err error) error {
	for _, known := range []error{
		jit.ErrDenied, jit.ErrPending, jit.ErrOutsideCeiling, jit.ErrOvergrant, jit.ErrStillRefused, jit.ErrTaskEnded,
		jit.ErrNotReplayable, jit.ErrMaybeExecuted, context.Canceled, context.DeadlineExceeded,
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
	return &jitmw.Failure{Message: "the API could not be reached: " + broken(err), Advice: "Say so in your answer.", Err: err}
}

// broken says without names and addresses how an exchange broke.
func broken(err error) string {
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "no answer in time"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "its name cannot be resolved"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate is not trusted"
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "the connection broke off"
	}
	return "the log says why"
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
				e.Message = plain(s, 300)
				break
			}
		}
	}
	return e
}

// plain cuts s to limit runes and drops what a terminal could take as a command.
func plain(s string, limit int) string {
	var b strings.Builder
	for _, r := range s {
		if limit--; limit < 0 {
			b.WriteString("…")
			break
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// notFound words a 404 for the model.
func notFound(err error, what string) error {
	if e, ok := errors.AsType[*APIError](err); ok && e.StatusCode == http.StatusNotFound {
		return &jitmw.Failure{Status: jit.CallNotFound, Message: what + " does not exist", Advice: "Say so in your answer; do not guess another id."}
	}
	return err
}
