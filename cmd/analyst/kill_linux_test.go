package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
)

// A process that stands still while its task is killed sends nothing with a token when it
// goes on, wherever the journal is and whoever watches it.
func TestKillReachesAProcessThatStandsStill(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*world){
		"SQLite":   func(w *world) { w.shared() },
		"Postgres": func(w *world) { w.clustered("") },
		"seen from outside": func(w *world) {
			collector := httptest.NewServer(http.NotFoundHandler())
			w.t.Cleanup(collector.Close)
			w.shared().env["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.URL
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reached, killed := make(chan struct{}), make(chan struct{})
			var once sync.Once
			var sent atomic.Int64 // after the kill
			w := newWorld(t, func(w *world) http.Handler {
				api := w.documents(w)
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					select {
					case <-killed:
						sent.Add(1)
					default:
					}
					if w.granted(r.Header.Get("Authorization")) {
						once.Do(func() { close(reached); <-killed })
					}
					api.ServeHTTP(rw, r)
				})
			})
			set(w)
			victim := w.start("run", "--session", "one", "Summarize doc_9982, and create a report titled 'X'")
			<-reached
			if err := victim.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			got := w.given("--within", time.Second, func(result) bool { return w.atServer() == "completed" }, "kill", "--reason", "the key leaked", "session:one")
			if got.code != cli.ExitFailed || !strings.Contains(got.stdout, "its process has not stopped yet") || w.atServer() != "completed" {
				t.Errorf("kill: exit %d, at the server %s:\n%s%s", got.code, w.atServer(), got.stdout, got.stderr)
			}
			asked := w.asked()
			close(killed)
			if err := victim.cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			victim.until(t, "the task was killed: the key leaked")
			_ = victim.cmd.Wait() // its exit code says that it failed
			if n := sent.Load(); n != 0 || w.asked() != asked {
				t.Errorf("it sent %d requests to the API, and asked for authority %d times", n, w.asked()-asked)
			}
		})
	}
}
