package jit_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

func TestOwnAuthorizationIsRefused(t *testing.T) {
	for name, header := range map[string]http.Header{
		"bearer":          {"Authorization": {"Bearer mine"}},
		"empty":           {"Authorization": {""}},
		"second value":    {"Authorization": {"", "Bearer mine"}},
		"lower case name": {"authorization": {"Bearer mine"}},
		"other case":      {"AUTHORIZATION": {"Bearer mine"}},
	} {
		c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil)
		sent := 0
		c.over(tripper(func(*http.Request) (*http.Response, error) { sent++; return nil, errors.New("sent") }))
		body := &closing{Reader: strings.NewReader("text")}
		req := must(http.NewRequestWithContext(c.task.Call(t.Context(), jit.Call{}), "POST", c.base, body))
		req.Header = header
		resp, err := c.Transport.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if err == nil || sent != 0 || body.closed != 1 {
			t.Errorf("%s: %v after %d sent, body closed %d times, want an error, 0, 1", name, err, sent, body.closed)
		}
	}
	c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil)
	if _, _, err := c.send(t.Context(), jit.Call{}, "GET", "https://user:pw@api.example.com/", ""); err == nil || strings.Contains(err.Error(), "pw@") {
		t.Errorf("user information in the URL: %v, want an error without the password", err)
	}
}

// closing counts how often a body is closed.
type closing struct {
	io.Reader
	closed int
}

func (c *closing) Close() error { c.closed++; return nil }

func TestRequestIsNotModified(t *testing.T) {
	c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil)
	ctx := c.task.Call(t.Context(), jit.Call{ID: "1", Ceiling: []rar.Detail{write("reports")}})
	req := must(http.NewRequestWithContext(ctx, "POST", c.base+"/reports?x=1", strings.NewReader("text")))
	req.Header.Set("Accept", "text/plain")
	header, body, before := maps.Clone(req.Header), req.Body, *req
	resp, err := c.Transport.RoundTrip(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("POST = %v, %v", resp, err)
	}
	_ = resp.Body.Close()
	if diff := cmp.Diff(header, req.Header); diff != "" {
		t.Errorf("header (-before +after):\n%s", diff)
	}
	if req.Body != body || req.URL != before.URL || req.Host != before.Host || req.ContentLength != before.ContentLength {
		t.Error("the request was changed")
	}
	if resp.Request != req {
		t.Errorf("the response's request is %v, want the caller's, which holds no token", resp.Request.Header)
	}
}

func TestBodyArrivesWholeBothTimes(t *testing.T) {
	var bodies []string
	var keys []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		if r.Header.Get("Authorization") != "Bearer "+fake.TokenFor(write("reports")) {
			_ = challenge.Write(w, 403, write("reports"), "")
		}
	}))
	defer srv.Close()
	c := newClient(t, jit.Config{Authority: &fake.Authority{}}, must(jit.ParseOrigin(srv.URL)), srv.URL, nil)
	text := strings.Repeat("0123456789", 50_000)
	status, _, err := c.send(t.Context(), jit.Call{ID: "1", Ceiling: []rar.Detail{write("reports")}}, "POST", srv.URL+"/reports", text)
	if err != nil || status != 200 {
		t.Fatalf("POST = %d, %v", status, err)
	}
	if len(bodies) != 2 || bodies[0] != text || bodies[1] != text {
		t.Errorf("%d bodies, want the same text twice", len(bodies))
	}
	if keys[0] == "" || keys[0] != keys[1] {
		t.Errorf("Idempotency-Key %q, want one and the same", keys)
	}
}

func TestBodyThatCannotBeReplayedAsksForNothing(t *testing.T) {
	authority := &fake.Authority{}
	c := offline(t, jit.Config{Authority: authority}, nil)
	body := &closing{Reader: strings.NewReader("text")}
	ctx := c.task.Call(t.Context(), jit.Call{ID: "1", Ceiling: []rar.Detail{write("reports")}})
	resp, err := c.Do(must(http.NewRequestWithContext(ctx, "POST", c.base+"/reports", body)))
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, jit.ErrNotReplayable) || len(authority.Requests()) != 0 || body.closed != 1 {
		t.Errorf("POST = %v after %d requests, body closed %d times, want ErrNotReplayable after 0, 1", err, len(authority.Requests()), body.closed)
	}
}

// The body belongs to whoever sends it. What was never handed on, and each copy
// that was not, is closed here, once.
func TestEveryBodyIsClosedOnce(t *testing.T) {
	for name, test := range map[string]struct {
		cfg      jit.Config
		base     func(next http.RoundTripper) tripper // nil is next
		bodyFor  func(n int) error                    // of GetBody
		ended    bool
		wantBody int
	}{
		"success":             {wantBody: 3},
		"outside the ceiling": {cfg: jit.Config{Policy: []rar.Detail{}}, wantBody: 2},
		"no login":            {cfg: jit.Config{Authority: &fake.Authority{Login: func() (jit.Credential, error) { return jit.Credential{}, errors.New("no") }}}, wantBody: 2},
		"denied": {cfg: jit.Config{Authority: &fake.Authority{Decide: func(jit.Request) (jit.Decision, error) {
			return jit.Decision{Status: jit.StatusDenied}, nil
		}}}, wantBody: 2},
		"no journal":       {cfg: jit.Config{Journal: &journal{fail: failOn(jit.EntryCallSent, 1)}}, wantBody: 2},
		"no journal later": {cfg: jit.Config{Journal: &journal{fail: failOn(jit.EntryCallSent, 2)}}, wantBody: 3},
		"GetBody fails": {bodyFor: func(n int) error {
			if n == 2 {
				return errors.New("gone")
			}
			return nil
		}, wantBody: 2},
		"connection fails": {base: func(http.RoundTripper) tripper { return closeAndFail }, wantBody: 2},
		"task has ended":   {ended: true, wantBody: 1},
	} {
		t.Run(name, func(t *testing.T) {
			if test.cfg.Authority == nil {
				test.cfg.Authority = &fake.Authority{}
			}
			c := offline(t, test.cfg, nil)
			if test.base != nil {
				c.over(test.base(nil))
			}
			if test.ended {
				if err := c.task.Complete(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			bodies := []*closing{{Reader: strings.NewReader("text")}}
			ctx := c.task.Call(t.Context(), jit.Call{ID: "1", Ceiling: []rar.Detail{write("reports")}})
			req := must(http.NewRequestWithContext(ctx, "POST", c.base+"/reports", bodies[0]))
			opened := 0
			req.GetBody = func() (io.ReadCloser, error) {
				opened++
				if test.bodyFor != nil {
					if err := test.bodyFor(opened); err != nil {
						return nil, err
					}
				}
				bodies = append(bodies, &closing{Reader: strings.NewReader("text")})
				return bodies[len(bodies)-1], nil
			}
			resp, err := c.Transport.RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			if (err == nil) != (name == "success") {
				t.Errorf("POST = %v", err)
			}
			if len(bodies) != test.wantBody {
				t.Errorf("%d bodies were opened, want %d", len(bodies), test.wantBody)
			}
			for i, b := range bodies {
				if b.closed != 1 {
					t.Errorf("body %d of %d was closed %d times, want once", i, len(bodies), b.closed)
				}
			}
		})
	}
}

func closeAndFail(r *http.Request) (*http.Response, error) {
	_ = r.Body.Close()
	return nil, errors.New("connection refused")
}

// failOn fails the nth entry of a kind, and all that come after.
func failOn(kind jit.EntryKind, n int) func(jit.Entry) error {
	return func(e jit.Entry) error {
		if e.Kind == kind {
			n--
		}
		if e.Kind == kind && n <= 0 {
			return errors.New("disk full")
		}
		return nil
	}
}

func TestBrokenBaseTransportIsAnError(t *testing.T) {
	for name, base := range map[string]tripper{
		"nothing": func(*http.Request) (*http.Response, error) { return nil, nil },
		"no body": func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 403}, nil },
	} {
		c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil).over(base)
		req := must(http.NewRequestWithContext(c.task.Call(t.Context(), jit.Call{}), "GET", c.base, nil))
		resp, err := c.Transport.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if (name == "nothing") != (err != nil) {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
	}
}

// net/http sends a request again by itself when a kept connection breaks, if the
// request has an Idempotency-Key. Whether the API honors the key is not known, so
// that would be a second effect behind the journal's back.
func TestBrokenConnectionIsNoSilentSecondTry(t *testing.T) {
	for _, own := range []string{"", "mine"} {
		for _, body := range []string{"text", ""} {
			var posts atomic.Int32
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.Method == "POST" {
					posts.Add(1)
					panic(http.ErrAbortHandler) // the connection breaks after the effect
				}
			}))
			srv.Start()
			log := &journal{}
			c := newClient(t, jit.Config{Authority: &fake.Authority{}, Journal: log}, must(jit.ParseOrigin(srv.URL)), srv.URL, nil)
			c.over(&http.Transport{MaxConnsPerHost: 1})
			if status, _, err := c.send(t.Context(), jit.Call{ID: "1"}, "GET", srv.URL, ""); err != nil || status != 200 {
				t.Fatalf("GET = %d, %v", status, err)
			}
			var header []string
			if own != "" {
				header = []string{"Idempotency-Key", own}
			}
			_, _, err := c.send(t.Context(), jit.Call{ID: "2"}, "POST", srv.URL, body, header...)
			if !errors.Is(err, jit.ErrInDoubt) || posts.Load() != 1 {
				t.Errorf("own key %q, body %q: POST = %v after %d arrived, want in doubt after 1", own, body, err, posts.Load())
			}
			c.opened(t)
			got := slices.DeleteFunc(log.kinds(), func(kind string) bool { return strings.HasPrefix(kind, "task_") })
			if diff := cmp.Diff([]string{"call", "call", "call_sent", "call_returned"}, got); diff != "" {
				t.Errorf("journal of calls (-want +got):\n%s", diff)
			}
			srv.Close()
		}
	}
}

func TestCloseIdleConnectionsReachesTheBase(t *testing.T) {
	var open atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	closed := make(chan struct{}, 1)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			open.Add(1)
		}
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	srv.Start()
	defer srv.Close()
	c := newClient(t, jit.Config{Authority: &fake.Authority{}}, must(jit.ParseOrigin(srv.URL)), srv.URL, nil).over(&http.Transport{})
	if _, _, err := c.send(t.Context(), jit.Call{}, "GET", srv.URL, ""); err != nil {
		t.Fatal(err)
	}
	c.CloseIdleConnections()
	<-closed
	if open.Load() != 1 {
		t.Errorf("%d connections, want 1", open.Load())
	}
}

func TestContextThatEndsStopsTheCall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer srv.Close()
	c := newClient(t, jit.Config{Authority: &fake.Authority{}}, must(jit.ParseOrigin(srv.URL)), srv.URL, nil)
	if _, _, err := c.send(ctx, jit.Call{}, "GET", srv.URL, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("GET = %v, want cancelled", err)
	}
}
