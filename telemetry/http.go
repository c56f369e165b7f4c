package telemetry

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/jitagent/jitagent/jit"
)

// Base returns a transport with a client's span for each request that base sends, and
// traceparent in its header. So one that is sent again has a span each time. base may be
// nil, for the base of package jit; a nil Telemetry returns it as it is.
func (t *Telemetry) Base(base http.RoundTripper) http.RoundTripper {
	if t == nil {
		return base
	}
	if base == nil {
		base = &jit.Transport{} // of no origin, so all that it does is to pass requests on
	}
	return transport{base, t}
}

// A transport records what is exported and nothing else: otelhttp's adds a fifth to a
// granted call on loopback, and this one half of that.
type transport struct {
	base http.RoundTripper
	t    *Telemetry
}

func (r transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, span := r.t.tracer.Start(req.Context(), req.Method, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	out := req.WithContext(ctx)
	out.Header = req.Header.Clone()
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(out.Header))
	resp, err := r.base.RoundTrip(out)
	about := append(make([]attribute.KeyValue, 0, 5), attribute.String("http.request.method", req.Method),
		attribute.String("server.address", req.URL.Hostname()), attribute.String("url.full", req.URL.Scheme+"://"+req.URL.Host))
	failure := "_OTHER"
	if err == nil {
		about = append(about, attribute.Int("http.response.status_code", resp.StatusCode))
		failure = strconv.Itoa(resp.StatusCode)
	}
	if err != nil || resp.StatusCode >= http.StatusBadRequest {
		about = append(about, attribute.String("error.type", failure))
		span.SetStatus(codes.Error, "")
	}
	span.SetAttributes(about...)
	return resp, err
}

// CloseIdleConnections closes those of the base, if it has such a method.
func (r transport) CloseIdleConnections() {
	if c, ok := r.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Handler returns next with a server's span for each request, in the trace that the client
// names in traceparent (https://www.w3.org/TR/trace-context/). It belongs behind
// authentication: whoever gets there can have requests recorded, or not, and name their trace.
func (t *Telemetry) Handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	routed := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		// Which route it is is known by now: otelhttp tells its metrics alone.
		if _, path, ok := strings.Cut(r.Pattern, "/"); ok {
			trace.SpanFromContext(r.Context()).SetAttributes(semconv.HTTPRoute("/" + path))
		}
	})
	return otelhttp.NewHandler(routed, "", otelhttp.WithTracerProvider(t.traces), otelhttp.WithMeterProvider(t.metrics),
		otelhttp.WithPropagators(parent{}), otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string {
			if !strings.Contains(" GET HEAD POST PUT PATCH DELETE CONNECT OPTIONS TRACE QUERY ", " "+r.Method+" ") {
				return "HTTP" // a method may be any word of the client's
			}
			return r.Method
		}))
}

// A parent is traceparent alone: tracestate and baggage are texts of clients, and would go
// on to whomever we talk to.
type parent struct{ propagation.TraceContext }

// Extract implements [propagation.TextMapPropagator].
func (p parent) Extract(ctx context.Context, from propagation.TextMapCarrier) context.Context {
	ctx = p.TraceContext.Extract(ctx, from)
	return trace.ContextWithRemoteSpanContext(ctx, stateless(trace.SpanContextFromContext(ctx)))
}

// Run begins the span of a run, in the trace that of names, a value of traceparent or the id
// of a trace that a journal has; "" begins one. The caller calls end with how it ended, in a
// word, and whether it failed.
func (t *Telemetry) Run(ctx context.Context, name, of string) (_ context.Context, end func(outcome string, failed bool)) {
	if t == nil {
		return ctx, func(string, bool) {}
	}
	if len(of) == 32 { // of its spans nobody knows
		of = "00-" + of + "-" + of[:16] + "-01"
	}
	ctx = parent{}.Extract(ctx, propagation.MapCarrier{"traceparent": of})
	ctx, span := t.tracer.Start(ctx, name)
	return ctx, func(outcome string, failed bool) {
		span.SetAttributes(attribute.String("jit.outcome", outcome))
		if failed {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// Metrics serves the metrics in Prometheus's format, and nothing else. nil without
// [Config.Metrics].
func (t *Telemetry) Metrics() http.Handler {
	if t == nil || t.registry == nil {
		return nil
	}
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}
