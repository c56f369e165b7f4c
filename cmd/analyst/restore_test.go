package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
)

// TestRestoredState puts back a copy of the state as docs/operate.md has it, as an operator
// does who lost a machine: at once, when all that it knows is still so, and late, when a run
// that was killed was given back already and a session that waited was gone on with.
func TestRestoredState(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		state string
		late  bool
	}{{"a directory", false}, {"a directory", true}, {"a database", false}, {"a database", true}} {
		t.Run(fmt.Sprintf("%s, late %v", row.state, row.late), func(t *testing.T) {
			t.Parallel()
			var page []string // to back up, and to restore
			for _, block := range operating(t, row.state) {
				if all, _, ok := strings.Cut(block, "\nverify\n"); ok {
					all, _, _ = strings.Cut(all, "\nverify()")
					page = append(page, all)
				}
			}
			var reports atomic.Int32
			w := newWorld(t, func(w *world) http.Handler {
				api := w.documents(w)
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					rec := httptest.NewRecorder()
					if api.ServeHTTP(rec, r); r.Method == http.MethodPost && rec.Code < 300 {
						reports.Add(1)
					}
					maps.Copy(rw.Header(), rec.Header())
					rw.WriteHeader(rec.Code)
					_, _ = rw.Write(rec.Body.Bytes()) // whoever asks sees if that failed
				})
			}).shared()
			forget := func(string) {} // that the killed process lived a moment ago
			if row.state == "a database" {
				forget = w.clustered("")
			}
			id := w.suspended(report)
			p := w.start("run", "--wait", "5m", job)
			p.until(t, "granted ", "a person must decide")
			p.kill()
			follow := func(block string) {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), "sh", "-euc", block) //nolint:gosec // our own page
				cmd.Dir, cmd.Env = filepath.Dir(w.env[cli.EnvState]), os.Environ()
				for name, value := range w.env {
					cmd.Env = append(cmd.Env, name+"="+value)
				}
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			follow(page[0])
			decide(t, w.auth, "approve")
			const lease = "UPDATE analyst_acme.owners SET until = '-infinity'"
			if row.late {
				forget(lease)
				for _, args := range [][]string{{"sweep"}, {"resume", id}} {
					if got := w.run(args...); got.code != cli.ExitDone {
						t.Fatalf("%s: exit %d: %s%s", args[0], got.code, got.stdout, got.stderr)
					}
				}
			}
			before := w.auth.Snapshot().Totals

			follow(page[1])
			forget(lease)
			if got := w.run("audit", "verify"); got.code != cli.ExitDone {
				t.Errorf("verify: exit %d: %s", got.code, got.stderr)
			}
			if got := w.run("sweep"); got.code != cli.ExitDone || w.auth.Snapshot().LiveTokens != 0 {
				t.Errorf("sweep: exit %d, %d tokens live: %s%s", got.code, w.auth.Snapshot().LiveTokens, got.stdout, got.stderr)
			}
			want := cli.ExitDone
			if row.late { // the task is over at the server, and grants nothing more
				want = cli.ExitFailed
			}
			if got := w.run("resume", id); got.code != want {
				t.Errorf("resume: exit %d, want %d: %s%s", got.code, want, got.stdout, got.stderr)
			}
			if got := w.auth.Snapshot().Totals; row.late && got != before {
				t.Errorf("the copy brought %+v to %+v", before, got)
			}
			if got := reports.Load(); got != 1 {
				t.Errorf("%d reports, want 1", got)
			}
			if got := w.atServer(); got != "completed completed" {
				t.Errorf("the tasks are %s at the server", got)
			}
			if got := w.run("tasks", "--all", "--json"); strings.Count(got.stdout, `"state": "completed"`) != 2 {
				t.Errorf("the tasks are %s%s", got.stdout, got.stderr)
			}
			if got := w.run("audit", "verify"); got.code != cli.ExitDone {
				t.Errorf("verify: exit %d: %s", got.code, got.stderr)
			}
		})
	}
}
