#!/usr/bin/env bash
# Spans of a program whose collector is restarted, with OpenTelemetry's SDK for Go.
#
# go.opentelemetry.io/otel/sdk v1.44.0, exporters/otlp/otlptrace/otlptracehttp v1.44.0.
#
# One would guess that the exporter's retries, for a minute unless told otherwise, are for a
# collector that is away: a connection that is refused is tried again like a 503, as
# OTLP's specification asks of a client that cannot connect.
# Seen: the 503 is tried again. The refused connection is not, whatever RetryConfig says: the
# batch, up to 512 spans, is dropped at once, though the collector is back in a second.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > go.mod <<'M'
module finding

go 1.26

require (
	go.opentelemetry.io/otel v1.44.0
	go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp v1.44.0
	go.opentelemetry.io/otel/sdk v1.44.0
)
M
cat > main.go <<'M'
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/trace"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func main() {
	ctx := context.Background()
	nobody := must(net.Listen("tcp", "127.0.0.1:0"))
	away := nobody.Addr().String()
	_ = nobody.Close()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {})) // what it says there, ForceFlush says too

	// export tells how often a batch was tried and whether the collector has it, when the first try meets a fault.
	export := func(refuse bool) (int64, bool, error) {
		var tries atomic.Int64
		var got atomic.Bool
		collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if !refuse && tries.Add(1) == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			got.Store(true)
		}))
		defer collector.Close()
		client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if refuse && tries.Add(1) == 1 {
				address = away
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}}}
		exporter := must(otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(collector.URL), otlptracehttp.WithHTTPClient(client), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
			Enabled: true, InitialInterval: time.Millisecond, MaxInterval: time.Millisecond, MaxElapsedTime: time.Minute,
		})))
		provider := trace.NewTracerProvider(trace.WithBatcher(exporter, trace.WithBatchTimeout(time.Hour)))
		_, span := provider.Tracer("t").Start(ctx, "a call")
		span.End()
		err := provider.ForceFlush(ctx)
		_ = provider.Shutdown(ctx)
		return tries.Load(), got.Load(), err
	}
	tries, got, err := export(false)
	fmt.Printf("503: %d tries, the collector has the span: %t, error: %v\n", tries, got, err)
	busy := tries == 2 && got && err == nil
	tries, got, err = export(true)
	fmt.Printf("refused: %d tries, the collector has the span: %t, error: %v\n", tries, got, err)
	if !busy || tries != 1 || got || err == nil {
		fmt.Println("changed")
		os.Exit(1)
	}
}
M
go mod tidy >/dev/null 2>&1
go run .
