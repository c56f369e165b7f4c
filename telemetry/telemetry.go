// Package telemetry is how a program is seen from outside: traces, metrics and logs by
// OTLP (https://opentelemetry.io/docs/specs/otlp/), and metrics for Prometheus.
//
//	t, err := telemetry.Start(ctx, telemetry.Config{Service: "analyst", Getenv: os.Getenv})
//	defer t.Shutdown(ctx)
//	engine, err := jit.New(t.Engine(jit.Config{Authority: authority}))
//
// Invariants:
//
//   - Nothing is sent unless a variable of OpenTelemetry names a collector.
//   - What leaves the process is listed here, attribute by attribute: ids, names that the
//     program gives, numbers and codes. Everything else is dropped where it is exported,
//     whoever recorded it: arguments, results, what a person or a model said, error texts,
//     paths and queries of URLs. ADK records all of these in its spans.
//   - A collector that is slow, broken or gone costs what it was to be sent, and no run
//     more than [ShutdownTimeout].
//   - Other parties learn the ids of the trace and nothing else: no tracestate that came
//     from a client, and no baggage.
//
// A nil *Telemetry is valid: it records nothing, and its methods return what they are given.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/log/global"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// scope names who records what this package does.
const scope = "github.com/jitagent/jitagent/telemetry"

// ShutdownTimeout bounds [Telemetry.Shutdown].
const ShutdownTimeout = 1500 * time.Millisecond

// Config says what is recorded, and under which name.
type Config struct {
	Service string // service.name, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES has one
	Version string // service.version; "" is none
	// Getenv reads the variables that say where to send: OTEL_EXPORTER_OTLP_ENDPOINT or that
	// of a signal, OTEL_TRACES_EXPORTER and its like, and OTEL_SDK_DISABLED. nil reads none,
	// so that nothing is sent. All others, such as OTEL_EXPORTER_OTLP_HEADERS, the
	// OpenTelemetry libraries read from the environment of the process.
	Getenv func(string) string
	// Metrics keeps metrics for [Telemetry.Metrics], whether or not they are sent as well.
	Metrics bool
	// Content exports arguments and results of tools, the ids of conversations, and paths
	// of URLs too. What was said to models and by them is exported where
	// OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is true as well. Error texts and
	// queries of URLs stay where they are.
	Content bool
}

// Telemetry is what [Start] set up. It is safe for concurrent use.
type Telemetry struct {
	tracer   oteltrace.Tracer
	traces   *trace.TracerProvider
	logs     *sdklog.LoggerProvider
	metrics  *metric.MeterProvider
	registry *prometheus.Registry
	filter   *filter
	counts   instruments
	failed   atomic.Int64
}

// Start sets up what the environment asks for and returns it, nil when that is nothing.
// It makes it the process's OpenTelemetry, since ADK knows of no other, and so is to be
// called once, before anything runs. The caller must call [Telemetry.Shutdown].
func Start(ctx context.Context, cfg Config) (*Telemetry, error) {
	to, err := endpoints(cfg.Getenv)
	if err != nil {
		return nil, err
	}
	if to == (destinations{}) && !cfg.Metrics {
		return nil, nil
	}
	t := &Telemetry{filter: newFilter(cfg.Content)}
	// Its own texts quote variables that hold keys of collectors, and addresses.
	otel.SetLogger(logr.FromSlogHandler(slog.DiscardHandler))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) { t.failed.Add(1) }))
	// Without a schema: another one's attributes would make the merge fail altogether.
	about, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName(cfg.Service), semconv.ServiceVersion(cmp.Or(cfg.Version, "unknown"))),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, errors.New("telemetry: OTEL_RESOURCE_ATTRIBUTES cannot be read")
	}
	about = resource.NewSchemaless(about.Attributes()...)

	options := []trace.TracerProviderOption{trace.WithResource(about)}
	if to.traces != "" {
		exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(to.traces))
		if err != nil {
			return nil, fmt.Errorf("telemetry: traces: %w", err)
		}
		options = append(options, trace.WithBatcher(spanFilter{exporter, t.filter}))
	}
	t.traces = trace.NewTracerProvider(options...)
	t.tracer = t.traces.Tracer(scope)
	if err := t.startMetrics(ctx, cfg, about, to.metrics); err != nil {
		return nil, err
	}
	if to.logs != "" {
		exporter, err := otlploghttp.New(ctx, otlploghttp.WithEndpointURL(to.logs))
		if err != nil {
			return nil, fmt.Errorf("telemetry: logs: %w", err)
		}
		t.logs = sdklog.NewLoggerProvider(sdklog.WithResource(about), sdklog.WithProcessor(logFilter{sdklog.NewBatchProcessor(exporter), t.filter}))
		global.SetLoggerProvider(t.logs)
	}
	otel.SetTracerProvider(t.traces)
	return t, nil
}

func (t *Telemetry) startMetrics(ctx context.Context, cfg Config, about *resource.Resource, to string) error {
	options := []metric.Option{
		metric.WithResource(about), metric.WithView(t.filter.view()),
		metric.WithExemplarFilter(exemplar.AlwaysOffFilter), // they keep the attributes that a view drops
	}
	if to != "" {
		exporter, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(to))
		if err != nil {
			return fmt.Errorf("telemetry: metrics: %w", err)
		}
		options = append(options, metric.WithReader(metric.NewPeriodicReader(exporter)))
	}
	if cfg.Metrics {
		t.registry = prometheus.NewRegistry()
		t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		reader, err := otelprometheus.New(otelprometheus.WithRegisterer(t.registry), otelprometheus.WithoutScopeInfo())
		if err != nil {
			return fmt.Errorf("telemetry: metrics: %w", err)
		}
		options = append(options, metric.WithReader(reader))
	}
	t.metrics = metric.NewMeterProvider(options...)
	return t.counts.make(t.metrics.Meter(scope))
}

// destinations are where each signal is sent; "" is nowhere.
type destinations struct{ traces, metrics, logs string }

// endpoints reads them from the environment, as the OTLP exporter's specification has it.
func endpoints(getenv func(string) string) (to destinations, err error) {
	if getenv == nil || strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return to, nil
	}
	const prefix = "OTEL_EXPORTER_OTLP_"
	for _, signal := range []struct {
		name, path string
		to         *string
	}{{"TRACES", "v1/traces", &to.traces}, {"METRICS", "v1/metrics", &to.metrics}, {"LOGS", "v1/logs", &to.logs}} {
		address := strings.TrimSpace(getenv(prefix + signal.name + "_ENDPOINT"))
		if base := strings.TrimSpace(getenv(prefix + "ENDPOINT")); address == "" && base != "" {
			address = strings.TrimSuffix(base, "/") + "/" + signal.path
		}
		switch exporter := cmp.Or(getenv("OTEL_"+signal.name+"_EXPORTER"), "otlp"); {
		case address == "" || exporter == "none":
			continue
		case exporter != "otlp":
			return to, fmt.Errorf("telemetry: OTEL_%s_EXPORTER is %q: it may be otlp or none", signal.name, exporter)
		case cmp.Or(getenv(prefix+signal.name+"_PROTOCOL"), getenv(prefix+"PROTOCOL"), "http/protobuf") != "http/protobuf":
			return to, fmt.Errorf("telemetry: %sPROTOCOL: only http/protobuf is spoken", prefix)
		case !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://"):
			return to, fmt.Errorf("telemetry: %sENDPOINT is no URL that begins with http:// or https://", prefix)
		}
		*signal.to = address
	}
	return to, nil
}

// Shutdown sends what is left and ends, within [ShutdownTimeout] and ctx. The error says
// how often something could not be sent, and nothing of where to.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ShutdownTimeout)
	defer cancel()
	ends := []func(context.Context) error{t.traces.Shutdown, t.metrics.Shutdown}
	if t.logs != nil {
		ends = append(ends, t.logs.Shutdown)
	}
	var all sync.WaitGroup
	for _, end := range ends {
		all.Go(func() {
			if end(ctx) != nil {
				t.failed.Add(1)
			}
		})
	}
	all.Wait()
	if n := t.failed.Load(); n > 0 {
		return fmt.Errorf("telemetry: the collector did not take everything (%d failures)", n)
	}
	return nil
}

// Logs returns a handler that sends records to the collector, from slog.LevelInfo, and hands
// them to next as well. What is sent of one is its message, a constant, and the attributes
// that are listed in this package.
func (t *Telemetry) Logs(next slog.Handler) slog.Handler {
	if t == nil || t.logs == nil {
		return next
	}
	return slog.NewMultiHandler(next, otelslog.NewHandler(scope, otelslog.WithLoggerProvider(t.logs)))
}
