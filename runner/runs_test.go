package runner_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools"
)

// A lender lends one session after the other, writes down what is told of them, and takes
// one away when a run has called take.
type lender struct {
	mu   sync.Mutex
	told []string
	lost error // fails what is told
	take context.CancelCauseFunc
}

func (l *lender) tell(format string, args ...any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, fmt.Sprintf(format, args...))
	return l.lost
}

func (l *lender) Begin(ctx context.Context, app, user, session string) (context.Context, runner.Lease, error) {
	if app == "busy" {
		return nil, nil, runner.ErrBusy
	}
	ctx, l.take = context.WithCancelCause(ctx)
	return ctx, l, l.tell("begin %s/%s/%s", app, user, session)
}

func (l *lender) Opened() { _ = l.tell("opened") }

func (l *lender) Suspended(_ context.Context, requests []string, until time.Time) error {
	return l.tell("suspended for %v, %t", requests, time.Until(until) > 59*time.Minute)
}

func (l *lender) Busy(context.Context, string, string, string) (bool, error) { return false, nil }

func (l *lender) Ended(_ context.Context, outcome runner.Outcome) error {
	return l.tell("ended %s", outcome)
}

// TestRunsAreToldOfEachSession: a run begins before it opens a task, and leaves the session
// before it completes it.
func TestRunsAreToldOfEachSession(t *testing.T) {
	w, l := review(t, asks("act doc_1", "act doc_1"), says("done")), &lender{}
	w.config = func(cfg *runner.Config) { cfg.Sessions, cfg.Suspensions, cfg.Runs = w.sessions, w.kept, l }
	w.say(t, "go")
	w.decide("doc_1", jit.StatusApproved)
	w.resume(t)
	want := []string{
		"begin app/u/s", "opened", "suspended for [jit_1], true", "begin app/u/s", "opened", "ended done",
	}
	if !slices.Equal(l.told, want) {
		t.Errorf("told %q, want %q", l.told, want)
	}
	w.balanced(t, 1)
	w.config = func(cfg *runner.Config) { cfg.App, cfg.Runs = "busy", l }
	if got := w.say(t, "go"); !errors.Is(got.err, runner.ErrBusy) {
		t.Errorf("a session that another has: %v", got.err)
	}
}

// TestLostSessionIsLeftAlone: the task of a session that was taken away is not completed,
// since whoever took it goes on with it; where its end could not be written, as on a full
// disk, it is.
func TestLostSessionIsLeftAlone(t *testing.T) {
	t.Run("taken", func(t *testing.T) { leave(t, fmt.Errorf("test: %w", runner.ErrLost), 0) })
	t.Run("the disk is full", func(t *testing.T) { leave(t, errors.New("the disk is full"), 1) })
}

func leave(t *testing.T, fault error, completed int) {
	clean(t)
	l := &lender{}
	taken := func(tb testing.TB) tool.Tool {
		return act(tb, "fetch", func(ctx tools.Context, _ string) (map[string]any, error) {
			_, err := jit.Acquire(ctx, read)
			l.mu.Lock()
			l.lost = fault
			l.mu.Unlock()
			if errors.Is(fault, runner.ErrLost) {
				l.take(runner.ErrLost)
			}
			return map[string]any{}, err
		})
	}
	w := world{llm: plays(asks("fetch"), says("done")), tools: []tool.Tool{taken(t)}, config: func(cfg *runner.Config) { cfg.Runs = l }}
	if got := follow(t.Context(), t, w.runner(t), runner.Input{}); !errors.Is(got.err, fault) || got.finished.Outcome != runner.Failed {
		t.Errorf("%v, %v, want %v", got.finished, got.err, fault)
	}
	if n := len(w.authority.Completed()); n != completed {
		t.Errorf("%d tasks were completed, want %d", n, completed)
	}
	l.lost = nil
	a := (&app{llm: plays(asks("fetch"), says("done")), tools: []tool.Tool{taken(t)}, config: func(cfg *runner.PluginConfig) { cfg.Runs = l }}).start(t)
	if _, err := a.say(t.Context(), "ada", "go"); err == nil && errors.Is(fault, runner.ErrLost) {
		t.Error("an invocation went on though its session was taken away")
	}
	if n := len(a.authority.Completed()); a.authority.Opened() != 1 || n != completed {
		t.Errorf("%d tasks opened, %d completed, want 1 and %d", a.authority.Opened(), n, completed)
	}
}

// TestJournalsFailureEndsTheRun: what a call could not write is not the model's to explain. The
// call has no result, so whoever goes on makes it; what is in doubt stays so.
func TestJournalsFailureEndsTheRun(t *testing.T) {
	full := errors.New("the disk is full")
	for name, c := range map[string]struct {
		refused     jit.EntryKind
		first, then runner.Outcome
		sent        int // once the disk takes it again
	}{
		"before it is sent":         {jit.EntryCallSent, runner.Failed, runner.Done, 1},
		"after its answer was lost": {jit.EntryCallReturned, runner.InDoubt, runner.InDoubt, 1},
	} {
		t.Run(name, func(t *testing.T) {
			refused, service := c.refused, session.InMemoryService()
			journal := &fake.Journal{Refuse: func(e jit.Entry) error {
				if e.Kind == refused {
					return full
				}
				return nil
			}}
			w := &world{engine: jit.Config{Journal: journal}, config: func(cfg *runner.Config) { cfg.Sessions = service }}
			w.tools = []tool.Tool{onAPI(tripper(func(*http.Request) (*http.Response, error) {
				if c.first == runner.InDoubt {
					return nil, errors.New("odd") // not worth another try
				}
				return &http.Response{StatusCode: http.StatusCreated, Body: http.NoBody}, nil
			}), "act", http.MethodPost, nil)}
			llm := plays(asks("act"), says("it failed"))
			w.llm = llm
			got := follow(t.Context(), t, w.runner(t), runner.Input{Session: "s"})
			if !errors.Is(got.err, full) || !errors.Is(got.err, jit.ErrJournal) || got.finished.Outcome != c.first || llm.calls != 1 {
				t.Errorf("%v, %v after %d calls of the model", got.finished, got.err, llm.calls)
			}
			refused, w.llm = "", plays(says("done"))
			if got := collect(t, w.runner(t).Resume(t.Context(), runner.Input{Session: "s"})); got.err != nil || got.finished.Outcome != c.then {
				t.Errorf("gone on with: %v, %v", got.finished, got.err)
			}
			sent := 0
			for _, run := range must(journal.Runs(t.Context(), "s")) {
				sent += len(jit.Effects(must(journal.Entries(t.Context(), run))))
			}
			if sent != c.sent {
				t.Errorf("%d effects were sent, want %d", sent, c.sent)
			}
		})
	}
}
