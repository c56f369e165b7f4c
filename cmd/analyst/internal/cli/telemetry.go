package cli

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/internal/serve"
	"github.com/jitagent/jitagent/telemetry"
)

// Seen are the flags that say how a command is seen from outside. Where to send traces,
// metrics and logs is said by the variables of OpenTelemetry (docs/observe.md).
type Seen struct {
	content bool
	metrics string
}

// AddFlags adds them to a command. One that lives for long has metrics to be fetched.
func (s *Seen) AddFlags(cmd *cobra.Command, long bool) {
	cmd.Flags().BoolVar(&s.content, "trace-content", false, "traces and logs hold arguments and results of tools too (see docs/observe.md)")
	if long {
		cmd.Flags().StringVar(&s.metrics, "metrics-listen", "", "`HOST:PORT` on which Prometheus fetches metrics; without HOST it is this machine alone")
	}
}

// Check finds what is wrong with the flags.
func (s *Seen) Check() error {
	_, err := s.address()
	return err
}

// address returns where metrics are to be fetched; "" is nowhere.
func (s *Seen) address() (string, error) {
	if s.metrics == "" {
		return "", nil
	}
	at := s.metrics
	if strings.HasPrefix(at, ":") {
		at = "127.0.0.1" + at
	}
	at, err := serve.Address(at, true) // it was named
	if err != nil {
		return "", Usagef("--metrics-listen: %w", err)
	}
	return at, nil
}

// Observe has the program seen from outside, as s and the environment say. The caller
// calls end when all else is over; it takes [telemetry.ShutdownTimeout] at most.
func (p *Program) Observe(ctx context.Context, s Seen) (end func(), err error) {
	t, err := telemetry.Start(ctx, telemetry.Config{Service: App, Version: Build(), Getenv: p.Getenv, Metrics: s.metrics != "", Content: s.content})
	if err != nil {
		return nil, Usagef("%s", strings.TrimPrefix(err.Error(), "telemetry: "))
	}
	p.Telemetry = t
	stop := func() {}
	if s.metrics != "" {
		var l net.Listener
		at, err := s.address()
		if err == nil {
			l, err = serve.Listen(at, true)
		}
		if err != nil {
			return nil, Usagef("--metrics-listen: %w", err)
		}
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", t.Metrics())
		server := serve.New(mux, l, "", p.Logger(false))
		go func() { _ = server.Serve(l) }() // until it is closed
		p.Note("metrics at %s", serve.BaseURL(l).JoinPath("metrics"))
		stop = func() { _ = server.Close() }
	}
	return func() {
		stop()
		if err := t.Shutdown(ctx); err != nil {
			p.Note("%s", Say(err))
		}
	}, nil
}
