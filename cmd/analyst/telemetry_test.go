package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	traces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/rar"
)

const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"

// collect starts a collector of OTLP, and returns what it is sent, by path.
func collect(t *testing.T) (address string, sent func() map[string][]byte) {
	var mu sync.Mutex
	bodies := map[string][]byte{}
	c := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
			var unpacked *gzip.Reader
			if unpacked, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
				body, err = io.ReadAll(unpacked)
			}
		}
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		bodies[r.URL.Path] = append(bodies[r.URL.Path], body...) // messages of one kind add up to one
	}))
	t.Cleanup(c.Close)
	return c.URL, func() map[string][]byte { c.Close(); return bodies }
}

// tattling is an API whose answers hold words that nobody else is to see.
func tattling(world *world) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if world.granted(r.Header.Get("Authorization")) {
			_ = json.NewEncoder(w).Encode(map[string]string{"id": path.Base(r.URL.Path), "title": "A canary", "content": strings.Repeat("The canary sings. ", 3)})
			return
		}
		need := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: path.Base(r.URL.Path)}
		if r.Method == http.MethodPost {
			need.Actions = []string{"write"}
		}
		text, err := json.Marshal(need)
		if err != nil {
			world.t.Error(err)
		}
		w.Header().Set(challenge.Header, base64.StdEncoding.EncodeToString(text))
		w.WriteHeader(http.StatusForbidden)
	})
}

// babbling is a model that calls a tool which is not there, and then fails, and puts words
// into everything.
func babbling(w *world) {
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		if calls++; calls == 1 {
			_, _ = io.WriteString(rw, `{"id":"1","object":"chat.completion","model":"m","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant",
				"tool_calls":[{"id":"c1","type":"function","function":{"name":"canary_tool","arguments":"{\"canary\":\"canary\"}"}}]}}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}`)
			return
		}
		rw.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(rw, `{"error":{"message":"the canary died","code":"canary"}}`)
	}))
	w.t.Cleanup(srv.Close)
	w.env[cli.EnvModel], w.env["OPENAI_BASE_URL"], w.env["OPENAI_API_KEY"] = "openai/m", srv.URL+"/v1", "canary"
}

// lacking returns which of these spans are not in a trace.
func lacking(t *testing.T, sent []byte, trace string, spans []string) []string {
	t.Helper()
	var all traces.ExportTraceServiceRequest
	if err := proto.Unmarshal(sent, &all); err != nil {
		t.Fatal(err)
	}
	left := slices.Clone(spans)
	for _, of := range all.ResourceSpans {
		for _, in := range of.ScopeSpans {
			for _, s := range in.Spans {
				if hex.EncodeToString(s.TraceId) == trace {
					left = slices.DeleteFunc(left, func(name string) bool { return name == s.Name })
				}
			}
		}
	}
	return left
}

// TestTelemetryOfARun has a run seen by a collector: one trace from the prompt to the
// revocation, of which the journal has the id, and no word of prompt, arguments, results
// and errors, also where ADK is told to record messages.
func TestTelemetryOfARun(t *testing.T) {
	for name, tt := range map[string]struct {
		model func(*world)
		args  []string
		spans []string
		shown string // in the traces
	}{
		"a run that works": {func(*world) {}, nil, []string{
			"analyst run", "jit task", "jit open", "invoke_agent protected_data_analyst", "generate_content offline", "execute_tool fetch_document", "GET",
			"jit request", "jit token", "execute_tool create_report", "jit complete",
		}, ""},
		"a model that babbles and fails": {babbling, nil, []string{"analyst run", "execute_tool", "generate_content m", "jit complete"}, ""},
		"content was asked for":          {func(*world) {}, []string{"--trace-content"}, []string{"analyst run"}, "The canary sings."},
	} {
		t.Run(name, func(t *testing.T) {
			address, sent := collect(t)
			w := newWorld(t, tattling).shared()
			tt.model(w)
			w.env[endpoint], w.env["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = address, "true"
			const id = "4bf92f3577b34da6a3ce929d0e0e4736"
			w.env["TRACEPARENT"] = "00-" + id + "-00f067aa0ba902b7-01"
			p := w.start(append([]string{"run", "--session", "canary", "Summarize doc_canary, and create a report titled 'The canary'."}, tt.args...)...)
			for p.stderr.Scan() {
				continue
			}
			_ = p.cmd.Wait() // a model that fails ends it so
			got := sent()
			if left := lacking(t, got["/v1/traces"], id, tt.spans); len(left) > 0 {
				t.Errorf("no spans %q", left)
			}
			if len(got["/v1/metrics"]) == 0 {
				t.Error("no metrics were sent")
			}
			for path, body := range got {
				if bytes.Contains(body, []byte("canary")) != (tt.shown != "" && path != "/v1/metrics") || tt.shown != "" && path == "/v1/traces" && !bytes.Contains(body, []byte(tt.shown)) {
					t.Errorf("%s: %q", path, body)
				}
			}
			if told := w.run("explain"); !strings.Contains(told.stdout, id) {
				t.Errorf("explain says nothing of the trace: %s%s", told.stdout, told.stderr)
			}
		})
	}
}

// TestTelemetryOfServe has a server seen by a collector while a user's call waits and
// somebody decides: one trace from the request to the end of its tokens, whoever went on, and
// no word of anybody.
func TestTelemetryOfServe(t *testing.T) {
	const asked, back = "4bf92f3577b34da6a3ce929d0e0e4736", "5bf92f3577b34da6a3ce929d0e0e4736"
	for workers, end := range map[string]string{"0": back, "1": asked} {
		t.Run(workers+" workers", func(t *testing.T) {
			address, sent := collect(t)
			w := newWorld(t, tattling, func(c *lumodev.Config) { c.Risk.SensitiveIdentifiers = []string{"doc_canary"} }).shared()
			w.env[endpoint], w.env["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = address, "true"
			s := w.serve("--notice", "0s", "--max-rate", "1000000", "--workers", workers)
			const session = "/api/apps/" + served + "/users/user/sessions/canary"
			s.header = http.Header{"Traceparent": {"00-" + asked + "-00f067aa0ba902b7-01"}, "Tracestate": {"v=canary"}, "Baggage": {"who=canary"}, "User-Agent": {"canary"}}
			if status, answer := s.say("ada", "run?q=canary", "canary", "Summarize doc_canary"); status != http.StatusOK || !strings.Contains(answer, "jitagent_waiting") {
				t.Fatalf("%d %s", status, answer)
			}
			s.header = http.Header{"Traceparent": {"00-" + back + "-00f067aa0ba902b7-01"}}
			decide(t, w.auth, "approve")
			if workers == "0" {
				if status, answer := s.do("ada", http.MethodPost, session+"/resume", ""); status != http.StatusOK || !strings.Contains(answer, "sings") {
					t.Fatalf("%d %s", status, answer)
				}
			}
			for w.atServer() != "completed" {
				s.do("ada", http.MethodGet, session, "")
			}
			if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			s.ends()
			got := sent()
			for _, part := range []struct {
				trace string
				spans []string
			}{
				{asked, []string{"POST", "jit task", "jit open", "invoke_agent protected_data_analyst", "generate_content offline", "execute_tool fetch_document", "GET", "jit request"}},
				{end, []string{"jit task", "invoke_agent protected_data_analyst", "execute_tool fetch_document", "GET", "jit token", "jit complete", "POST"}},
			} {
				if left := lacking(t, got["/v1/traces"], part.trace, part.spans); len(left) > 0 {
					t.Errorf("no spans %q in trace %s", left, part.trace)
				}
			}
			for path, body := range got {
				if len(body) == 0 || bytes.Contains(body, []byte("canary")) {
					t.Errorf("%s: %q", path, body)
				}
			}
			if len(got) != 3 {
				t.Errorf("%d signals were sent, want 3", len(got))
			}
		})
	}
}

// TestProgramEndsThoughNoCollectorListens bounds what a collector can cost.
func TestProgramEndsThoughNoCollectorListens(t *testing.T) {
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	t.Cleanup(busy.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, address := range map[string]string{"answers 503": busy.URL, "refuses": gone.URL} {
		w := newWorld(t, nil).shared()
		w.env[endpoint] = address
		ends := func(p *process) {
			t.Helper()
			begun := time.Now()
			p.until(t, "the collector did not take everything")
			if err := p.cmd.Wait(); err != nil || time.Since(begun) > 20*time.Second { // OpenTelemetry's own patience is 30 seconds; TestShutdownIsBounded has ours
				t.Errorf("a collector that %s: %v after %v", name, err, time.Since(begun))
			}
		}
		p := w.start("run", "Summarize doc_9982")
		p.until(t, " done ")
		ends(p)
		s := w.serve("--notice", "0s", "--drain", "1s")
		if status, answer := s.say("ada", "run", "s", "Summarize doc_9982"); status != http.StatusOK {
			t.Errorf("%d %s", status, answer)
		}
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		ends(s.process)
	}
}
