package bench

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/session"
)

// pending leaves every request to a person.
func pending(jit.Request) (jit.Decision, error) {
	return jit.Decision{Status: jit.StatusPending, ExpiresAt: time.Now().Add(time.Hour)}, nil
}

// waiters is a state directory of sessions that wait for a person.
type waiters struct {
	ctx    context.Context
	store  *session.Store
	runner *runner.Runner
	ready  []string // may be resumed
	made   int
	looks  [2]float64 // nanoseconds of the last listing, and of the last session that was resumed
}

func newWaiters(t *testing.T, authority jit.Authority, name string, journal jit.Journal, store *session.Store, runs runner.Runs) *waiters {
	need := read("doc_1")
	agent := callerAgent(t, func(ctx context.Context) error {
		_, err := jit.Acquire(ctx, need)
		return err
	}, func(noop tool.Tool) tool.Tool {
		return must(jitmw.Wrap(noop, jitmw.Config{Plan: func(map[string]any) (jitmw.Plan, error) { return jitmw.Plan{Ceiling: []rar.Detail{need}}, nil }}))(t)
	})
	engine := must(jit.New(jit.Config{Journal: journal, AuthorityName: name, Authority: authority}))(t)
	return &waiters{ctx: t.Context(), store: store, runner: must(runner.New(runner.Config{
		App: app, Agent: agent, Engine: engine, Sessions: store, Suspensions: store, Runs: runs, AllowUnnamed: true,
	}))(t)}
}

// few sessions are suspended at once, of many as of few: their entries lie among each
// other in the journal, and what that costs is not what is measured.
const few = 10

// suspend leaves n more sessions to wait.
func (w *waiters) suspend(n int) error {
	var group errgroup.Group
	group.SetLimit(few)
	for range n {
		w.made++
		id := "session_" + strconv.Itoa(w.made)
		w.ready = append(w.ready, id)
		group.Go(func() error {
			return w.run(runner.Pending, w.runner.Run, runner.Input{Text: "do it", User: "user", Session: id})
		})
	}
	return group.Wait()
}

// resume lists what waits, and goes on with the session that waits longest.
func (w *waiters) resume() error {
	start := time.Now()
	list, err := w.store.Recent(w.ctx, app, 10, true)
	w.looks[0] = float64(time.Since(start))
	if err != nil || len(list) == 0 || len(list[0].Waiting) == 0 {
		return fmt.Errorf("%d sessions wait: %w", len(list), err)
	}
	id := w.ready[0]
	w.ready = w.ready[1:]
	start = time.Now()
	err = w.run(runner.Done, w.runner.Resume, runner.Input{User: "user", Session: id})
	w.looks[1] = float64(time.Since(start))
	return err
}

// run runs or resumes a session until it ends as it should.
func (w *waiters) run(want runner.Outcome, begin func(context.Context, runner.Input) iter.Seq2[runner.Event, error], in runner.Input) error {
	for e, err := range begin(w.ctx, in) {
		if f, ok := e.(runner.Finished); ok && f.Outcome == want {
			return nil
		} else if err != nil {
			return err
		}
	}
	return fmt.Errorf("session %s: it did not end %s", in.Session, want)
}

func suspendedSessions() measure {
	const many = 10_000
	return measure{
		name: "list suspended sessions, and resume one of 10 000", floor: "of 10", goal: goal{ratio: 1.3},
		open: func(t *testing.T) pair {
			among := func(n int) (*waiters, side) {
				dir := filepath.Join(t.TempDir(), "state")
				journal, store := openJournal(t, dir), must(session.Open(t.Context(), dir))(t)
				t.Cleanup(func() { check(t, store.Close()) })
				// What is pending is approved when somebody looks at it.
				w := newWaiters(t, &fake.Authority{Decide: pending}, app, journal, store, nil)
				check(t, w.suspend(n))
				return w, side{prepare: func(n int) { check(t, w.suspend(n)) }, run: w.resume}
			}
			w, ours := among(many)
			_, floor := among(few)
			return pair{ours: ours, floor: floor, most: few, notes: func(row) []string {
				return []string{fmt.Sprintf("of %d: listed in %s, resumed in %s", many, duration(w.looks[0]), duration(w.looks[1]))}
			}}
		},
	}
}

// decisions is how long a call still waits when somebody has decided, the worst but
// one in a hundred, of calls that wait at once. Documents are called by the moment at
// which somebody says yes, in nanoseconds of Unix time.
func decisions() measure {
	const interval = 200 * time.Millisecond
	decided := func(document string) time.Time {
		n, _ := strconv.ParseInt(document, 10, 64)
		return time.Unix(0, n)
	}
	return measure{
		name: "decision to the call that it lets go on, p99", floor: "one poll interval", goal: goal{ratio: 2},
		once: func(t *testing.T) (ours, floor float64) {
			authority := &fake.Authority{Decide: pending}
			authority.Look = func(id string, _ int) (jit.Decision, error) {
				n, _ := strconv.Atoi(id[len("jit_"):])
				if time.Now().Before(decided(authority.Requests()[n-1].Detail.Identifier)) {
					return jit.Decision{Status: jit.StatusPending}, nil
				}
				return jit.Decision{Status: jit.StatusApproved}, nil
			}
			task := openTask(t, must(jit.New(jit.Config{PollInterval: interval, Wait: time.Minute, Authority: authority}))(t))
			var mu sync.Mutex
			var waits []float64
			for range 5 {
				check(t, atOnce(func() error {
					wait := time.Duration((2 + 8*rand.Float64()) * float64(interval))
					id := strconv.FormatInt(time.Now().Add(wait).UnixNano(), 10)
					_, err := jit.Acquire(task.Call(t.Context(), callOf(app, id)), read(id))
					mu.Lock()
					defer mu.Unlock()
					waits = append(waits, float64(time.Since(decided(id))))
					return err
				}))
			}
			return quantile(waits, .99), float64(interval)
		},
	}
}
