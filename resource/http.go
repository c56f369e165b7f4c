package resource

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/oauth"
)

const (
	callTimeout = 10 * time.Second // one question to the authorization server
	maxDocument = 256 << 10        // of metadata, a key set or an introspection
)

// newClient returns a copy of c that follows no redirect (an introspection
// endpoint that answers 307 would have the token and secret posted elsewhere)
// and keeps no cookies.
func newClient(c *http.Client) *http.Client {
	var out http.Client
	if c != nil {
		out = *c
	}
	out.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	out.Jar = nil
	return &out
}

// do sends req and returns the body of a 200 answer, bounded.
func do(client *http.Client, req *http.Request) ([]byte, error) {
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		s := &statusError{method: req.Method, url: req.URL.Redacted(), status: resp.StatusCode}
		if body, err := strictjson.ReadAll(resp.Body, maxDocument); err == nil {
			if o, err := oauth.Decode(body); err == nil {
				s.code = o.Text("error")
			}
		}
		return nil, s
	}
	body, err := strictjson.ReadAll(resp.Body, maxDocument)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", req.Method, req.URL.Redacted(), err)
	}
	return body, nil
}

// get reads a public document.
func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return do(client, req)
}

// A statusError is an answer other than 200.
type statusError struct {
	method, url string
	status      int
	code        string // the OAuth error code; not to be shown
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s %s: status %d", e.method, e.url, e.status)
}
