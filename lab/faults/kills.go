package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// cleanLimit is how long after a restart a grant of the dead may still be active.
const cleanLimit = 5 * time.Second

// changeOver is after how many kills the living run is let go, and another begun.
const changeOver = 50

// A killing is the fault of kills: processes that share one state directory, of which
// all but one are killed.
type killing struct {
	*world
	setup setup

	named, chance, recovery *row
	unhit                   sync.Map // points that were not reached yet
	usual                   time.Duration
}

// kills kills real runs, at every named point, at random instants, and while they
// recover what others left. Beside them another run lives.
func kills(ctx context.Context, w *world) ([]*row, error) {
	k := &killing{
		world: w, setup: w.analysts(w.path("state")),
		named:    &row{Fault: "kill -9 at a named point"},
		chance:   &row{Fault: "kill -9 at a random instant"},
		recovery: &row{Fault: "kill -9 during recovery"},
	}
	history := &row{Fault: "history of the above against the model", Note: "trials are operations"}
	rows := []*row{k.named, k.chance, k.recovery, history}
	var err error
	if k.usual, err = k.setup.undisturbed(ctx); err != nil {
		return rows, err
	}
	for _, point := range append(runPoints(), recoveryPoints()...) {
		k.unhit.Store(point, true)
	}
	err = k.all(ctx)
	history.Trials = len(w.history.all())
	k.unhit.Range(func(point, _ any) bool {
		k.named.wrong(&k.named.Other, "no process died at %s", point)
		return true
	})
	if err != nil {
		return rows, err
	}
	if err := k.setup.verify(ctx); err != nil {
		k.named.wrong(&k.named.Other, "the journal after all: %v", err)
	}
	leaks, err := w.leaks(k.setup.state)
	for _, file := range leaks {
		k.named.wrong(&k.named.Other, "%s holds a token or the agent's secret", file)
	}
	return rows, err
}

// A plan is one kill.
type plan struct {
	n        int
	point    string // "" for a random instant
	recovery string // kill the first restart there too
	row      *row
}

// plans lists the kills: each point at least once, then points and instants in turn.
func (k *killing) plans() []plan {
	rng := k.random(1)
	points, recoveries := runPoints(), recoveryPoints()
	var all []plan
	for i := 0; len(all) < max(k.trials, len(points)+len(recoveries)); i++ {
		p := plan{n: i, row: k.named}
		switch {
		case i < len(points):
			p.point = points[i]
		case i < len(points)+len(recoveries):
			p.recovery, p.row = recoveries[i-len(points)], k.recovery
		case i%10 < 5:
			p.row = k.chance
		case i%10 < 8:
			p.point = points[rng.IntN(len(points))]
		default:
			p.recovery, p.row = recoveries[rng.IntN(len(recoveries))], k.recovery
		}
		if p.recovery != "" { // something must be left to recover
			p.point = []string{"journal.after.grant", "journal.after.grant:2", "api.post.sent:2", "authority.completing"}[rng.IntN(4)]
		}
		all = append(all, p)
	}
	return all
}

// all carries out the plans, several at a time, and changes the living run now and
// then.
func (k *killing) all(ctx context.Context) error {
	plans := k.plans()
	for generation := 0; len(plans) > 0; generation++ {
		some := plans[:min(changeOver, len(plans))]
		plans = plans[len(some):]
		alive, err := startLiving(ctx, k.world, k.setup, k.named, generation)
		if err != nil {
			return err
		}
		err = each(ctx, len(some), k.workers, func(ctx context.Context, i int) error { return k.one(ctx, some[i]) })
		if err != nil {
			alive.abandon()
			return err
		}
		if err := alive.finish(ctx); err != nil {
			return err
		}
		k.say("kills: %d to go", len(plans))
	}
	// Where others were always faster, nobody else works now.
	for i, point := range recoveryPoints() {
		if _, missed := k.unhit.Load(point); missed {
			p := plan{n: 1_000_000 + i, point: "journal.after.grant", recovery: point, row: k.recovery}
			if err := k.one(ctx, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// one kills one run, lets another command come after it, and looks at what is left.
func (k *killing) one(ctx context.Context, p plan) error {
	rng := k.random(1000 + uint64(p.n)) //nolint:gosec // counts
	title, tasks, err := k.die(ctx, p, rng)
	if err != nil || title == "" {
		return err
	}
	_, alive, err := k.setup.grants(ctx, taskName(job(title)))
	if err != nil {
		return err
	}
	p.row.add(&p.row.Alive, alive)
	if p.recovery != "" {
		if err := k.dieRecovering(ctx, p); err != nil {
			return err
		}
	}
	if err := k.restart(ctx, p, rng, taskName(job(title))); err != nil {
		return err
	}
	return k.report(ctx, p, title, tasks)
}

// die starts a run and kills it. It returns the title of the report that was intended,
// and the tasks that the run opened, if it came so far; no title when no process died.
func (k *killing) die(ctx context.Context, p plan, rng *rand.Rand) (title string, tasks []seenTask, err error) {
	for try := range 8 { // a random instant may come after the end
		title := fmt.Sprintf("Fault %d %d", p.n, try)
		call := k.history.now()
		a, err := k.setup.start(ctx, p.point, "run", job(title))
		if err != nil {
			return "", nil, err
		}
		timer := time.NewTimer(longest)
		if p.point == "" {
			timer.Reset(time.Duration(rng.Int64N(int64(k.usual)>>try + 1))) // sooner, if the machine has become faster
		}
		go func() {
			if _, ok := <-timer.C; ok {
				a.kill()
			}
		}()
		code, killed := a.wait()
		timer.Reset(0) // the goroutine ends; the process has
		if ctx.Err() != nil {
			return "", nil, ctx.Err()
		}
		k.detail("kill %d at %q: exit %d, killed %t", p.n, p.point, code, killed)
		if killed {
			p.row.add(&p.row.Trials, 1)
			k.unhit.Delete(p.point)
			tasks := k.history.named(taskName(job(title)))
			for _, t := range tasks {
				k.history.note(died, call, t.id)
			}
			return title, tasks, nil
		}
		if p.point != "" || code != 0 {
			p.row.wrong(&p.row.Other, "kill %d at %q: the run ended with exit %d: %s", p.n, p.point, code, a.said())
			return "", nil, nil
		}
	}
	p.row.wrong(&p.row.Other, "kill %d: eight runs were faster than the kill", p.n)
	return "", nil, nil
}

// dieRecovering kills a sweep. There may be nothing for it to do, when another
// process was faster.
func (k *killing) dieRecovering(ctx context.Context, p plan) error {
	a, err := k.setup.start(ctx, p.recovery, "sweep")
	if err != nil {
		return err
	}
	code, killed := a.wait()
	switch {
	case killed:
		p.row.add(&p.row.Trials, 1)
		k.unhit.Delete(p.recovery)
	case ctx.Err() == nil:
		// Others may have been faster, or have left something since.
		k.detail("kill %d: a sweep that should die at %s: exit %d: %s", p.n, p.recovery, code, a.said())
	}
	return ctx.Err()
}

// restart runs the next command and measures until the last grant of the dead is
// inactive.
func (k *killing) restart(ctx context.Context, p plan, rng *rand.Rand, name string) error {
	args := []string{"sweep", "--json"}
	if rng.IntN(3) == 0 {
		args = []string{"run", "--quiet", "Summarize doc_9982"}
	}
	start := time.Now()
	a, err := k.setup.start(ctx, "", args...)
	if err != nil {
		return err
	}
	left := 0
	err = within(ctx, cleanLimit, "grants to end", func() bool {
		var err error
		_, left, err = k.setup.grants(ctx, name)
		return err == nil && left == 0
	})
	if err == nil {
		p.row.clean(time.Since(start))
	}
	code, _ := a.wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && left > 0:
		for range left {
			p.row.wrong(&p.row.Orphans, "kill %d at %q, then %q: a grant is active %s after %s: %s", p.n, p.point, p.recovery, cleanLimit, args[0], a.said())
		}
	case err != nil:
		return err
	case code != 0 && args[0] == "run":
		p.row.wrong(&p.row.Other, "kill %d at %q: the run after it: exit %d: %s", p.n, p.point, code, a.said())
	case code != 0:
		// Something is left that others hold; that is theirs. It must not be ours, which
		// the grants have shown.
		k.detail("kill %d: sweep says exit %d: %s", p.n, code, a.said())
	}
	return nil
}

// report looks at the report that the dead run intended.
func (k *killing) report(ctx context.Context, p plan, title string, tasks []seenTask) error {
	for _, t := range tasks {
		if taskEnded(t) {
			k.history.note(recovered, k.history.now(), t.id)
		}
	}
	j, err := k.setup.journal(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }()
	// Another process may be at it.
	var knows knowledge
	late := within(ctx, cleanLimit, "the journal to say so", func() bool {
		knows, err = known(ctx, j, taskName(job(title)))
		return err != nil || knows.run == "" || knows.task.State.Finished()
	})
	if err != nil {
		return err
	}
	if late != nil {
		p.row.wrong(&p.row.Other, "kill %d at %q: after the restart its task is %s: %s", p.n, p.point, knows.task.State, knows.task.LastError)
	}
	t := trial{setup: k.setup, row: p.row, title: title, what: fmt.Sprintf("kill %d at %q", p.n, p.point)}
	return t.left(ctx)
}

// taskEnded reports whether the dead could have told anybody of a task: one that the
// journal never learned the id of is empty, and nobody can end it.
func taskEnded(t seenTask) bool { return len(t.tokens) > 0 || t.completed > 0 }
