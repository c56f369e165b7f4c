package lumoauth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/internal/logtest"
	"github.com/jitagent/jitagent/secret"
)

// mark is in every credential of these tests.
const mark = "canary"

// marks returns the mark as it shows in a longer text, plain, in hex or in base64.
func marks() []string {
	all := []string{mark, hex.EncodeToString([]byte(mark))}
	for _, before := range []string{"", "x", "xx"} {
		text := base64.RawStdEncoding.EncodeToString([]byte(before + mark))
		all = append(all, text[(len(before)*8+5)/6:len(text)-1])
	}
	return all
}

// checkClear fails t if text holds the mark of a credential.
func checkClear(t *testing.T, where, text string) {
	t.Helper()
	for _, m := range marks() {
		if strings.Contains(text, m) {
			t.Errorf("%s shows a credential, as %q: %s", where, m, text)
			return
		}
	}
}

// checkClearError checks an error, and everything that it wraps, by every verb.
func checkClearError(t *testing.T, where string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s", "%x", "%d"} {
		checkClear(t, where+" "+verb, fmt.Sprintf(verb, err))
	}
	switch e := err.(type) { //nolint:errorlint // walks the tree itself
	case interface{ Unwrap() error }:
		checkClearError(t, where, e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			checkClearError(t, where, inner)
		}
	}
}

// echoes lists how a server may send back what it was sent.
func echoes() map[string]func(w http.ResponseWriter, sent string) {
	inMember := func(status int, member string, encode func(string) string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, sent string) {
			body, _ := json.Marshal(map[string]string{member: encode(sent)})
			reply(w, status, string(body))
		}
	}
	plain := func(s string) string { return s }
	out := map[string]func(http.ResponseWriter, string){
		"plain text": func(w http.ResponseWriter, sent string) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(400)
			_, _ = io.WriteString(w, sent)
		},
		"content type": func(w http.ResponseWriter, sent string) {
			w.Header().Set("Content-Type", "text/"+url.PathEscape(sent))
			w.WriteHeader(400)
		},
		"unusable success": inMember(200, "access_token", func(s string) string { return s + " x" }),
		"member name": func(w http.ResponseWriter, sent string) {
			body, _ := json.Marshal(map[string]any{sent: 1, "authorization_details": map[string]any{"type": "x", "Actions": sent}})
			reply(w, 200, string(body))
		},
		"location": func(w http.ResponseWriter, sent string) {
			w.Header().Set("Location", "https://"+url.PathEscape(lastWord(sent))+".test/"+url.PathEscape(sent))
			w.WriteHeader(307)
		},
		"no status line": func(w http.ResponseWriter, sent string) { raw(w, sent+"\r\n\r\n") },
		"no header":      func(w http.ResponseWriter, sent string) { raw(w, "HTTP/1.1 200 OK\r\n"+sent+"\r\n\r\n") },
	}
	for _, status := range []int{400, 401, 403, 404, 429} {
		for _, member := range []string{"error", "code", "message", "error_description", "detail"} {
			out[fmt.Sprintf("%s of %d", member, status)] = inMember(status, member, plain)
		}
	}
	out["last word as code"] = inMember(400, "code", lastWord)
	out["base64"] = inMember(400, "message", func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) })
	out["base64url"] = inMember(400, "message", func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) })
	out["hex"] = inMember(400, "message", func(s string) string { return hex.EncodeToString([]byte(s)) })
	out["HEX"] = inMember(400, "message", func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) })
	out["escaped"] = inMember(400, "message", url.QueryEscape)
	out["long"] = inMember(400, "message", func(s string) string { return strings.Repeat("x", maxMessage-12) + " " + s })
	return out
}

func lastWord(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" =&:", r) })
	if len(words) == 0 {
		return "none"
	}
	return words[len(words)-1]
}

// raw writes bytes that are no HTTP response.
func raw(w http.ResponseWriter, text string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, text)
	_ = conn.Close()
}

// A server that sends back every credential it gets, in every place, finds none of
// them in errors or logs.
func TestCanariesNeverShowInErrorsOrLogs(t *testing.T) {
	for _, basic := range []bool{false, true} {
		for name, echo := range echoes() {
			for _, op := range operations() {
				f := newFake(nil)
				f.routes[loginRoute] = replies(200, `{"access_token":"agent-token-canary-4711","token_type":"Bearer","expires_in":3600}`)
				login := f.routes[loginRoute]
				f.routes[op.route] = func(w http.ResponseWriter, r *http.Request) {
					calls := f.saw("")
					last := calls[len(calls)-1]
					if op.name == "ExchangeOnBehalfOf" && !strings.Contains(last.body, "token-exchange") {
						login(w, r)
						return
					}
					user, pass, _ := r.BasicAuth()
					form, _ := url.ParseQuery(last.body)
					sent := strings.Join([]string{last.body, last.auth, user, pass, form.Get("token"), form.Get("subject_token"), form.Get("client_secret")}, " ")
					echo(w, strings.TrimSpace(sent))
				}
				var logged logtest.Buffer // a login may still be writing to it
				start := inMemory
				if strings.HasPrefix(name, "no ") {
					start = overSockets // breaks the protocol
				}
				c := start(t, f, func(c *Config) {
					c.Tries, c.BasicAuth = 1, basic
					c.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				if op.name == "CompleteTask" {
					ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
				}
				checkClearError(t, op.name+" with "+name, op.call(ctx, c))
				cancel()
				checkClear(t, "log of "+op.name+" with "+name, logged.String())
			}
		}
	}
}

// A decider's words reach the model, so they are scrubbed as errors are.
func TestCanariesNeverShowInDecisions(t *testing.T) {
	words := testSecret + ` agent-token-canary eyJhbGciOiJFUzI1NiJ9.eyJjYW5hcnkiOjF9.c2lnbmF0dXJl ` + base64.StdEncoding.EncodeToString([]byte("analyst:"+testSecret))
	f := newFake(map[string]http.HandlerFunc{
		loginRoute: replies(200, `{"access_token":"agent-token-canary","token_type":"Bearer"}`),
		statusRoute: replies(200, `{"request_id":"jit_1","status":"denied","agent_message":"`+words+`","risk_level":"`+words+`",
			"pending_requests":[{"request_id":"jit_1","justification":"`+words+`","agent_id":"`+words+`"}]}`),
	})
	c := inMemory(t, f)
	d, err := c.Status(t.Context(), "jit_1")
	if err != nil || d.Message == "" {
		t.Fatalf("Status() = %+v, %v", d, err)
	}
	checkClear(t, "the decision", fmt.Sprintf("%+v", d))
	if strings.Contains(d.Message, "eyJ") {
		t.Errorf("Status().Message = %q, which shows a signed token", d.Message)
	}
}

func TestCanariesNeverShowInValuesOrPanics(t *testing.T) {
	var trace string
	f := newFake(goodRoutes())
	f.routes[loginRoute] = replies(200, `{"access_token":"agent-token-canary","token_type":"Bearer","expires_in":3600}`)
	cfg := testConfig("https://lumo.test")
	cfg.HTTPClient = &http.Client{Transport: memory{f}}
	c := newClient(t, cfg)
	d, err := c.ExchangeOnBehalfOf(t.Context(), Exchange{Subject: static(secret.New("user-token-canary"))})
	if err != nil {
		t.Fatalf("ExchangeOnBehalfOf() = %v", err)
	}
	issued, err := c.Token(t.Context(), "jit_1")
	if err != nil {
		t.Fatalf("Token() = %v", err)
	}
	for _, v := range []any{cfg, &cfg, c, d, issued, []any{cfg}, map[string]any{"c": c}, c.agent.current} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			checkClear(t, fmt.Sprintf("%T by %s", v, verb), fmt.Sprintf(verb, v))
		}
		var logged bytes.Buffer
		slog.New(slog.NewTextHandler(&logged, nil)).Info("value", "v", v)
		checkClear(t, fmt.Sprintf("%T in a log", v), logged.String())
	}
	text, err := json.Marshal(issued)
	if err != nil {
		t.Fatalf("Marshal() = %v", err)
	}
	checkClear(t, "JSON", string(text))

	c.transport = roundTrip(func(*http.Request) (*http.Response, error) { panic(c) })
	func() {
		defer func() { trace = fmt.Sprintf("%#v\n%s", recover(), debug.Stack()) }()
		_, _ = c.Status(t.Context(), "jit_1")
	}()
	if trace == "" {
		t.Error("the panic of a transport was lost")
	}
	checkClear(t, "a panic", trace)
}

// Causes that hold a URL lose it: http.Client prints the whole of it.
func TestURLsOfWrappedErrorsAreDropped(t *testing.T) {
	c := inMemory(t, nil, func(c *Config) {
		c.Tries = 1
		c.HTTPClient.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Get", URL: "https://lumo.test/?token=canary", Err: errors.New("proxy said no")}
		})
	})
	_, err := c.Metadata(t.Context())
	if err == nil || !strings.Contains(err.Error(), "proxy said no") {
		t.Errorf("Metadata() = %v, want the cause", err)
	}
	checkClearError(t, "Metadata", err)
}

func TestCleaningText(t *testing.T) {
	tests := []struct{ text, hide, want string }{
		{"plain words", "canary-secret", "plain words"},
		{"a canary-secret b canary-secret", "canary-secret", "a [redacted] b [redacted]"},
		{"a%2Fcanary%2B", "a/canary+", "[redacted]"},
		{"a terces-yranac b", "canary-secret", "a [redacted] b"},
		{"c a n a r y - s e c r e t", "canary-secret", "[redacted]"},
		{"pin abc leaks", "abc", "[redacted]"},
		{"nothing of it", "abc", "nothing of it"},
		{"", "abc", ""},
		{"empty secret hides nothing", "", "empty secret hides nothing"},
		{"x eyJhbGciOiJub25lIn0.e30. y", "", "x [redacted] y"},
		{"\ttabs\nand\x7fmore ", "", "tabs and more"},
	}
	for _, tt := range tests {
		if got := clean(tt.text, maxMessage, hiding(secret.New(tt.hide))); got != tt.want {
			t.Errorf("clean(%q) without %q = %q, want %q", tt.text, tt.hide, got, tt.want)
		}
	}
	if got := clean("äöü", 5, hiding()); got != "ä…" {
		t.Errorf("clean() cut to %q, want whole characters", got)
	}
}
