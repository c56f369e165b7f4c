package mcp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/tools/mcp"
)

const effectFile = `tools: {files__look: {effect: payment, asked_by: [pay]}}`

// answers writes an answer to each call, with the id of its request.
func (p *peer) answers(header http.Header, status int, text string) {
	p.guard(func(w http.ResponseWriter, r *http.Request, method string) bool {
		if method != "tools/call" {
			return false
		}
		var message struct{ ID json.RawMessage }
		_ = json.NewDecoder(r.Body).Decode(&message)
		w.Header().Set("Content-Type", "application/json")
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.ReplaceAll(text, "ID", string(message.ID)))
		return true
	})
}

// Whatever a server answers to an effect, the call is not made again, and only what says
// that nothing was done is not in doubt.
func TestWhatAnswersLeaveOpen(t *testing.T) { protocols(t, whatAnswersLeaveOpen) }

func whatAnswersLeaveOpen(t *testing.T) {
	says := func(code int) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":ID,"error":{"code":%d,"message":"no such id"}}`, code)
	}
	to := http.Header{"Location": {"/login"}}
	for name, tt := range map[string]struct {
		header       http.Header
		status       int
		text         string
		effect, read string // the status of the call
	}{
		"a code of the SDK, client":   {nil, 200, says(-32003), "in_doubt", "failed"},
		"a code of the SDK, server":   {nil, 200, says(-32004), "in_doubt", "failed"},
		"an internal error":           {nil, 200, says(-32603), "in_doubt", "failed"},
		"an error":                    {nil, 200, says(-32602), "failed", "failed"},
		"an error under 400":          {nil, 400, says(-32602), "failed", "failed"},
		"an internal error under 400": {nil, 400, says(-32603), "in_doubt", "failed"},
		"301":                         {to, 301, "", "in_doubt", "failed"},
		"303":                         {to, 303, "", "in_doubt", "failed"},
		"307":                         {to, 307, "", "in_doubt", "failed"},
		"too long":                    {nil, 200, `{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"` + strings.Repeat("x", 5<<20) + `"}]}}`, "in_doubt", "failed"},
		"too long an event": {http.Header{"Content-Type": {"text/event-stream"}}, 200,
			"data: {\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"" + strings.Repeat("x", 5<<20) + "\"}]}}\n\n", "in_doubt", "failed"},
		"without end": {http.Header{"Content-Type": {"text/event-stream"}}, 200, "data:\n\n", "in_doubt", "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			for file, want := range map[string]string{effectFile: tt.effect, readsFile: tt.read} {
				p := serve(t)
				add(p.Server, "look", "looks", say("seen"))
				p.answers(tt.header, tt.status, tt.text)
				ctx := task(t, &fake.Authority{})
				got := call(ctx, t, find(t, open(ctx, t, mcp.Server{URL: p.url}, file), "files__look"), map[string]any{"id": "a"})
				if n := len(p.requests("tools/call")); got["status"] != want || n != 1 {
					t.Errorf("%s: after %d calls, %v, want %s after 1", file, n, got, want)
				}
				if strings.Contains(name, "400") && want == "failed" && file == effectFile && got["error"] != "no such id" {
					t.Errorf("the model is told %v", got["error"])
				}
			}
		})
	}
}

// A stream that is resumed, and always has another event and no answer, has an end.
func TestStreamWithoutEnd(t *testing.T) {
	p := serve(t)
	add(p.Server, "look", "looks", say("seen"))
	ctx := task(t, &fake.Authority{})
	looks := find(t, open(ctx, t, mcp.Server{URL: p.url}, effectFile), "files__look")
	var resumed atomic.Int64
	p.guard(func(w http.ResponseWriter, r *http.Request, method string) bool {
		if method != "tools/call" && r.Header.Get("Last-Event-ID") == "" {
			return false
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "id: x%d\nretry: 1\ndata:\n\n", resumed.Add(1))
		return true
	})
	if got := call(ctx, t, looks, nil); got["status"] != "in_doubt" || resumed.Load() != 101 {
		t.Errorf("after %d streams: %v", resumed.Load(), got)
	}
	p.guard(nil)
	if got := call(ctx, t, looks, map[string]any{"id": "b"}); got["text"] != "seen" {
		t.Errorf("the next call = %v", got)
	}
}

type baseFunc func(*http.Request) (*http.Response, error)

func (f baseFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// A server that accepts and says nothing is given up, whatever it may demand.
func TestSilentServer(t *testing.T) {
	for _, file := range []string{"tools: {}", `tools: {files__: {ceilings: [{scopes: []}]}}`} {
		synctest.Test(t, func(t *testing.T) {
			rules, err := policy.Parse([]byte(file), nil)
			if err != nil {
				t.Fatal(err)
			}
			at, _ := url.Parse("https://mcp.example.com/")
			silent := baseFunc(func(req *http.Request) (*http.Response, error) {
				<-req.Context().Done()
				return nil, req.Context().Err()
			})
			var doubts int
			begun := time.Now()
			engine, err := jit.New(jit.Config{Authority: &fake.Authority{}, AuthorityName: "fake"})
			if err != nil {
				t.Fatal(err)
			}
			run := engine.Start(t.Context(), jit.TaskSpec{Name: "t", Type: "t"}, func(e jit.Event) {
				if _, ok := e.(jit.LeftInDoubt); ok {
					doubts++
				}
			})
			_, err = mcp.Open(jit.NewContext(t.Context(), run), mcp.Config{Servers: []mcp.Server{{Name: "files", URL: at}}, Policy: rules, Base: silent})
			if err == nil || !strings.Contains(err.Error(), "connect to files: it has not answered for 1m0s") || doubts > 0 || time.Since(begun) > 2*time.Minute {
				t.Errorf("%s: Open() = %v, %d in doubt", file, err, doubts)
			}
			if err := run.Complete(t.Context()); err != nil && !errors.Is(err, jit.ErrTaskEnded) {
				t.Error(err)
			}
		})
	}
}

// What a server has of tools and of pages has an end.
func TestListWithoutEnd(t *testing.T) {
	for name, next := range map[string]func(page int) string{
		"tools": func(page int) string {
			names := make([]string, 100)
			for i := range names {
				names[i] = fmt.Sprintf(`{"name":"t%d-%d","inputSchema":{"type":"object"}}`, page, i)
			}
			return strings.Join(names, ",")
		},
		"pages": func(int) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			p := serve(t)
			pages := 0
			p.guard(func(w http.ResponseWriter, r *http.Request, method string) bool {
				if method != "tools/list" {
					return false
				}
				var message struct{ ID json.RawMessage }
				_ = json.NewDecoder(r.Body).Decode(&message)
				pages++
				more := fmt.Sprintf(`,"nextCursor":"%d"`, pages)
				if pages > 40 {
					more = "" // or the test has no end
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"tools":[%s]%s}}`, message.ID, next(pages), more)
				return true
			})
			_, err := tryOpen(t.Context(), mcp.Server{URL: p.url}, "")
			want := map[string]int{"tools": 3, "pages": 33}[name]
			if err == nil || !strings.Contains(err.Error(), "has no end of pages") || pages != want {
				t.Errorf("Open() = %v after %d pages, want an error after %d", err, pages, want)
			}
		})
	}
}
