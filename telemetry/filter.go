package telemetry

import (
	"context"
	"net/url"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// A filter knows what may leave the process. The zero value of what it does not know is
// that it stays.
type filter struct {
	keys  map[string]bool // of attributes
	whole bool            // content is exported as well

	mu    sync.RWMutex
	tools map[string]bool // names of guarded tools; others may be words of a model
}

// listed are the attributes that are exported, in the names of OpenTelemetry's semantic
// conventions and, with "jit." before them, of our own. The keys of log records are below.
const listed = `
gen_ai.operation.name gen_ai.system gen_ai.provider.name gen_ai.agent.name gen_ai.tool.name gen_ai.tool.call.id gen_ai.request.model
gen_ai.response.model gen_ai.response.finish_reasons gen_ai.token.type gen_ai.usage.input_tokens gen_ai.usage.output_tokens
gen_ai.usage.cache_read.input_tokens gen_ai.usage.reasoning.output_tokens gen_ai.workflow.name gen_ai.node.name gcp.vertex.agent.invocation_id
http.request.method http.response.status_code http.route network.protocol.version server.address server.port url.scheme url.full error.type
jit.task.id jit.request.id jit.decision jit.risk jit.status jit.outcome jit.revoked
provider model status attempt op took tool task_id request_id call_id limit`

// content are those that are exported where content was asked for by name.
const content = `gen_ai.conversation.id gcp.vertex.agent.tool_call_args gcp.vertex.agent.tool_response url.path`

func newFilter(whole bool) *filter {
	f := &filter{keys: map[string]bool{}, whole: whole, tools: map[string]bool{}}
	names := strings.Fields(listed)
	if whole {
		names = append(names, strings.Fields(content)...)
	}
	for _, name := range names {
		f.keys[name] = true
	}
	return f
}

// maxTools bounds how many names of tools are kept.
const maxTools = 1000

// learn takes note of the name of a guarded tool.
func (f *filter) learn(tool string) {
	f.mu.RLock()
	known := f.tools[tool] || len(f.tools) >= maxTools
	f.mu.RUnlock()
	if !known {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.tools[tool] = true
	}
}

func (f *filter) tool(name string) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.whole || f.tools[name]
}

// word is what a name, an id, a number, a code or a pattern of paths is made of: no space.
const word = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/@+*{}-"

// text returns the value of an attribute as it may leave, and whether it may.
func (f *filter) text(key, value string) (string, bool) {
	switch {
	case !f.keys[key]:
		return "", false
	case key == "url.full":
		return f.address(value)
	case key == "gen_ai.tool.name" || key == "tool":
		return value, f.tool(value)
	case f.whole:
		return value, true
	}
	return value, value != "" && len(value) <= 128 && strings.Trim(value, word) == ""
}

// address returns what a URL says of where it leads: a path names what a call is about.
func (f *filter) address(value string) (string, bool) {
	u, err := url.Parse(value)
	if err != nil || u.Opaque != "" {
		return "", false
	}
	to := url.URL{Scheme: u.Scheme, Host: u.Host}
	if f.whole {
		to.Path, to.RawPath = u.Path, u.RawPath
	}
	return to.String(), true
}

// attributes returns those that may leave.
func (f *filter) attributes(all []attribute.KeyValue) []attribute.KeyValue {
	kept := make([]attribute.KeyValue, 0, len(all))
	for _, a := range all {
		ok := f.keys[string(a.Key)]
		switch {
		case !ok:
		case a.Value.Type() == attribute.STRING:
			var v string
			v, ok = f.text(string(a.Key), a.Value.AsString())
			a.Value = attribute.StringValue(v)
		case a.Value.Type() == attribute.STRINGSLICE:
			for _, v := range a.Value.AsStringSlice() {
				_, fits := f.text(string(a.Key), v)
				ok = ok && fits
			}
		}
		if ok {
			kept = append(kept, a)
		}
	}
	return kept
}

// A spanFilter hands filtered spans to an exporter.
type spanFilter struct {
	trace.SpanExporter
	filter *filter
}

func (e spanFilter) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	all := make([]trace.ReadOnlySpan, len(spans))
	for i, s := range spans {
		all[i] = filteredSpan{s, e.filter}
	}
	return e.SpanExporter.ExportSpans(ctx, all)
}

// A filteredSpan is a span as it may leave.
type filteredSpan struct {
	trace.ReadOnlySpan
	filter *filter
}

// Name is of the span's operation, and of the agent, the model or the tool where that is
// known to be one: a model may call a tool by any name.
func (s filteredSpan) Name() string {
	name := s.ReadOnlySpan.Name()
	if tool, ok := strings.CutPrefix(name, "execute_tool "); ok && tool != "(merged)" && !s.filter.tool(tool) {
		return "execute_tool"
	}
	return name
}

func (s filteredSpan) Attributes() []attribute.KeyValue {
	return s.filter.attributes(s.ReadOnlySpan.Attributes())
}

// Status has the code alone: its description is an error's text.
func (s filteredSpan) Status() trace.Status { return trace.Status{Code: s.ReadOnlySpan.Status().Code} }

// Events are none: those that there are are exceptions, with texts and stacks.
func (s filteredSpan) Events() []trace.Event { return nil }

func (s filteredSpan) Links() []trace.Link {
	links := make([]trace.Link, len(s.ReadOnlySpan.Links()))
	for i, l := range s.ReadOnlySpan.Links() {
		links[i] = trace.Link{SpanContext: stateless(l.SpanContext), Attributes: s.filter.attributes(l.Attributes)}
	}
	return links
}

func (s filteredSpan) SpanContext() oteltrace.SpanContext {
	return stateless(s.ReadOnlySpan.SpanContext())
}

// stateless returns c without its tracestate, which is text that a client chose.
func stateless(c oteltrace.SpanContext) oteltrace.SpanContext {
	return c.WithTraceState(oteltrace.TraceState{})
}

// view has metrics keep the attributes that are listed, but for where a request was sent to:
// that is what its client wrote in Host, and each port would be series of its own.
func (f *filter) view() metric.View {
	return metric.NewView(metric.Instrument{Name: "*"}, metric.Stream{
		AttributeFilter: func(a attribute.KeyValue) bool {
			return !strings.HasPrefix(string(a.Key), "server.") && len(f.attributes([]attribute.KeyValue{a})) > 0
		},
	})
}

// A logFilter hands filtered records to a processor.
type logFilter struct {
	sdklog.Processor
	filter *filter
}

// Enabled has otelslog not make records that are too small to be sent.
func (p logFilter) Enabled(_ context.Context, about sdklog.EnabledParameters) bool {
	return about.Severity == log.SeverityUndefined || about.Severity >= log.SeverityInfo
}

// OnEmit takes from a record what may not leave. The body of one of ours is a constant;
// ADK's are conversations.
func (p logFilter) OnEmit(ctx context.Context, r *sdklog.Record) error {
	foreign := r.InstrumentationScope().Name != scope
	if !p.Enabled(ctx, sdklog.EnabledParameters{Severity: r.Severity()}) || foreign && !p.filter.whole {
		return nil
	}
	var kept []log.KeyValue
	r.WalkAttributes(func(a log.KeyValue) bool {
		a.Value = p.filter.value(a.Key, a.Value)
		if !a.Value.Empty() {
			kept = append(kept, a)
		}
		return true
	})
	r.SetAttributes(kept...)
	return p.Processor.OnEmit(ctx, r)
}

// value returns what may leave of the value of a record's attribute.
func (f *filter) value(key string, v log.Value) log.Value {
	switch v.Kind() {
	case log.KindString:
		if text, ok := f.text(key, v.AsString()); ok {
			return log.StringValue(text)
		}
	case log.KindBool, log.KindInt64, log.KindFloat64:
		if f.keys[key] {
			return v
		}
	}
	return log.Value{}
}
