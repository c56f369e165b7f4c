package jit_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

const canaryBase, canaryGrant = "canary-base-5f8e21c07a", "canary-grant-91d2b6e40c"

// leaks reports a canary in text, as it is or encoded.
func leaks(text string) bool {
	for _, canary := range []string{canaryBase, canaryGrant} {
		for _, form := range []string{canary, hex.EncodeToString([]byte(canary)), base64.RawStdEncoding.EncodeToString([]byte(canary))[:20], url.QueryEscape(canary)} {
			if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
				return true
			}
		}
	}
	return false
}

func canaries() *fake.Authority {
	return &fake.Authority{
		Login: func() (jit.Credential, error) { return jit.Credential{Token: secret.New(canaryBase)}, nil },
		Issue: func(_ string, d rar.Detail) jit.Issued {
			return jit.Issued{Token: secret.New(canaryGrant), ExpiresIn: time.Minute, Details: []rar.Detail{d}}
		},
	}
}

// echoedPath is one that the API chose, as after a redirect.
const echoedPath = "/docs/" + canaryBase

func TestNoTokenInErrorsEventsJournalOrLogs(t *testing.T) {
	bearer := func(r *http.Request) string { return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") }
	answer := func(status int, header http.Header, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
	// demand refuses with a demand once the call has a grant, and as expected before.
	demand := func(make func(token string) string) tripper {
		return func(r *http.Request) (*http.Response, error) {
			if bearer(r) == canaryBase && r.URL.Path != "/echo-base" {
				return guarded(needsPath)(r)
			}
			return answer(403, http.Header{challenge.Header: {base64.StdEncoding.EncodeToString([]byte(make(bearer(r))))}}, "")
		}
	}
	denied := canaries()
	denied.Decide = func(jit.Request) (jit.Decision, error) { return jit.Decision{Status: jit.StatusDenied}, nil }
	overgrant := canaries()
	overgrant.Issue = func(string, rar.Detail) jit.Issued {
		return jit.Issued{Token: secret.New(canaryGrant), Details: []rar.Detail{read("*")}}
	}
	pending := undecided(time.Hour, 0, 0)
	pending.Login = canaries().Login
	pending.Look = func(string, int) (jit.Decision, error) { return jit.Decision{}, transient{} }

	for name, test := range map[string]struct {
		authority *fake.Authority
		base      tripper
		path      string
		works     bool
	}{
		"works": {canaries(), func(r *http.Request) (*http.Response, error) {
			if bearer(r) == canaryGrant {
				return answer(200, nil, "ok")
			}
			return guarded(needsPath)(r)
		}, "", true},
		"denied":    {denied, guarded(needsPath), "", false},
		"overgrant": {overgrant, guarded(needsPath), "", false},
		"pending":   {pending, guarded(needsPath), "", false},
		"refused":   {canaries(), guarded(needsPath), "", false},
		"demand for the base token": {canaries(), demand(func(tok string) string {
			return `{"type":"file_access","actions":["read"],"identifier":"` + tok + `"}`
		}), "/echo-base", false},
		"demand for the grant": {canaries(), demand(func(tok string) string {
			return `{"type":"file_access","actions":["read"],"identifier":"` + tok + `"}`
		}), "", false},
		"demand for its hex": {canaries(), demand(func(tok string) string {
			return `[{"type":"` + hex.EncodeToString([]byte(tok)) + `"},{"type":"x","` + tok + `":1}]`
		}), "", false},
		"unreadable demand": {canaries(), demand(func(tok string) string {
			return `{"type":"file_access","` + tok + `":1,"` + tok + `":2}`
		}), "", false},
		"path": {canaries(), guarded(func(*http.Request) rar.Detail { return read("doc_1") }), echoedPath, false},
		"connection fails": {canaries(), func(r *http.Request) (*http.Response, error) {
			if bearer(r) == canaryBase {
				return guarded(needsPath)(r)
			}
			return nil, errors.New("cannot send Authorization: Bearer " + bearer(r))
		}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var logs bytes.Buffer
				log, seen := &journal{}, &events{}
				logger := slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
				c := offline(t, jit.Config{Authority: test.authority, Journal: log, Logger: logger, Wait: time.Minute}, seen.observe).over(test.base)
				path := test.path
				if path == "" {
					path = "/docs/doc_1"
				}
				var errs []error
				for _, method := range []string{"GET", "POST"} {
					ctx := c.task.Call(t.Context(), jit.Call{ID: "1", Ceiling: []rar.Detail{read("doc_1"), write("reports")}})
					req := must(http.NewRequestWithContext(ctx, method, c.base+path, nil))
					resp, err := c.Transport.RoundTrip(req)
					if (err == nil) != test.works {
						t.Errorf("%s = %v", method, err)
					}
					errs = append(errs, err)
					if err == nil {
						if text := fmt.Sprintf("%+v %+v", resp.Header, resp.Request); leaks(text) {
							t.Errorf("the response holds a token: %s", text)
						}
						_ = resp.Body.Close()
					}
				}
				if err := c.task.Complete(t.Context()); err != nil {
					t.Error(err)
				}
				for _, err := range errs {
					// A base transport's own words are its own.
					for _, verb := range []string{"%v", "%+v", "%#v", "%q"} {
						if text := fmt.Sprintf(verb, err); leaks(text) && name != "connection fails" {
							t.Errorf("%s of the error: %s", verb, text)
						}
					}
				}
				for _, e := range seen.list() {
					if text := encoded(t, e); leaks(text) {
						t.Errorf("event %s: %s", e.Kind(), text)
					}
				}
				for _, e := range log.all() {
					if text := encoded(t, e); leaks(text) {
						t.Errorf("journal %s: %s", e.Kind, text)
					}
				}
				if leaks(logs.String()) {
					t.Errorf("log: %s", logs.String())
				}
			})
		})
	}
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + fmt.Sprintf("%+v %#v", v, v)
}

func TestNoTokenInAPrintedGrantOrTask(t *testing.T) {
	c := offline(t, jit.Config{Authority: canaries()}, nil)
	ctx := c.task.Call(t.Context(), jit.Call{ID: "1", Ceiling: []rar.Detail{read("doc_1")}})
	g, err := jit.Acquire(ctx, read("doc_1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.task.Complete(t.Context()); err != nil { // nothing runs that printing could race with
		t.Fatal(err)
	}
	for name, v := range map[string]any{"*Grant": g, "Grant": *g, "[]*Grant": []*jit.Grant{g}, "*Task": c.task, "ctx": ctx, "Transport": c.Transport} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if text := fmt.Sprintf(verb, v); leaks(text) {
				t.Errorf("%s of a %s: %s", verb, name, text)
			}
		}
	}
	for _, handler := range []func(io.Writer) slog.Handler{
		func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
	} {
		var out bytes.Buffer
		slog.New(handler(&out)).Info("grant", "pointer", g, "value", *g)
		if leaks(out.String()) {
			t.Errorf("log: %s", out.String())
		}
	}
	if text, err := json.Marshal(g); err != nil || leaks(string(text)) {
		t.Errorf("JSON: %s, %v", text, err)
	}
}

func TestScrubKnowsTheBaseToken(t *testing.T) {
	c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil)
	c.want200(t, "doc_1")
	for _, tok := range []string{fake.BaseToken, fake.TokenFor(read("doc_1"))} {
		if got := c.task.Scrub("echo: " + tok); got != "echo: "+secret.Redacted {
			t.Errorf("Scrub(%q) = %q", tok, got)
		}
	}
}

func TestScrubWhileTokensComeIn(t *testing.T) {
	c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil)
	c.want200(t, "doc_0")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { c.want200(t, fmt.Sprintf("doc_%d", i)) })
		wg.Go(func() {
			if got := c.task.Scrub(fake.TokenFor(read("doc_0"))); got != secret.Redacted {
				t.Errorf("Scrub() = %q", got)
			}
		})
	}
	wg.Wait()
}
