package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/sqlite"
)

// job gets one grant and then waits for a person to decide on the next one.
const job = "Read doc_9982 and doc_7310, then write them up as X"

// A process is a real analyst, as a user starts it, against a world.
type process struct {
	cmd    *exec.Cmd
	stderr *bufio.Scanner
}

// start starts a process that shares the world's state directory.
func (w *world) start(args ...string) *process {
	w.t.Helper()
	p := &process{cmd: exec.CommandContext(context.WithoutCancel(w.t.Context()), "analyst", args...)}
	p.cmd.Env = append(os.Environ(), "NO_PROXY=*")
	for name, value := range w.env {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	out, err := p.cmd.StderrPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	p.stderr = bufio.NewScanner(out)
	w.t.Cleanup(p.kill)
	return p
}

// until reads what the process says until it has said all of the words.
func (p *process) until(t *testing.T, words ...string) {
	t.Helper()
	var said strings.Builder
	for p.stderr.Scan() {
		fmt.Fprintln(&said, p.stderr.Text())
		words = slices.DeleteFunc(words, func(w string) bool { return strings.Contains(p.stderr.Text(), w) })
		if len(words) == 0 {
			return
		}
	}
	t.Fatalf("the process ended without saying %q:\n%s", words, said.String())
}

// kill is kill -9. It may be called more than once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // killed is what it should be
}

// shared gives a world a state directory that its commands share.
func (w *world) shared() *world {
	w.env[cli.EnvState] = filepath.Join(w.t.TempDir(), "state")
	return w
}

// atServer returns the states of the tasks there, in the order in which they began.
func (w *world) atServer() string {
	var list []string
	for _, k := range w.auth.Snapshot().Tasks {
		list = append(list, k.State)
	}
	return strings.Join(list, " ")
}

// inJournal does the same for the journal.
func (w *world) inJournal() string {
	w.t.Helper()
	var list []string
	for _, k := range w.tasks() {
		list = append(list, string(k.State))
	}
	return strings.Join(list, " ")
}

func (w *world) tasks() []journal.Task {
	w.t.Helper()
	j, err := sqlite.Open(w.t.Context(), sqlite.Options{Dir: w.env[cli.EnvState], ReadOnly: true})
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	tasks, err := j.Tasks(w.t.Context(), journal.TaskFilter{})
	if err != nil {
		w.t.Fatal(err)
	}
	return tasks
}

// TestKilledProcessIsCleanedUpByTheNextCommand kills real processes that hold
// grants. The next command of each kind gives back what the dead held, and nothing
// of the living.
func TestKilledProcessIsCleanedUpByTheNextCommand(t *testing.T) {
	t.Parallel()
	for _, next := range [][]string{
		{"run", "--quiet", "Hello, how are you today?"}, {"doctor"}, {"sweep"}, {"tasks", "complete", "last"},
	} {
		t.Run(strings.Join(next[:1], " "), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil).shared()
			alive := w.start("run", "--wait", "5m", job)
			alive.until(t, "granted ", "a person must decide")
			var dead []*process
			for range 2 {
				p := w.start("run", "--wait", "5m", job)
				p.until(t, "granted ", "a person must decide")
				dead = append(dead, p)
			}
			for _, p := range dead {
				p.kill()
			}
			if got := w.auth.Snapshot().LiveTokens; got != 3 {
				t.Fatalf("%d live tokens before, want one of each process", got)
			}
			if got := w.run(next...); got.code != cli.ExitDone {
				t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
			}
			if got := w.atServer(); !strings.HasPrefix(got, "active completed completed") {
				t.Errorf("at the server: %s, want the living's active and the others completed", got)
			}
			if got := w.inJournal(); !strings.HasPrefix(got, "open completed completed") {
				t.Errorf("in the journal: %s", got)
			}
			if got := w.auth.Snapshot().LiveTokens; got != 1 {
				t.Errorf("%d live tokens, want that of the living", got)
			}
			// The living one ends as if nothing had been.
			if err := alive.cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			alive.until(t, " completed, 1 token revoked", "analyst: interrupted")
			if got := w.auth.Snapshot().LiveTokens; got != 0 {
				t.Errorf("%d live tokens at the end", got)
			}
		})
	}
}

// TestCommandsSayWhatTheyRecovered reads the line that a person gets.
func TestCommandsSayWhatTheyRecovered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).shared()
	p := w.start("run", "--wait", "5m", job)
	p.until(t, "granted ", "a person must decide")
	p.kill()
	got := w.run("run", "Summarize doc_9982")
	if !strings.Contains(got.stderr, "\nanalyst: from earlier: 1 task of dead processes given back\n") {
		t.Errorf("stderr:\n%s", got.stderr)
	}
	if got := w.run("run", "Summarize doc_9982"); strings.Contains(got.stderr, "from earlier") {
		t.Errorf("said again:\n%s", got.stderr)
	}
}

// TestEmbeddedServersOfADeadProcess: they come back with their state, and what was
// granted there is given back.
func TestEmbeddedServersOfADeadProcess(t *testing.T) {
	t.Parallel()
	w := (&world{t: t, env: map[string]string{}}).shared()
	p := w.start("run", "--wait", "5m", job)
	p.until(t, "granted ", "a person must decide")
	p.kill()
	if got := w.run("sweep"); got.code != cli.ExitDone || got.stdout != "1 task of dead processes given back\n" {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	if got := w.inJournal(); got != "completed" {
		t.Errorf("%s, want it completed", got)
	}
}

// away is an authorization server whose completions fail while it is switched on.
func (w *world) away() *atomic.Bool {
	var on atomic.Bool
	w.hijack(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if on.Load() && path.Base(r.URL.Path) == "complete" {
				rw.Header().Set("Retry-After", "1")
				rw.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
	return &on
}

// given runs a command with ever more time, up to minutes, until that was enough.
func (w *world) given(flag string, least time.Duration, enough func(result) bool, args ...string) (got result) {
	w.t.Helper()
	for try := range 8 {
		if got = w.run(append(args, flag, (least << try).String())...); enough(got) {
			break
		}
	}
	return got
}

// TestFailingSweepSaysWhatIsLeft: exit code 1, the reason, and everything on record.
func TestFailingSweepSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).shared()
	on := w.away()
	p := w.start("run", "--wait", "5m", job)
	p.until(t, "granted ", "a person must decide")
	p.kill()
	on.Store(true)
	got := w.run("sweep", "--timeout", "300ms")
	if got.code != cli.ExitFailed || !strings.Contains(got.stderr, "analyst: not everything could be given back: 1 task still to be given back") || !strings.Contains(got.stderr, "hint: ") {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	got = w.given("--timeout", 300*time.Millisecond, func(got result) bool { return strings.Contains(got.stderr, "503") }, "tasks", "complete", "last")
	if got.code != cli.ExitFailed || !strings.Contains(got.stderr, "is not completed") || !strings.Contains(got.stderr, "503") {
		t.Errorf("tasks complete: exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	k := w.tasks()[0]
	if k.State != journal.StateCompleting || k.Attempts == 0 || !strings.Contains(k.LastError, "503") {
		t.Errorf("%+v, want completing with attempts and why", k)
	}
	on.Store(false)
	if got := w.run("tasks", "complete", "last"); got.code != cli.ExitDone || w.inJournal() != "completed" || w.atServer() != "completed" {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
}

// TestRunThatCannotGiveBackLeavesARecord: the run's own completion fails until its
// time is over; the next command does it.
func TestRunThatCannotGiveBackLeavesARecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).shared()
	// An answer that no try changes ends the run's own tries at once.
	var on atomic.Bool
	w.hijack(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if on.Load() && path.Base(r.URL.Path) == "complete" {
				rw.WriteHeader(http.StatusForbidden)
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
	on.Store(true)
	got := w.run("run", "Summarize doc_9982")
	if got.code != cli.ExitFailed || !strings.Contains(got.stderr, "the next analyst command, or analyst sweep, completes it") {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
	k := w.tasks()[0]
	if k.State != journal.StateCompleting || k.Attempts != 1 || !strings.Contains(k.LastError, "403") || k.NextAttempt.IsZero() {
		t.Errorf("%+v, want the attempt, its reason and the next time", k)
	}
	if got := w.run("run", "--ephemeral", "Summarize doc_9982"); got.code != cli.ExitFailed || !strings.Contains(got.stderr, "nobody completes it") {
		t.Errorf("ephemeral: exit %d: %s", got.code, got.stderr)
	}
	on.Store(false)
	if got := w.run("sweep"); got.code != cli.ExitDone || !strings.HasPrefix(w.atServer(), "completed") {
		t.Errorf("exit %d: %s%s; at the server %s", got.code, got.stdout, got.stderr, w.atServer())
	}
}

// TestJournalThatTakesNothingGrantsNothing takes the journal away from a living run.
func TestJournalThatTakesNothingGrantsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).shared()
	w.hijack(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(rw, r)
			if strings.HasSuffix(r.URL.Path, "/jit/task") {
				if err := os.Remove(filepath.Join(w.env[cli.EnvState], "journal.db")); err != nil {
					t.Error(err)
				}
			}
		})
	})
	got := w.run("run", "Summarize doc_9982")
	if got.code != cli.ExitFailed || !strings.Contains(got.stderr, "changed under the running process") || !strings.Contains(got.stderr, "--ephemeral") {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
	if w.asked() != 0 || w.atServer() != "completed" {
		t.Errorf("%d requests for authority, task %s; want none, and it completed", w.asked(), w.atServer())
	}
}

// TestEndThatCannotBeRecorded takes the journal away when all else is done: that fails
// nobody's run, but it is said.
func TestEndThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).shared()
	w.hijack(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if path.Base(r.URL.Path) == "complete" {
				if err := os.Remove(filepath.Join(w.env[cli.EnvState], "journal.db")); err != nil {
					t.Error(err)
				}
			}
			next.ServeHTTP(rw, r)
		})
	})
	got := w.run("run", "Summarize doc_9982")
	if got.code != cli.ExitDone || !strings.Contains(got.stderr, "analyst: all was given back, but that could not be recorded") {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
	if w.atServer() != "completed" {
		t.Errorf("at the server: %s", w.atServer())
	}
}

// TestAuthorityNames: the same server and agent have one name, others have others.
func TestAuthorityNames(t *testing.T) {
	name := func(change map[string]string) string {
		s, err := new(cli.Target).Resolve(private(t, full(change)), nil)
		if err != nil {
			t.Fatal(err)
		}
		return cli.AuthorityName(s)
	}
	want := "https://l.test/o/c"
	for _, same := range []string{"https://l.test", "https://L.test/", "https://l.test:443"} {
		if got := name(map[string]string{cli.EnvURL: same}); got != want {
			t.Errorf("%s is called %s, want %s", same, got, want)
		}
	}
	seen := map[string]bool{want: true}
	for _, change := range []map[string]string{
		{cli.EnvURL: "https://l.test:8443"}, {cli.EnvURL: "https://m.test"}, {cli.EnvOrg: "p"}, {cli.EnvClientID: "d"}, {cli.EnvClientID: "o/c"}, {cli.EnvClientID: "c%2Fd"}, {cli.EnvClientID: "c/d"},
	} {
		got := name(change)
		if seen[got] || strings.Contains(got, "canary") {
			t.Errorf("%v is called %s", change, got)
		}
		seen[got] = true
	}
	if cli.AuthorityName(cli.Settings{Embedded: true}) == want {
		t.Error("the embedded server has the name of another")
	}
}
