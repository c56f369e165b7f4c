package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
)

// maxBody bounds what is read of one API response.
const maxBody = 8 << 20

// GetJSON fetches url and decodes the JSON answer into out. An answer that is not
// 2xx is an *[APIError].
func (c Context) GetJSON(url string, out any) error {
	req, err := http.NewRequestWithContext(c, http.MethodGet, url, nil)
	if err != nil {
		return errors.New("the API's URL does not parse")
	}
	return c.do(req, out)
}

// PostJSON sends in as JSON and decodes the JSON answer into out.
func (c Context) PostJSON(url string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	req, err := http.NewRequestWithContext(c, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the API's URL does not parse")
	}
	req.Header.Set("Content-Type", "application/json")
	return c.do(req, out)
}

func (c Context) do(req *http.Request, out any) error {
	req.Header.Set("Accept", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		return reachable(req, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := strictjson.ReadAll(resp.Body, maxBody)
	if err != nil {
		return fmt.Errorf("read the API's answer: %w", err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return apiError(resp.StatusCode, body)
	}
	if err := strictjson.Unmarshal(body, out); err != nil {
		return errors.New("the API's answer is not the JSON that was expected")
	}
	return nil
}

// reachable keeps jit's errors and puts plain words to all others, which would
// otherwise show the model addresses of the network.
func reachable(req *http.Request, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL, whose query may hold anything
	}
	for _, known := range []error{jit.ErrDenied, jit.ErrPending, jit.ErrOutsideCeiling, jit.ErrOvergrant} {
		if errors.Is(err, known) {
			return err
		}
	}
	if req.Context().Err() != nil {
		return req.Context().Err()
	}
	return &UnreachableError{Host: req.URL.Host, Err: err}
}

// An UnreachableError reports a call that got no usable answer from the API or
// from the authorization server.
type UnreachableError struct {
	Host string // of the API
	Err  error
}

func (e *UnreachableError) Error() string { return fmt.Sprintf("call to %s failed: %v", e.Host, e.Err) }

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// An APIError is an answer of the API that is not 2xx.
type APIError struct {
	StatusCode int
	Message    string // what the API says, bounded and without control characters
}

func (e *APIError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("the API answered %d %s", e.StatusCode, http.StatusText(e.StatusCode))
	}
	return fmt.Sprintf("the API answered %d: %s", e.StatusCode, e.Message)
}

// apiError reads an error body: the first of error_description, message and error
// that is a text.
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
		return &jitmw.Failure{Status: "not_found", Message: what + " does not exist", Advice: "Say so in your answer; do not guess another id."}
	}
	return err
}
