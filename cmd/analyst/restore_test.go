package main

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
)

// TestRestoredState puts back a copy of the state directory, as an operator does who lost
// a machine: at once, when all that it knows is still so, and late, when a run that was
// killed was given back already and a session that waited was gone on with.
func TestRestoredState(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a copy with its owners and modes is made with cp")
	}
	for name, late := range map[string]bool{"at once": false, "late": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
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
			id := w.suspended(report)
			p := w.start("run", "--wait", "5m", job)
			p.until(t, "granted ", "a person must decide")
			p.kill()
			copied := filepath.Join(t.TempDir(), "copy")
			if out, err := exec.CommandContext(t.Context(), "cp", "-a", w.env[cli.EnvState], copied).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			decide(t, w.auth, "approve")
			if late {
				for _, args := range [][]string{{"sweep"}, {"resume", id}} {
					if got := w.run(args...); got.code != cli.ExitDone {
						t.Fatalf("%s: exit %d: %s%s", args[0], got.code, got.stdout, got.stderr)
					}
				}
			}
			before := w.auth.Snapshot().Totals

			w.env[cli.EnvState] = copied
			if got := w.run("audit", "verify"); got.code != cli.ExitDone {
				t.Errorf("verify: exit %d: %s", got.code, got.stderr)
			}
			if got := w.run("sweep"); got.code != cli.ExitDone || w.auth.Snapshot().LiveTokens != 0 {
				t.Errorf("sweep: exit %d, %d tokens live: %s%s", got.code, w.auth.Snapshot().LiveTokens, got.stdout, got.stderr)
			}
			want := cli.ExitDone
			if late { // the task is over at the server, and grants nothing more
				want = cli.ExitFailed
			}
			if got := w.run("resume", id); got.code != want {
				t.Errorf("resume: exit %d, want %d: %s%s", got.code, want, got.stdout, got.stderr)
			}
			if got := w.auth.Snapshot().Totals; late && got != before {
				t.Errorf("the copy brought %+v to %+v", before, got)
			}
			if got := reports.Load(); got != 1 {
				t.Errorf("%d reports, want 1", got)
			}
			for _, where := range []string{w.atServer(), w.inJournal()} {
				if where != "completed completed" {
					t.Errorf("the tasks are %s", where)
				}
			}
		})
	}
}
