package lumoauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
)

// The tests of weakness*_test.go are named for the weaknesses of LumoAuth's
// published SDKs that they keep out, by number. docs/promises.md lists them.

// SDKs keep Authorization on redirects to another port or to plain http, and
// replay the body of a 307.
func TestWeakness04_RedirectsCarryNothing(t *testing.T) {
	var seen atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	defer elsewhere.Close()
	for _, op := range operations() {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
		})
		follower := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
		c := overSockets(t, h, func(c *Config) { c.HTTPClient = follower })
		if err := op.call(t.Context(), c); !errors.Is(err, ErrRedirected) {
			t.Errorf("%s = %v, want %v also with a client that follows", op.name, err, ErrRedirected)
		}
		follower.CloseIdleConnections()
	}
	if n := seen.Load(); n != 0 {
		t.Errorf("the other port saw %d requests, want 0", n)
	}
}

// SDKs poll whatever absolute status_url a response names, with the bearer.
func TestWeakness05_URLsInResponsesAreNotCalled(t *testing.T) {
	var seen atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	defer elsewhere.Close()
	routes := goodRoutes()
	for route, state := range map[string]string{requestRoute: "pending", statusRoute: "approved"} {
		routes[route] = replies(200, fmt.Sprintf(`{"request_id":"jit_1","status":%q,"task_id":"task_1",
			"status_url":%q,"token_url":"/orgs/acme-corp/api/v1/evil"}`, state, elsewhere.URL))
	}
	routes[metadataRoute] = replies(200, fmt.Sprintf(`{"issuer":%[1]q,"token_endpoint":%[1]q,"jwks_uri":%[1]q,"introspection_endpoint":%[1]q}`, elsewhere.URL))
	f := newFake(routes)
	c := overSockets(t, f)
	for _, op := range operations() {
		if err := op.call(t.Context(), c); err != nil {
			t.Errorf("%s = %v", op.name, err)
		}
	}
	if n := seen.Load(); n != 0 {
		t.Errorf("the named URL saw %d requests, want 0", n)
	}
	for _, r := range routesOf(f.saw("")) {
		if strings.Contains(r, "evil") {
			t.Errorf("called %s, which only a response names", r)
		}
	}
}

// SDKs hand out a bare string: neither expiry nor what was granted can be seen.
func TestWeakness06_IssuedSaysWhatAndHowLong(t *testing.T) {
	c := inMemory(t, newFake(map[string]http.HandlerFunc{tokenRoute: replies(200, `{"access_token":"jit-token","token_type":"Bearer",
		"expires_in":240,"task_id":"task_1","authorization_details":[{"type":"file_access","actions":["read"],"identifier":"doc_9982"}]}`)}))
	got, err := c.Token(t.Context(), "jit_1")
	if err != nil || got.ExpiresIn != 4*time.Minute || len(got.Details) != 1 || !rar.Equal(got.Details[0], docDetail) {
		t.Errorf("Token() = %+v, %v, want 4m for %v", got, err, docDetail)
	}
}

// SDKs give up a whole wait at the first hiccup and ignore Retry-After.
func TestWeakness08_TransientFaultsAreRiddenOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		routes := goodRoutes()
		limited := func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "11")
			reply(w, 429, `{"error":"too_many_requests"}`)
		}
		routes[statusRoute] = inTurn(replies(502, `<html>`), limited, replies(503, ``), routes[statusRoute])
		f := newFake(routes)
		d, err := inMemory(t, f).Status(t.Context(), "jit_1")
		if err != nil || d.Status != jit.StatusApproved {
			t.Fatalf("Status() = %+v, %v, want approved", d, err)
		}
		if at := f.times(statusRoute); len(at) != 4 || at[2]-at[1] < 11*time.Second {
			t.Errorf("sent at %v, want 11s of wait before the third", at)
		}
	})
}

// The API has no idempotency key: a second create is a second task or request.
func TestWeakness10_CreatingIsNotRepeatedOnceItMayHaveWorked(t *testing.T) {
	for _, op := range operations() {
		if !creates(op) {
			continue
		}
		for name, fault := range map[string]error{
			"connection reset": errReset, "EOF": io.ErrUnexpectedEOF, "deadline of one try": context.DeadlineExceeded,
		} {
			f := newFake(goodRoutes())
			c := inMemory(t, f)
			c.transport = failing(f, op.route, fault)
			err := op.call(t.Context(), c)
			if n := f.count(op.route); err == nil || n != 1 {
				t.Errorf("%s after %s = %v, sent %d times, want an error after one", op.name, name, err, n)
			}
			if e, ok := errors.AsType[jit.Temporary](err); ok {
				if _, again := e.Temporary(); again {
					t.Errorf("%s after %s = %v, which invites the caller to repeat it", op.name, name, err)
				}
			}
		}
	}
}

// A response that breaks off in its body was preceded by the effect.
func TestWeakness10_CreatingIsNotRepeatedAfterABrokenBody(t *testing.T) {
	for _, op := range operations()[1:3] { // CreateTask, CompleteTask
		var n atomic.Int64
		f := newFake(goodRoutes())
		good := f.routes[op.route]
		f.routes[op.route] = func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) > 1 {
				good(w, r)
				return
			}
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"task_id":`)
		}
		err := op.call(t.Context(), overSockets(t, f))
		if creates(op) && (err == nil || n.Load() != 1) {
			t.Errorf("%s = %v, sent %d times, want an error after one", op.name, err, n.Load())
		}
		if !creates(op) && (err != nil || n.Load() != 2) {
			t.Errorf("%s = %v, sent %d times, want success at the second", op.name, err, n.Load())
		}
	}
}

// SDKs turn denied, expired, refused and unreadable into one and the same 403.
func TestWeakness12_OutcomesCanBeToldApart(t *testing.T) {
	f := newFake(nil)
	c := inMemory(t, f)
	f.routes[statusRoute] = inTurn(
		replies(200, `{"request_id":"jit_1","status":"denied","agent_message":"no"}`),
		replies(200, `{"request_id":"jit_1","status":"expired"}`),
		replies(403, `{"error":"access_denied"}`),
		replies(404, `{"error":"not_found"}`),
		replies(200, `what?`),
	)
	for _, want := range []jit.Status{jit.StatusDenied, jit.StatusExpired} {
		if d, err := c.Status(t.Context(), "jit_1"); err != nil || d.Status != want || d.RequestID != "jit_1" {
			t.Errorf("Status() = %+v, %v, want %v of jit_1", d, err, want)
		}
	}
	for _, want := range []error{ErrForbidden, ErrNotFound, ErrInvalidResponse} {
		if _, err := c.Status(t.Context(), "jit_1"); !errors.Is(err, want) {
			t.Errorf("Status() = %v, want %v", err, want)
		}
	}
}
