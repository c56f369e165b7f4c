package gemini

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/secret"
)

type never struct{ t *testing.T }

func (n never) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("%s was sent with %q", r.URL, r.Header.Get("Authorization"))
	return nil, http.ErrAbortHandler
}

// Nothing outside can make the library leave the origin today; the token would not
// go along if it did.
func TestBearerKeepsItsTokenFromOtherOrigins(t *testing.T) {
	b := &bearer{base: never{t}, origin: "https://eu.test", token: func(context.Context) (secret.String, error) { return secret.New("x"), nil }}
	for _, url := range []string{"https://us.test/", "http://eu.test/", "https://eu.test:8443/", "https://eu.test.acme-corp.com/"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("document"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := b.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s was answered", url)
		}
	}
}
