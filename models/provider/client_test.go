package provider_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/models/provider"
)

func TestBaseURL(t *testing.T) {
	for raw, want := range map[string]string{
		"https://x.test": "https://x.test", "https://x.test/v1/": "https://x.test/v1", "https://x.test:8443/a/b//": "https://x.test:8443/a/b",
		"http://127.0.0.1:1234/v1": "http://127.0.0.1:1234/v1", "http://127.9.9.9": "http://127.9.9.9", "http://[::1]:8080": "http://[::1]:8080", "http://localhost:11434/v1": "http://localhost:11434/v1",
	} {
		if u, err := provider.BaseURL("p", raw); err != nil || u.String() != want {
			t.Errorf("BaseURL(%q) = %v, %v, want %s", raw, u, err, want)
		}
	}
	for _, raw := range []string{
		"", "x.test", "/v1", "https://", "https://:443", "https://user@x.test", "https://user:" + poison + "@x.test", "https://x.test?key=" + poison, "https://x.test?", "https://x.test#" + poison, "%zz" + poison, "mailto:" + poison,
		"http://x.test", "http://127.0.0.1.x.test", "http://localhost.x.test", "http://0.0.0.0", "http://10.0.0.1", "ftp://127.0.0.1/" + poison, "http://[::2]", "HTTP://2130706433",
		"https://ex\u0430mple.test", "https://[::%25e\x83n0]",
	} {
		u, err := provider.BaseURL("p", raw)
		if err == nil || u != nil {
			t.Errorf("BaseURL(%q) = %v", raw, u)
		} else if strings.Contains(err.Error(), poison) {
			t.Errorf("BaseURL(%q) repeats it: %v", raw, err)
		}
	}
	for raw, want := range map[string]string{
		"localhost:11434": "did you mean http://localhost:11434?", "127.0.0.1:8000/v1/": "did you mean http://127.0.0.1:8000/v1?", "x.test": "did you mean https://x.test?",
		"user:" + poison + "@x.test": "malformed",
	} {
		if _, err := provider.BaseURL("p", raw); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("BaseURL(%q) = %v, want %q", raw, err, want)
		}
	}
}

func FuzzBaseURL(f *testing.F) {
	for _, seed := range []string{"https://x.test/v1", "http://localhost", "http://a@127.0.0.1", "https://[::1%25en0]:1/", "https://[::%25e\x83n0]", "https://ex\u0430mple.test"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := provider.BaseURL("p", raw)
		if err != nil {
			return
		}
		again, err := provider.BaseURL("p", u.String())
		if err != nil || again.String() != u.String() || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && !provider.Loopback(u) {
			t.Errorf("%q becomes %s, and that %v, %v", raw, u, again, err)
		}
	})
}

// get reads what the handler answers, through a [provider.Client].
func get(ctx context.Context, t *testing.T, handler http.HandlerFunc) (int, []byte, error) {
	t.Helper()
	srv := httptest.NewServer(handler)
	defer srv.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := provider.Client(srv.Client()).Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// endless writes until the client leaves.
func endless(status int, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		block := []byte(strings.Repeat("x", 1<<16))
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
}

func TestBodiesAreCapped(t *testing.T) {
	for _, tt := range []struct {
		status int
		kind   string
		limit  int
	}{{200, "application/json", provider.MaxAnswer}, {200, "text/event-stream; charset=utf-8", provider.MaxStream}} {
		_, body, err := get(t.Context(), t, endless(tt.status, tt.kind))
		if e, ok := errors.AsType[*provider.TooLargeError](err); !ok || tt.kind == "application/json" && len(body) != tt.limit || e.Limit != int64(tt.limit) {
			t.Errorf("%s: %d bytes, %v", tt.kind, len(body), err)
		}
	}
	// An error's body only ends: its status is what counts.
	if status, body, err := get(t.Context(), t, endless(500, "application/json")); err != nil || status != 500 || len(body) != 64<<10 {
		t.Errorf("an error: status %d, %d bytes, %v", status, len(body), err)
	}
	// A body of just the limit is whole.
	_, body, err := get(t.Context(), t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", provider.MaxAnswer))
	})
	if err != nil || len(body) != provider.MaxAnswer {
		t.Errorf("just the limit: %d bytes, %v", len(body), err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var stolen atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	defer thief.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		got, _, err := get(t.Context(), t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL, status) })
		if err != nil || got != status {
			t.Errorf("%d: %d, %v", status, got, err)
		}
	}
	if stolen.Load() > 0 {
		t.Errorf("%d requests went on", stolen.Load())
	}
}

func TestExchange(t *testing.T) {
	ctx, x := provider.Observe(t.Context(), provider.Keep{})
	if x.Seen().Status != 0 || x.Seen().RetryAfter != 0 {
		t.Errorf("before the call: %d, %s", x.Seen().Status, x.Seen().RetryAfter)
	}
	_, _, err := get(ctx, t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, strings.Repeat("y", 10_000))
	})
	if err != nil || x.Seen().Status != 429 || x.Seen().RetryAfter != 7*time.Second || x.Seen().Err != nil {
		t.Errorf("after the call: %d, %s, %v, %v", x.Seen().Status, x.Seen().RetryAfter, x.Seen().Err, err)
	}
	// An error that is kept is not passed on.
	ctx, x = provider.Observe(t.Context(), provider.Keep{Error: true})
	_, body, err := get(ctx, t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
	})
	if err != nil || string(body) != "half" || !errors.Is(x.Seen().Err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut body: %q, %v, kept %v", body, err, x.Seen().Err)
	}
}

// tripper is an [http.RoundTripper].
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // dates are compared with the clock
		now := time.Now()
		for value, want := range map[string]time.Duration{
			"": 0, "0": 0, "3": 3 * time.Second, "1.5": 1500 * time.Millisecond, "-1": 0, "NaN": 0, "soon": 0, "99999999999999999999": 24 * time.Hour,
			now.Add(time.Minute).UTC().Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).UTC().Format(http.TimeFormat): 0,
			now.AddDate(9, 0, 0).UTC().Format(http.TimeFormat): 24 * time.Hour,
		} {
			header := http.Header{"Retry-After": {value}}
			if got := waitOf(t, header); got != want {
				t.Errorf("Retry-After %q is %s, want %s", value, got, want)
			}
		}
		if got := waitOf(t, http.Header{"Retry-After": {"9"}, "Retry-After-Ms": {"250"}}); got != 250*time.Millisecond {
			t.Errorf("in milliseconds: %s", got)
		}
	})
}

// waitOf returns what an [provider.Exchange] reads in header.
func waitOf(t *testing.T, header http.Header) time.Duration {
	t.Helper()
	ctx, x := provider.Observe(t.Context(), provider.Keep{})
	c := provider.Client(&http.Client{Transport: tripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 429, Header: header, Body: http.NoBody}, nil
	})})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return x.Seen().RetryAfter
}

func TestClientLeavesTheCallersAlone(t *testing.T) {
	mine := &http.Client{Timeout: time.Second}
	if got := provider.Client(mine); got == mine || got.Timeout != time.Second || mine.Transport != nil || mine.CheckRedirect != nil {
		t.Errorf("the caller's client is %+v, ours %+v", mine, got)
	}
}
