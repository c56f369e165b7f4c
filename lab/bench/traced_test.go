package bench

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/telemetry"
)

// coveredCallTraced is a call with everything sent to a collector in this process.
func coveredCallTraced() measure {
	return measure{
		name: "call covered by a live grant, journal on disk, traced", floor: "the same call untraced", goal: goal{ratio: 1.15},
		open: func(t *testing.T) pair {
			collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
			t.Cleanup(collector.Close)
			seen := must(telemetry.Start(t.Context(), telemetry.Config{Service: app, Getenv: func(name string) string {
				return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL}[name]
			}}))(t)
			t.Cleanup(func() { check(t, seen.Shutdown(t.Context())) })
			fetch := func(seen *telemetry.Telemetry) side {
				c := newCalls(t, nil)
				c.engine = must(jit.New(seen.Engine(jit.Config{Authority: c.authority, Journal: newJournal(t), AuthorityName: app})))(t)
				ctx, end := seen.Run(c.ctx, "run", "")
				t.Cleanup(func() { end("done", false) })
				c.ctx, c.task = ctx, openTask(t, c.engine)
				c.jit = &http.Client{Transport: &jit.Transport{Origin: must(jit.OriginOf(c.API))(t), Base: seen.Base(c.base)}}
				id := c.next()
				call := callOf("fetch", id)
				return does(func() error { return c.fetch(c.task.Call(c.ctx, call), id) })
			}
			return pair{ours: fetch(seen), floor: fetch(nil)}
		},
	}
}
