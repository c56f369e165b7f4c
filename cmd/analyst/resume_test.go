package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/dev/lumodev"
)

// decide has the reviewer decide about all that waits at an authorization server.
func decide(t *testing.T, auth *lumodev.Server, verb string) {
	t.Helper()
	token, err := auth.UserToken(lumodev.DefaultReviewerEmail)
	if err != nil {
		t.Fatal(err)
	}
	decided := 0
	for _, r := range auth.Snapshot().Requests {
		req := httptest.NewRequest(http.MethodPost, "/orgs/"+auth.Config().Org+"/api/v1/jit/"+verb+"/"+r.ID, strings.NewReader("{}"))
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
		req.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		if auth.ServeHTTP(rec, req); rec.Code == http.StatusOK {
			decided++
		}
	}
	if decided == 0 {
		t.Fatal("nothing waited")
	}
}

const report = "Fetch document doc_7310, summarize it, and create a report titled 'Q4'."

// suspended makes a run that is suspended, and returns its session.
func (w *world) suspended(prompt string, flags ...string) string {
	w.t.Helper()
	got := w.run(append([]string{"run", prompt}, flags...)...)
	hint := regexp.MustCompile(`(?m)^hint: (?:.*, then: )?analyst resume ([A-Z0-9]+)$`).FindStringSubmatch(strings.ReplaceAll(got.stderr, "\n      ", " "))
	if got.code != cli.ExitPending || hint == nil || !strings.Contains(got.stderr, "request jit_") {
		w.t.Fatalf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	return hint[1]
}

// A run that waits is gone on with once somebody has decided: one fetch, one report, and
// of several processes that do it at once, one.
func TestRunIsResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).shared()
	id := w.suspended(report)
	if got := w.run("tasks", "list"); !strings.Contains(got.stdout, "suspended") || w.atServer() != "active" {
		t.Errorf("tasks: %s, at the server %s", got.stdout, w.atServer())
	}
	if got := w.run("resume"); got.code != cli.ExitPending || !strings.Contains(got.stderr, "analyst resume "+id) {
		t.Errorf("resume before the decision: exit %d, %s", got.code, got.stderr)
	}
	if got := w.run("run", "--session", id, "And now?"); got.code != cli.ExitPending || !strings.Contains(got.stderr, "the message was not said") {
		t.Errorf("a message before the decision: exit %d, %s", got.code, got.stderr)
	}
	decide(t, w.auth, "approve")
	results := make([]result, 4)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() { results[i] = w.run("resume", id[:8]) })
	}
	wg.Wait()
	done := 0
	for _, got := range results {
		switch {
		case got.code == cli.ExitDone && strings.Contains(got.stdout, "report"):
			done++
		case got.code != cli.ExitFailed, strings.Contains(got.stderr, "jit:"):
			t.Errorf("another one: exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	}
	if done != 1 || w.atServer() != "completed" || w.inJournal() != "completed" {
		t.Errorf("%d of %d did; the task is %s, %s in the journal: %+v", done, len(results), w.atServer(), w.inJournal(), results)
	}
	export := w.run("audit", "export").stdout
	if n := strings.Count(export, `"kind":"grant"`); n != 2 {
		t.Errorf("%d tokens, want 2: one to read, one to write", n)
	}
	if n := strings.Count(export, `"http_status":201`); n != 1 {
		t.Errorf("%d reports, want 1", n)
	}
	if got := w.run("audit", "verify"); got.code != cli.ExitDone {
		t.Errorf("verify: %s", got.stderr)
	}
	if got := w.run("explain"); !strings.Contains(got.stdout, "Taken up again") || strings.Contains(got.stdout, "died") {
		t.Errorf("explain:\n%s", got.stdout)
	}
	if got := w.run("resume", id); got.code != cli.ExitFailed || !strings.Contains(got.stderr, "nothing to go on with") {
		t.Errorf("once more: exit %d, %s", got.code, got.stderr)
	}
}

// With nothing configured, the embedded servers come back with what they knew.
func TestEmbeddedRunIsResumed(t *testing.T) {
	t.Parallel()
	w := (&world{t: t, env: map[string]string{}}).shared()
	w.suspended(report, "--reports", filepath.Join(t.TempDir(), "reports"))
	if got := w.run("approvals", "approve", "last"); got.code != cli.ExitDone || !strings.Contains(got.stdout, "approved, to be used until 2") {
		t.Errorf("approve: exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	reports := filepath.Join(t.TempDir(), "reports")
	got := w.run("resume", "--reports", reports)
	files, _ := os.ReadDir(reports)
	if got.code != cli.ExitDone || len(files) != 1 || strings.Contains(got.stderr, "asked     file_access read doc_7310") {
		t.Errorf("exit %d, %d reports: %s%s", got.code, len(files), got.stdout, got.stderr)
	}
	if w.inJournal() != "completed" {
		t.Errorf("tasks are %s", w.inJournal())
	}
}

// While another process has the embedded servers, a session that waits for a person there
// is left as it is, whatever is said to it.
func TestSessionOfBusyServersIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := (&world{t: t, env: map[string]string{}}).shared()
	reports := filepath.Join(t.TempDir(), "reports")
	id := w.suspended(report, "--reports", reports)
	auth, err := lumodev.New(lumodev.Config{BaseURL: "http://127.0.0.1:1", StateDir: filepath.Join(w.env[cli.EnvState], "embedded", "lumodev")})
	if err != nil {
		t.Fatal(err)
	}
	decide(t, auth, "approve")
	for _, args := range [][]string{{"resume", "--quiet"}, {"resume", "--drop"}, {"run", "--session", id, "And now?"}} {
		if got := w.run(args...); got.code != cli.ExitFailed || got.stdout != "" || !strings.Contains(got.stderr, "another analyst command has the embedded servers") {
			t.Errorf("%v: exit %d: %s%s", args, got.code, got.stdout, got.stderr)
		}
	}
	if err := auth.Close(); err != nil {
		t.Fatal(err)
	}
	got := w.run("resume", "--reports", reports)
	if files, _ := os.ReadDir(reports); got.code != cli.ExitDone || len(files) != 1 {
		t.Errorf("afterwards: exit %d, %d reports: %s%s", got.code, len(files), got.stdout, got.stderr)
	}
}

// Where a process is killed that resumed a session, the next one goes on at once: with the
// calls that wait, or with what is known of those that were under way.
func TestKilledResumeIsGoneOnWith(t *testing.T) {
	t.Parallel()
	// stuck answers nothing on a path once, and tells when it is asked.
	stuck := func(suffix, body string) (func(http.Handler) http.Handler, chan struct{}) {
		asked := make(chan struct{})
		var once sync.Once
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				text, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(text))
				first := false
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, suffix) && strings.Contains(string(text), body) {
					once.Do(func() { first = true })
				}
				if first {
					close(asked)
					<-r.Context().Done()
					return
				}
				next.ServeHTTP(rw, r)
			})
		}, asked
	}
	t.Run("while it waits", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, nil).shared()
		w.suspended(report)
		p := w.start("resume", "--wait", "5m")
		p.until(t, "refused ")
		if got := w.run("resume"); got.code != cli.ExitFailed || !strings.Contains(got.stderr, "another process goes on with") {
			t.Errorf("while the other one lives: exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
		p.kill()
		decide(t, w.auth, "approve")
		got := w.run("resume")
		if n := strings.Count(w.run("audit", "export").stdout, `"http_status":201`); got.code != cli.ExitDone || n != 1 || w.atServer() != "completed" {
			t.Errorf("exit %d, %d reports, the task is %s: %s%s", got.code, n, w.atServer(), got.stdout, got.stderr)
		}
	})
	t.Run("before an effect is sent", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, nil).shared()
		id := w.suspended(report)
		decide(t, w.auth, "approve")
		wrap, asked := stuck("/jit/request", "write")
		w.hijack(wrap)
		p := w.start("resume")
		<-asked
		p.kill()
		got := w.run("resume")
		if n := strings.Count(w.run("audit", "export").stdout, `"http_status":201`); got.code != cli.ExitDone || n != 1 || w.atServer() != "completed" {
			t.Errorf("exit %d, %d reports, the task is %s: %s%s", got.code, n, w.atServer(), got.stdout, got.stderr)
		}
		if got := w.run("resume", id); got.code != cli.ExitFailed || !strings.Contains(got.stderr, "nothing to go on with") {
			t.Errorf("once more: exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
	t.Run("in a read, and nobody had waited", func(t *testing.T) {
		t.Parallel()
		asked := make(chan struct{})
		var once sync.Once
		w := newWorld(t, func(w *world) http.Handler {
			api := w.documents(w)
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if w.granted(r.Header.Get("Authorization")) {
					once.Do(func() { close(asked); <-r.Context().Done() })
				}
				api.ServeHTTP(rw, r)
			})
		}).shared()
		p := w.start("run", "Summarize doc_9982")
		<-asked
		p.kill()
		got := w.run("resume", "last")
		if got.code != cli.ExitDone || w.atServer() != "completed completed" {
			t.Errorf("exit %d, the tasks are %s: %s%s", got.code, w.atServer(), got.stdout, got.stderr)
		}
	})
	t.Run("when an effect was sent", func(t *testing.T) {
		t.Parallel()
		wrap, asked := stuck("/reports", "")
		w := newWorld(t, func(w *world) http.Handler {
			api := w.documents(w)
			held := wrap(api)
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if w.granted(r.Header.Get("Authorization")) {
					held.ServeHTTP(rw, r)
				} else {
					api.ServeHTTP(rw, r)
				}
			})
		}).shared()
		w.suspended(report)
		decide(t, w.auth, "approve")
		p := w.start("resume")
		<-asked
		p.kill()
		got := w.run("resume")
		if got.code != cli.ExitInDoubt || !strings.Contains(got.stderr, "Idempotency-Key jit-") || w.atServer() != "completed" {
			t.Errorf("exit %d, the task is %s: %s%s", got.code, w.atServer(), got.stdout, got.stderr)
		}
	})
}

// What is given up is not done, its authority is given back, and the conversation goes on.
func TestWaitingRunIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).shared()
	id := w.suspended("Summarize doc_7310")
	if got := w.run("resume", "--drop"); got.code != cli.ExitDone || w.atServer() != "completed" || !strings.Contains(got.stdout, "is not done") {
		t.Errorf("exit %d: %s%s; the task is %s", got.code, got.stdout, got.stderr, w.atServer())
	}
	if got := w.run("resume"); got.code != cli.ExitFailed || !strings.Contains(got.stderr, "no session waits") || !strings.Contains(got.stderr, "analyst resume last") {
		t.Errorf("resume: exit %d: %s", got.code, got.stderr)
	}
	if got := w.run("run", "--session", id, "Summarize doc_9982"); got.code != cli.ExitDone {
		t.Errorf("the next message: exit %d: %s", got.code, got.stderr)
	}
	show := w.run("sessions", "show", id[:6])
	if !strings.Contains(show.stdout, "nobody decided and went on with it, so this call was not made") || !strings.Contains(show.stdout, "user: Summarize doc_9982") {
		t.Errorf("show:\n%s%s", show.stdout, show.stderr)
	}
	if got := w.run("sessions", "list"); !strings.Contains(got.stdout, id) || !strings.Contains(got.stdout, "Summarize doc_7310") {
		t.Errorf("list:\n%s", got.stdout)
	}
	if got := w.run("sessions", "delete", "last"); got.code != cli.ExitDone {
		t.Errorf("delete: %s", got.stderr)
	}
	if got := w.run("sessions", "list", "--json"); got.stdout != "[]\n" {
		t.Errorf("list after delete: %s", got.stdout)
	}
}

// A denial is heard of later, too.
func TestDeniedRunIsResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).shared()
	w.suspended("Summarize doc_7310")
	decide(t, w.auth, "deny")
	if got := w.run("resume"); got.code != cli.ExitDenied || w.atServer() != "completed" {
		t.Errorf("exit %d: %s%s; the task is %s", got.code, got.stdout, got.stderr, w.atServer())
	}
}

// An approval that nobody used in time is told as that, not as a missing decision.
func TestApprovalNotUsedInTime(t *testing.T) {
	t.Parallel()
	var late atomic.Bool
	w := newWorld(t, nil, func(cfg *lumodev.Config) {
		cfg.RedemptionWindow = time.Second
		cfg.Now = func() time.Time {
			if late.Load() {
				return time.Now()
			}
			return time.Now().Add(-time.Minute)
		}
	}).shared()
	w.suspended("Summarize doc_7310")
	decide(t, w.auth, "approve")
	late.Store(true)
	const want = "was approved by " + lumodev.DefaultReviewerEmail + ", and the approval was not used in time"
	if got := w.run("resume"); got.code != cli.ExitDenied || !strings.Contains(got.stderr, want) {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
}

// With --ephemeral nothing of a conversation is on disk, and what waits ends with the run.
func TestEphemeralRunKeepsNothing(t *testing.T) {
	t.Parallel()
	w := (&world{t: t, env: map[string]string{}}).shared()
	if got := w.run("run", "--ephemeral", "Summarize doc_7310"); got.code != cli.ExitPending || !strings.Contains(got.stderr, "without --ephemeral") {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
	if _, err := os.Stat(w.env[cli.EnvState]); !os.IsNotExist(err) {
		t.Errorf("the state directory: %v, want none", err)
	}
}

// What a suspended run was granted is revoked at once, and told as that.
func TestSuspendedRunHoldsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).shared()
	w.suspended("Summarize doc_9982 and doc_7310")
	text := strings.Join(strings.Fields(w.run("explain").stdout), " ")
	if !strings.Contains(text, "its tokens were dropped and revoked") || strings.Contains(text, "alive") {
		t.Errorf("explain:\n%s", text)
	}
}
