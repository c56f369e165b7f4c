package recovery_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
	"github.com/jitagent/jitagent/state/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const here = "https://auth.test/acme-corp/agent-1"

// stateDir returns a private directory that does not exist yet. Tests whose time is
// virtual need it from outside.
func stateDir(t testing.TB) string { return filepath.Join(t.TempDir(), "state") }

// open opens a journal for the length of a test.
func open(t testing.TB, dir string) *sqlite.Journal {
	t.Helper()
	j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return j
}

func shut(t testing.TB, j *sqlite.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// a task of the tests: opened, asked for and granted, unless said otherwise.
type task struct {
	run, id   string
	authority string // "" means here
	life      time.Duration
	bare      bool // nothing was asked for under it
}

func (k task) entries(now time.Time) []jit.Entry {
	if k.authority == "" {
		k.authority = here
	}
	list := []jit.Entry{{Kind: jit.EntryTaskOpening, Time: now, Run: k.run, Authority: k.authority, Name: "quarterly numbers"}}
	if k.id == "" {
		return list
	}
	life := k.life
	if life == 0 {
		life = 5 * time.Minute
	}
	list = append(list, jit.Entry{Kind: jit.EntryTaskOpened, Time: now, Run: k.run, TaskID: k.id, ExpiresAt: now.Add(life)})
	if k.bare {
		return list
	}
	detail := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_9982"}
	return append(list, jit.Entry{
		Kind: jit.EntryGrant, Time: now, Run: k.run, TaskID: k.id, RequestID: "jit_1", Detail: &detail,
		ExpiresAt: now.Add(life), TokenHash: "0123456789abcdef",
	})
}

// begin writes tasks into a journal.
func begin(t testing.TB, j *sqlite.Journal, tasks ...task) {
	t.Helper()
	now := time.Now()
	for _, k := range tasks {
		for _, e := range k.entries(now) {
			if err := j.Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// die leaves tasks of a process that is gone.
func die(t testing.TB, dir string, tasks ...task) {
	t.Helper()
	j := open(t, dir)
	begin(t, j, tasks...)
	shut(t, j)
}

// several returns n tasks whose runs and ids begin with prefix.
func several(prefix string, n int) []task {
	list := make([]task, n)
	for i := range list {
		list[i] = task{run: fmt.Sprintf("%s-%d", prefix, i), id: fmt.Sprintf("task_%s_%d", prefix, i)}
	}
	return list
}

// states returns the state of each task by its run.
func states(t testing.TB, j *sqlite.Journal) map[string]journal.State {
	t.Helper()
	tasks, err := j.Tasks(t.Context(), journal.TaskFilter{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]journal.State{}
	for _, k := range tasks {
		got[k.Run] = k.State
	}
	return got
}

func find(t testing.TB, j *sqlite.Journal, run string) journal.Task {
	t.Helper()
	k, err := j.Task(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A server is a Completer that counts.
type server struct {
	answer func(ctx context.Context, id string, n int) error // n counts all calls, from 1; nil means success

	mu      sync.Mutex
	calls   []string    // the ids asked for
	times   []time.Time // and when
	done    map[string]int
	running int
	most    int // calls under way at once
}

func (s *server) CompleteTask(ctx context.Context, id string) error {
	s.mu.Lock()
	s.calls, s.times = append(s.calls, id), append(s.times, time.Now())
	n := len(s.calls)
	s.running++
	s.most = max(s.most, s.running)
	s.mu.Unlock()
	var err error
	if s.answer != nil {
		err = s.answer(ctx, id, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	if err == nil {
		if s.done == nil {
			s.done = map[string]int{}
		}
		s.done[id]++
	}
	return err
}

func (s *server) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

// fault is an error of a Completer.
type fault struct {
	wait  time.Duration
	again bool
}

func (f fault) Error() string                    { return fmt.Sprintf("fault, again %t after %s", f.again, f.wait) }
func (f fault) Temporary() (time.Duration, bool) { return f.wait, f.again }

var _ jit.Temporary = fault{}

func config(j *sqlite.Journal, c recovery.Completer) recovery.Config {
	return recovery.Config{Journal: j, Authority: here, Completer: c}
}

// must returns the report of a round that must not fail.
func must(t testing.TB) func(recovery.Report, error) recovery.Report {
	return func(r recovery.Report, err error) recovery.Report {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}
