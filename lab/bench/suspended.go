package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"time"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"

	"golang.org/x/sync/errgroup"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/session"
	"github.com/jitagent/jitagent/state/sqlite"
)

// waiters is a state directory of sessions that wait for a person.
type waiters struct {
	ctx     context.Context
	store   *session.Store
	runner  *runner.Runner
	journal *sqlite.Journal
	ready   []string // may be resumed
	made    int
	looks   [2]float64 // nanoseconds of the last listing, and of the last session that was resumed
}

func newWaiters(ctx context.Context, dir string) (*waiters, error) {
	w := &waiters{ctx: ctx}
	var err error
	if w.journal, err = sqlite.Open(ctx, sqlite.Options{Dir: dir}); err != nil {
		return nil, err
	}
	if w.store, err = session.Open(ctx, dir); err != nil {
		return nil, errors.Join(err, w.journal.Close())
	}
	engine, err := jit.New(jit.Config{Journal: w.journal, AuthorityName: app, Authority: decider{}})
	if err == nil {
		var a adk.Agent
		if a, err = acquirerAgent(); err == nil {
			w.runner, err = runner.New(runner.Config{App: app, Agent: a, Engine: engine, Sessions: w.store, Suspensions: w.store, AllowUnnamed: true})
		}
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *waiters) close() error { return errors.Join(w.store.Close(), w.journal.Close()) }

// acquirerAgent is callerAgent with a tool that needs authority.
func acquirerAgent() (adk.Agent, error) {
	type args struct {
		N int `json:"n"`
	}
	need := read("0") // pending, and approved when that is looked at
	noop, err := functiontool.New(functiontool.Config{Name: "noop", Description: "needs authority"}, func(ctx adk.Context, _ args) (map[string]any, error) {
		_, err := jit.Acquire(ctx, need)
		return map[string]any{"ok": true}, err
	})
	if err != nil {
		return nil, err
	}
	guarded, err := jitmw.Wrap(noop, jitmw.Config{Plan: func(map[string]any) (jitmw.Plan, error) { return jitmw.Plan{Ceiling: []rar.Detail{need}}, nil }})
	if err != nil {
		return nil, err
	}
	return llmagent.New(llmagent.Config{Name: app, Model: caller{}, Mode: llmagent.ModeChat, Tools: []tool.Tool{guarded}})
}

// suspend leaves n more sessions to wait.
func (w *waiters) suspend(n int) error {
	group, _ := errgroup.WithContext(w.ctx)
	group.SetLimit(parallel)
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
	const many, few = 10_000, 10
	return measure{
		name: "list suspended sessions, and resume one of 10 000", floor: "of 10", goal: goal{ratio: 1.3},
		open: func(ctx context.Context) (*pair, error) {
			dir, err := os.MkdirTemp("", "bench-suspended-")
			if err != nil {
				return nil, err
			}
			p := &pair{close: func() error { return os.RemoveAll(dir) }, most: few}
			var notes []string
			for _, s := range []struct {
				n    int
				side *side
			}{{few, &p.floor}, {many, &p.ours}} {
				w, err := newWaiters(ctx, filepath.Join(dir, strconv.Itoa(s.n)))
				if err == nil {
					before := p.close
					p.close = func() error { return errors.Join(w.close(), before()) }
					err = w.suspend(s.n)
				}
				if err != nil {
					return nil, errors.Join(err, p.close())
				}
				s.side.prepare, s.side.run = w.suspend, w.resume
				p.notes = func(*Row) ([]string, error) {
					notes = append(notes, fmt.Sprintf("of %d: listed in %s, resumed in %s", s.n, duration(w.looks[0]), duration(w.looks[1])))
					return notes, nil
				}
			}
			return p, nil
		},
	}
}
