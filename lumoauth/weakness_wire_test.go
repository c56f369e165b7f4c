package lumoauth

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/approval"
)

// SDKs read a key that the server does not send, so "nothing to do" may be wrong.
func TestWeakness21_PendingReadsEveryKey(t *testing.T) {
	const item = `{"request_id":"jit_1","status":"pending","risk_level":"high","task_id":"task_1","justification":"why",
		"authorization_details":{"type":"file_access","actions":["read"],"identifier":"doc_9982"},"expires_at":"2030-01-01T00:00:00Z"}`
	f := newFake(nil)
	c := inMemory(t, f)
	person := as(c, secret.New("user-token"))
	for _, body := range []string{
		`{"pending_requests":[` + item + `]}`, `{"data":[` + item + `]}`, `{"requests":[` + item + `]}`, `[` + item + `]`,
		`{"requests":[` + item + `],"pending_requests":[` + item + `],"data":[` + item + `],"count":1,"pagination":{"hasNextPage":true}}`,
	} {
		f.routes[pendingRoute] = replies(200, body)
		got, more, err := person.Pending(t.Context())
		if err != nil || len(got) != 1 {
			t.Errorf("Pending() of %s = %+v, %v, want one request", body, got, err)
			continue
		}
		r := got[0]
		if r.ID != "jit_1" || r.TaskID != "task_1" || r.Risk != "high" || r.Justification != "why" || r.Problem != "" ||
			r.ExpiresAt.Year() != 2030 || len(r.Details) != 1 || !rar.Equal(r.Details[0], docDetail) {
			t.Errorf("Pending() of %s = %+v", body, r)
		}
		if want := strings.Contains(body, "hasNextPage"); more != want {
			t.Errorf("Pending() of %s says more %v, want %v", body, more, want)
		}
	}
	for _, body := range []string{``, `{}`, `null`, `{"items":[]}`, `{"requests":{}}`, `{"requests":[{"status":"pending"}]}`, `{"requests":[{"request_id":"../x y"}]}`} {
		f.routes[pendingRoute] = replies(200, body)
		if got, _, err := person.Pending(t.Context()); !errors.Is(err, ErrInvalidResponse) {
			t.Errorf("Pending() of %s = %+v, %v, want %v", body, got, err, ErrInvalidResponse)
		}
	}
	// What cannot be read must not look harmless, and must not hide the others.
	for _, details := range []string{``, `,"authorization_details":null`, `,"authorization_details":{"type":"x","Actions":["a"]}`} {
		f.routes[pendingRoute] = replies(200, `{"requests":[{"request_id":"jit_0"`+details+`},`+item+`]}`)
		got, _, err := person.Pending(t.Context())
		if err != nil || len(got) != 2 || got[0].Problem == "" || got[1].Problem != "" {
			t.Errorf("Pending() with details %q = %+v, %v, want a problem in the first", details, got, err)
		}
	}
	f.routes[pendingRoute] = replies(403, `{"error":"access_denied"}`)
	if _, _, err := person.Pending(t.Context()); !errors.Is(err, ErrForbidden) {
		t.Errorf("Pending() of an agent = %v, want %v", err, ErrForbidden)
	}
	for _, call := range f.saw("") {
		if call.auth != "Bearer user-token" {
			t.Errorf("Pending() sent Authorization %q, want the person's token", call.auth)
		}
	}
}

// All that waits is listed, page after page, until there are no more or too many.
func TestPendingReadsEveryPage(t *testing.T) {
	for name, tt := range map[string]struct {
		page func(n int) (ids string, more bool)
		want int
		more bool
	}{
		"three": {func(n int) (string, bool) { return fmt.Sprint(n), n < 3 }, 3, false},
		// Pages shift while others decide.
		"shifting": {func(n int) (string, bool) { return fmt.Sprint(n, " ", n+1), n < 3 }, 4, false},
		"endless":  {func(n int) (string, bool) { return fmt.Sprint(n), true }, maxPages, true},
		"the same": {func(int) (string, bool) { return "1", true }, 1, true},
	} {
		f := newFake(nil)
		f.routes[pendingRoute] = func(w http.ResponseWriter, r *http.Request) {
			n := 1
			if r.URL.RawQuery != "" {
				_, _ = fmt.Sscanf(r.URL.RawQuery, "page=%d", &n) // or 1
			}
			ids, more := tt.page(n)
			var items []string
			for id := range strings.FieldsSeq(ids) {
				items = append(items, `{"request_id":"jit_`+id+`"}`)
			}
			_, _ = fmt.Fprintf(w, `{"data":[%s],"pagination":{"hasNextPage":%t}}`, strings.Join(items, ","), more)
		}
		got, more, err := as(inMemory(t, f), secret.New("user-token")).Pending(t.Context())
		if err != nil || len(got) != tt.want || more != tt.more {
			t.Errorf("%s: %d requests, more %t (%v), want %d, %t", name, len(got), more, err, tt.want, tt.more)
		}
	}
}

// SDKs use evaluate to close a task; the API checks a task with it.
func TestWeakness22_EvaluateChecksAndDoesNotClose(t *testing.T) {
	f := newFake(map[string]http.HandlerFunc{evaluateRoute: inTurn(
		replies(200, `{"task_id":"task_1","active":false,"action":"suspended","events":[{"type":"risk_threshold_exceeded",
			"details":{"risk_score":65.0,"denial_count":3},"timestamp":"2030-01-01T00:00:00Z"},"odd"]}`),
		replies(200, `{"result":"ok"}`),
		replies(200, `{"task_id":"task_2","active":true}`),
		replies(200, `[]`),
	)})
	c := inMemory(t, f)
	got, err := c.Evaluate(t.Context(), "task_1")
	want := Evaluation{TaskID: "task_1", Action: "suspended", Events: []EvaluationEvent{{
		Type: "risk_threshold_exceeded", RiskScore: 65, Denials: 3, Time: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Evaluate() = %+v, %v, want %+v", got, err, want)
	}
	if got, err := c.Evaluate(t.Context(), "task_1"); err != nil || got.Active {
		t.Errorf("Evaluate() of a free-form answer = %+v, %v, want not active", got, err)
	}
	for range 2 {
		if _, err := c.Evaluate(t.Context(), "task_1"); !errors.Is(err, ErrInvalidResponse) {
			t.Errorf("Evaluate() = %v, want %v", err, ErrInvalidResponse)
		}
	}
	for _, call := range f.saw(evaluateRoute) {
		if call.body != "" || call.header.Get("Content-Type") != "" {
			t.Errorf("Evaluate() sent %q of type %q, want no body", call.body, call.header.Get("Content-Type"))
		}
	}
}

// endlessBody answers with a body that does not end.
func endlessBody(w http.ResponseWriter, chunk []byte) {
	for {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// SDKs read bodies without a limit, and leave some open.
func TestWeakness23_BodiesAreBoundedAndClosed(t *testing.T) {
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	_, _ = zip.Write(bytes.Repeat([]byte(" "), 4*maxBody)) // a bytes.Buffer does not fail
	_ = zip.Close()
	spaces := bytes.Repeat([]byte(" "), 64<<10)
	for name, h := range map[string]http.HandlerFunc{
		"endless": func(w http.ResponseWriter, _ *http.Request) { endlessBody(w, spaces) },
		"compressed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		},
		"endless error": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			endlessBody(w, spaces)
		},
		"endless header": func(w http.ResponseWriter, _ *http.Request) {
			for i := range 1 << 11 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("a", 64))
			}
		},
	} {
		for _, op := range operations() {
			if op.name == "CompleteTask" && name == "endless header" {
				continue // keeps trying, by design
			}
			f := newFake(goodRoutes())
			f.routes[op.route] = h
			c := overSockets(t, f, func(c *Config) { c.Tries = 1 })
			if err := op.call(t.Context(), c); err == nil {
				t.Errorf("%s of an answer that is %s succeeded", op.name, name)
			}
		}
	}

	var open atomic.Int64
	for _, status := range []int{0, 204, 302, 400, 503} {
		for _, op := range operations() {
			// One for each: a call that is given up may leave a login behind it.
			f := newFake(goodRoutes())
			if status != 0 {
				f.routes[op.route] = replies(status, ``)
			}
			counted := roundTrip(func(r *http.Request) (*http.Response, error) {
				resp, err := memory{f}.RoundTrip(r)
				if err == nil {
					open.Add(1)
					resp.Body = closer{resp.Body, &open}
				}
				return resp, err
			})
			synctest.Test(t, func(t *testing.T) { // which ends when the login has
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond) // for CompleteTask
				defer cancel()
				_ = op.call(ctx, inMemory(t, f, func(c *Config) { c.HTTPClient.Transport = counted; c.Tries = 1 }))
			})
		}
	}
	if n := open.Load(); n != 0 {
		t.Errorf("%d bodies left open", n)
	}
}

type closer struct {
	io.ReadCloser
	open *atomic.Int64
}

func (c closer) Close() error { c.open.Add(-1); return c.ReadCloser.Close() }

// SDKs log the bodies of failed logins; approval tokens are in URLs.
func TestWeakness24_LogsHoldNoBodiesAndURLsNoCredentials(t *testing.T) {
	var logged bytes.Buffer
	f := newFake(map[string]http.HandlerFunc{loginRoute: replies(400, `{"error":"invalid_grant","error_description":"body-of-the-answer"}`)})
	c := inMemory(t, f, func(c *Config) {
		c.Logger = slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	for _, op := range operations() {
		_ = op.call(t.Context(), c)
	}
	if !strings.Contains(logged.String(), `"op":"agent login"`) || strings.Contains(logged.String(), "body-of-the-answer") {
		t.Errorf("logged %s, want the calls and no bodies", logged.String())
	}
	for _, call := range f.saw("") {
		if strings.Contains(call.route, "canary") || strings.Contains(call.route, "?") {
			t.Errorf("a credential or query is in the URL of %s", call.route)
		}
	}
}

// SDKs put ids into paths as they are.
func TestWeakness25_IDsAreEscapedOrRefused(t *testing.T) {
	f := newFake(nil)
	c := inMemory(t, f)
	person := as(c, secret.New("user-token"))
	methods := map[string]func(id string) error{
		"CompleteTask": func(id string) error { return c.CompleteTask(t.Context(), id) },
		"Evaluate":     func(id string) error { _, err := c.Evaluate(t.Context(), id); return err },
		"Status":       func(id string) error { _, err := c.Status(t.Context(), id); return err },
		"Token":        func(id string) error { _, err := c.Token(t.Context(), id); return err },
		"Approve":      func(id string) error { return person.Decide(t.Context(), id, approval.Decision{Approve: true}) },
		"Deny":         func(id string) error { return person.Decide(t.Context(), id, approval.Decision{}) },
		"Request": func(id string) error {
			_, err := c.Request(t.Context(), jit.Request{TaskID: id, Detail: docDetail})
			return err
		},
	}
	for name, call := range methods {
		for _, id := range []string{"", ".", "..", "a b", "a\nb", "a\x00", "ü", strings.Repeat("a", 257)} {
			if err := call(id); err == nil {
				t.Errorf("%s(%q) succeeded", name, id)
			}
		}
	}
	if n := f.count(""); n != 0 {
		t.Errorf("%d requests for ids that cannot be, want 0", n)
	}
	for id, want := range map[string]string{
		"../admin?x=1#y": "..%2Fadmin%3Fx=1%23y", "a/b": "a%2Fb", "%2e%2e": "%252e%252e", "a;b": "a%3Bb",
	} {
		_, _ = c.Status(t.Context(), id)
		calls := f.saw("")
		if got := calls[len(calls)-1].route; got != "GET /jit/request/"+want+"/status" {
			t.Errorf("Status(%q) called %s, want the id as %s", id, got, want)
		}
	}
}

// SDKs have a switch that turns certificate checks off for every host.
func TestWeakness26_UnknownCertificatesAreRefused(t *testing.T) {
	f := newFake(goodRoutes())
	srv := httptest.NewUnstartedServer(f)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	defer srv.Close()
	for _, op := range operations() {
		err := op.call(t.Context(), newClient(t, testConfig(srv.URL)))
		if e, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, ErrUnavailable) || e.again {
			t.Errorf("%s with an unknown certificate = %v, want a permanent error", op.name, err)
		}
	}
	if n := f.count(""); n != 0 {
		t.Errorf("the server saw %d requests, want 0", n)
	}
	cfg := testConfig(srv.URL)
	cfg.HTTPClient = srv.Client() // trusts this one
	if _, err := newClient(t, cfg).AgentToken(t.Context()); err != nil {
		t.Errorf("AgentToken() with a trusted certificate = %v", err)
	}
}

// SDKs use key-bound tokens as if they were bearer tokens.
func TestWeakness27_KeyBoundTokensAreRefusedByName(t *testing.T) {
	const body = `{"access_token":"bound-token","token_type":"DPoP","expires_in":900}`
	for _, op := range operations() {
		if op.name != "Token" && op.name != "AgentToken" {
			continue
		}
		f := newFake(goodRoutes())
		f.routes[op.route] = replies(200, body)
		err := op.call(t.Context(), inMemory(t, f))
		if !errors.Is(err, ErrInvalidResponse) || !strings.Contains(err.Error(), "DPoP") {
			t.Errorf("%s = %v, want an error that names DPoP", op.name, err)
		}
	}
}
