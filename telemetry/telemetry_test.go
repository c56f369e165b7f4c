package telemetry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/log/global"
	"go.opentelemetry.io/otel/trace"
	traces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	span "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/telemetry"
)

// A collector takes what is sent by OTLP, and keeps the bodies by their paths.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	bodies map[string][]byte
}

// collect starts a collector that takes all it gets.
func collect(t *testing.T) *collector {
	c := &collector{bodies: map[string][]byte{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
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
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bodies[r.URL.Path] = append(c.bodies[r.URL.Path], body...) // messages of one kind add up to one
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) env(more map[string]string) func(string) string {
	return func(name string) string {
		if name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
			return c.URL
		}
		return more[name]
	}
}

func (c *collector) spans(t *testing.T) map[string]*span.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var got traces.ExportTraceServiceRequest
	if err := proto.Unmarshal(c.bodies["/v1/traces"], &got); err != nil {
		t.Fatal(err)
	}
	all := map[string]*span.Span{}
	for _, of := range got.ResourceSpans {
		for _, in := range of.ScopeSpans {
			for _, s := range in.Spans {
				all[s.Name] = s
			}
		}
	}
	return all
}

func start(t *testing.T, cfg telemetry.Config) *telemetry.Telemetry {
	t.Helper()
	cfg.Service = "test"
	seen, err := telemetry.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = seen.Shutdown(context.Background()) })
	return seen
}

// record puts the canary into every place of every signal, as libraries do.
func record(seen *telemetry.Telemetry, canary string) {
	state, _ := trace.ParseTraceState("vendor=" + canary)
	from := trace.NewSpanContext(trace.SpanContextConfig{TraceID: [16]byte{1}, SpanID: [8]byte{1}, TraceFlags: trace.FlagsSampled, TraceState: state})
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), from)
	all := []attribute.KeyValue{
		attribute.String("gcp.vertex.agent.tool_call_args", canary), attribute.String("gcp.vertex.agent.tool_response", canary),
		attribute.String("gen_ai.tool.name", canary), attribute.String("gen_ai.agent.description", canary), attribute.String("gen_ai.conversation.id", canary),
		attribute.String("gen_ai.input.messages", canary), attribute.String("error.type", "get https://api.example/?sig="+canary), attribute.String("user_agent.original", canary),
		attribute.String("url.full", "https://"+canary+":"+canary+"@api.example/"+canary+"?token="+canary+"#"+canary), attribute.String("url.path", canary), attribute.String("url.query", canary),
		attribute.StringSlice("gen_ai.response.finish_reasons", []string{"STOP", "said: " + canary}), attribute.String(canary, "x"),
	}
	_, s := otel.Tracer("of ADK").Start(ctx, "execute_tool "+canary, trace.WithAttributes(all...), trace.WithLinks(trace.Link{SpanContext: from, Attributes: all}))
	s.RecordError(errors.New(canary), trace.WithAttributes(all...), trace.WithStackTrace(true))
	s.AddEvent(canary)
	s.SetStatus(codes.Error, canary)
	s.End()

	seen.Engine(jit.Config{Authority: &fake.Authority{}}).Journal.Note(jit.Entry{Kind: jit.EntryCallEnded, Tool: canary, Result: "said: " + canary})

	var r log.Record
	r.SetEventName("gen_ai.user.message")
	r.SetBody(log.StringValue(canary))
	r.AddAttributes(log.String("gen_ai.system", "said: "+canary))
	global.GetLoggerProvider().Logger("of ADK").Emit(ctx, r)
	slog.New(seen.Logs(slog.DiscardHandler)).ErrorContext(ctx, "poll failed", "error", canary, "tool", canary, "op", "said: "+canary, slog.Group("op", "model", canary), "status", []string{canary})
}

// TestNothingLeavesThatIsNotListed is the promise of the package.
func TestNothingLeavesThatIsNotListed(t *testing.T) {
	for _, whole := range []bool{false, true} {
		c := collect(t)
		seen := start(t, telemetry.Config{Getenv: c.env(nil), Content: whole})
		record(seen, "canary-7d1c")
		if err := seen.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(c.bodies["/v1/traces"]) == 0 || !bytes.Contains(c.bodies["/v1/logs"], []byte("poll failed")) {
			t.Fatalf("nothing was sent: %q", c.bodies)
		}
		for path, body := range c.bodies {
			if !whole && bytes.Contains(body, []byte("canary")) {
				t.Errorf("%s: %q", path, body)
			}
		}
		if whole { // what stays also then
			if !bytes.Contains(c.bodies["/v1/traces"], []byte("https://api.example/canary")) {
				t.Error("content that was asked for is not sent")
			}
			for _, stays := range []string{"token=canary", "vendor=canary", "exception"} {
				if bytes.Contains(c.bodies["/v1/traces"], []byte(stays)) {
					t.Errorf("%s is sent", stays)
				}
			}
		}
		for name, s := range c.spans(t) {
			if len(s.Events) > 0 || s.Status.GetMessage() != "" || s.TraceState != "" || !whole && len(s.Attributes) != 1 {
				t.Errorf("%s: %v", name, s)
			}
		}
	}
}

// TestOneTraceFromRequestToRevocation follows a request to a server that runs a task.
func TestOneTraceFromRequestToRevocation(t *testing.T) {
	c := collect(t)
	seen := start(t, telemetry.Config{Getenv: c.env(nil), Metrics: true})
	authority := &fake.Authority{}
	journal := &fake.Journal{}
	engine, err := jit.New(seen.Engine(jit.Config{Authority: authority, Journal: journal}))
	if err != nil {
		t.Fatal(err)
	}
	need := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_1"}
	var asked []http.Header
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header)
		fake.Guard(func(*http.Request) rar.Detail { return need }, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
	}))
	defer api.Close()
	routes := http.NewServeMux()
	routes.HandleFunc("POST /runs/{id}", func(_ http.ResponseWriter, r *http.Request) {
		task, err := engine.Open(r.Context(), jit.TaskSpec{Session: "session_1"})
		if err != nil {
			t.Error(err)
			return
		}
		u, err := jit.ParseOrigin(api.URL)
		if err != nil {
			t.Error(err)
		}
		ctx := task.Call(r.Context(), jit.Call{ID: "call_1", Tool: "fetch", Ceiling: []rar.Detail{need}})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, api.URL+"/doc_1?sig=canary", nil)
		if err != nil {
			t.Error(err)
		}
		resp, err := (&http.Client{Transport: &jit.Transport{Origin: u, Base: seen.Base(nil)}}).Do(req)
		if err != nil {
			t.Error(err)
		} else {
			_ = resp.Body.Close()
		}
		jit.EndCall(ctx, jit.Result{Status: jit.CallOK})
		if err := task.Complete(r.Context()); err != nil {
			t.Error(err)
		}
	})
	outside := http.NewServeMux() // as package serve has one
	outside.Handle("/", seen.Handler(routes))
	server := httptest.NewServer(outside)
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/runs/canary", nil)
	if err != nil {
		t.Fatal(err)
	}
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	req.Header.Set("traceparent", "00-"+id+"-00f067aa0ba902b7-01")
	req.Header.Set("tracestate", "vendor=canary")
	req.Header.Set("baggage", "who=canary")
	req.Host = "127.0.0.9:4711"
	if _, err := server.Client().Do(req); err != nil { //nolint:bodyclose // it is empty
		t.Fatal(err)
	}
	if req, err = http.NewRequestWithContext(t.Context(), "CANARY", server.URL, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Client().Do(req); err != nil { //nolint:bodyclose // it is short, and the server's end closes it
		t.Fatal(err)
	}
	metrics := httptest.NewRecorder()
	seen.Metrics().ServeHTTP(metrics, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if err := seen.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	spans := c.spans(t)
	if spans["HTTP"] == nil || spans["CANARY"] != nil {
		t.Errorf("a request with a method of the client's own is not in a span called HTTP")
	}
	for _, name := range []string{"POST", "GET", "jit task", "jit open", "jit request", "jit token", "jit complete"} {
		if s := spans[name]; s == nil || traceID(s) != id {
			t.Errorf("span %s is %v, want one in the client's trace", name, s)
		}
	}
	if !slices.ContainsFunc(spans["POST"].Attributes, func(a *common.KeyValue) bool { return a.Value.GetStringValue() == "/runs/{id}" }) {
		t.Errorf("the request's span has no route: %v", spans["POST"].Attributes)
	}
	if len(asked) != 2 {
		t.Fatalf("%d requests to the API, want one that is refused and one more", len(asked))
	}
	for _, h := range asked {
		if !strings.Contains(h.Get("traceparent"), id) || h.Get("tracestate")+h.Get("baggage") != "" {
			t.Errorf("the API got %v", h)
		}
	}
	if asked[0].Get("traceparent") == asked[1].Get("traceparent") {
		t.Error("a request that was sent again has the span of the first time")
	}
	runs, err := journal.Runs(t.Context(), "session_1")
	if err != nil || len(runs) != 1 {
		t.Fatal(runs, err)
	}
	if entries, err := journal.Entries(t.Context(), runs[0]); err != nil || entries[0].Trace != id {
		t.Errorf("the journal has %+v, %v", entries, err)
	}
	for _, line := range []string{
		`jit_calls_total{gen_ai_tool_name="fetch",jit_status="ok"} 1`, `jit_requests_total{jit_decision="approved"} 1`, `jit_grants_live 0`, `jit_revocations_total 1`,
		`http_route="/runs/{id}"`,
	} {
		if !strings.Contains(metrics.Body.String(), line) {
			t.Errorf("no %s in\n%s", line, metrics.Body)
		}
	}
	if strings.Contains(metrics.Body.String(), "server_address") || strings.Contains(metrics.Body.String(), "4711") {
		t.Errorf("a client makes series of its own:\n%s", metrics.Body)
	}
}

func traceID(s *span.Span) string { return trace.TraceID(s.TraceId).String() }

// TestShutdownIsBounded has the time bought by no collector.
func TestShutdownIsBounded(t *testing.T) {
	hold := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	defer slow.Close()
	defer close(hold)
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer busy.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	for name, url := range map[string]string{"hangs": slow.URL, "answers 503": busy.URL, "refuses": "http://user:canary@" + gone.Addr().String()} {
		seen := start(t, telemetry.Config{Getenv: (&collector{Server: &httptest.Server{URL: url}}).env(nil)})
		record(seen, "x")
		begun := time.Now()
		err := seen.Shutdown(t.Context())
		if took := time.Since(begun); took > 8*time.Second { // OpenTelemetry's own patience is ten at least
			t.Errorf("a collector that %s: it took %v", name, took)
		}
		if err == nil || strings.Contains(err.Error(), "http") {
			t.Errorf("a collector that %s: %v, want that it did not take everything, and no address", name, err)
		}
	}
}

// TestEnvironment has what is asked for and what cannot be.
func TestEnvironment(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for _, tt := range []struct {
		env  []string
		says string // in the error; "" where there is none
		sent []string
	}{
		{nil, "", nil},
		{[]string{endpoint}, "", []string{"/v1/logs", "/v1/metrics", "/v1/traces"}},
		{[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}, "", []string{"/v1/traces"}},
		{[]string{endpoint, "OTEL_TRACES_EXPORTER=none", "OTEL_LOGS_EXPORTER=none"}, "", []string{"/v1/metrics"}},
		{[]string{endpoint, "OTEL_SDK_DISABLED=true"}, "", nil},
		{[]string{endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, "http/protobuf", nil},
		{[]string{endpoint, "OTEL_TRACES_EXPORTER=zipkin"}, "otlp or none", nil},
		{[]string{endpoint + "=collector:4318"}, "http://", nil},
	} {
		c := collect(t)
		seen, err := telemetry.Start(t.Context(), telemetry.Config{Service: "test", Getenv: func(name string) string {
			for _, set := range tt.env {
				if of, value, _ := strings.Cut(set+"="+c.URL, "="); of == name {
					return strings.TrimSuffix(value, "="+c.URL)
				}
			}
			return ""
		}})
		if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: %v, want %q", tt.env, err, tt.says)
		}
		if seen == nil {
			if len(tt.sent) > 0 {
				t.Errorf("%q: nothing is sent", tt.env)
			}
			continue
		}
		engine, err := jit.New(seen.Engine(jit.Config{Authority: &fake.Authority{}}))
		if err != nil {
			t.Fatal(err)
		}
		task, err := engine.Open(t.Context(), jit.TaskSpec{})
		if err != nil {
			t.Fatal(err)
		}
		_ = task.Complete(t.Context())
		record(seen, "x")
		if err := seen.Shutdown(t.Context()); err != nil {
			t.Errorf("%q: %v", tt.env, err)
		}
		var sent []string
		for path := range c.bodies {
			sent = append(sent, path)
		}
		if slices.Sort(sent); !slices.Equal(sent, tt.sent) {
			t.Errorf("%q: sent to %q, want %q", tt.env, sent, tt.sent)
		}
	}
}

// TestNilRecordsNothing has programs wire it without asking.
func TestNilRecordsNothing(t *testing.T) {
	var seen *telemetry.Telemetry
	ctx, end := seen.Run(t.Context(), "run", "")
	end("done", false)
	cfg := seen.Engine(jit.Config{Authority: &fake.Authority{}})
	if _, ok := cfg.Authority.(*fake.Authority); !ok || cfg.Journal != nil || ctx != t.Context() || seen.Base(nil) != nil || seen.Metrics() != nil || seen.Model(nil) != nil ||
		seen.Shutdown(ctx) != nil || seen.Waiting(nil) != nil {
		t.Error("something is recorded")
	}
}

// TestEngineKeepsWhatAJournalCan has a kill reach a process that is seen from outside.
func TestEngineKeepsWhatAJournalCan(t *testing.T) {
	seen, err := telemetry.Start(t.Context(), telemetry.Config{Service: "analyst", Metrics: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = seen.Shutdown(context.Background()) }()
	type killer struct{ jit.Killer }
	for _, j := range []jit.Journal{
		struct{ jit.Journal }{}, &fake.Journal{},
		struct {
			jit.Journal
			killer
		}{},
		struct {
			jit.Rereader
			killer
		}{},
	} {
		_, rereads := j.(jit.Rereader)
		_, kills := j.(jit.Killer)
		made := seen.Engine(jit.Config{Authority: &fake.Authority{}, Journal: j}).Journal
		if _, still := made.(jit.Rereader); still != rereads {
			t.Errorf("%T: rereads %t, want %t", j, still, rereads)
		}
		if _, still := made.(jit.Killer); still != kills {
			t.Errorf("%T: kills %t, want %t", j, still, kills)
		}
	}
}
