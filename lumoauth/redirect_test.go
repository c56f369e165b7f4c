package lumoauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// A redirect from any endpoint, with any status, to another port or another host
// name, or to a path of the same server, reaches nobody.
func TestRedirectsAreNeverFollowed(t *testing.T) {
	var seen atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	defer elsewhere.Close()
	u, _ := url.Parse(elsewhere.URL)
	targets := map[string]string{
		"other port": elsewhere.URL + "/taken?client_secret=" + testSecret,
		"other host": "http://localhost:" + u.Port() + "/taken",
		"no scheme":  "//localhost:" + u.Port() + "/taken",
		"same host":  "/taken",
		"no URL":     "http://%zz" + testSecret,
	}
	for _, op := range operations() {
		for _, status := range []int{301, 302, 303, 307, 308} {
			for name, target := range targets {
				t.Run(fmt.Sprintf("%s/%d/%s", op.name, status, name), func(t *testing.T) {
					redirect := func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Location", target)
						w.WriteHeader(status)
					}
					routes := goodRoutes()
					routes["POST /taken"], routes["GET /taken"] = replies(200, `{}`), replies(200, `{}`)
					f := newFake(routes)
					if op.name == "ExchangeOnBehalfOf" {
						f.routes[op.route] = inTurn(f.routes[loginRoute], redirect)
					} else {
						f.routes[op.route] = redirect
					}
					c := overSockets(t, f)
					err := op.call(t.Context(), c)
					if e, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, ErrRedirected) || e.StatusCode != status {
						t.Errorf("%s = %v, want a refused redirect with status %d", op.name, err, status)
					}
					if err != nil && (strings.Contains(err.Error(), testSecret) || strings.Contains(err.Error(), "taken")) {
						t.Errorf("%s = %v, want the host alone", op.name, err)
					}
					if n := f.count("POST /taken") + f.count("GET /taken"); n != 0 {
						t.Errorf("%s followed the redirect on its own server", op.name)
					}
				})
			}
		}
	}
	if n := seen.Load(); n != 0 {
		t.Errorf("the other listener saw %d requests, want 0", n)
	}
}
