package faults

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"
)

func number(n int) string { return strconv.Itoa(n) }

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
func kills(t *testing.T, w *world) *row {
	k := &killing{
		world: w, setup: w.analysts("state"),
		named: w.row("kill -9 at a named point"), chance: w.row("kill -9 at a random instant"), recovery: w.row("kill -9 during recovery"),
	}
	k.usual = k.setup.undisturbed(t)
	for _, point := range append(runPoints(), recoveryPoints()...) {
		k.unhit.Store(point, true)
	}
	for generation, plans := 0, k.plans(); len(plans) > 0; generation++ {
		some := plans[:min(changeOver, len(plans))]
		plans = plans[len(some):]
		alive := startLiving(t, w, k.setup, k.named, generation)
		k.each(t, len(some), func(t *testing.T, i int) { k.one(t, some[i]) })
		alive.finish(t)
		k.say("kills: %d to go", len(plans))
	}
	// Where others were always faster, nobody else works now.
	for i, point := range recoveryPoints() {
		if _, missed := k.unhit.Load(point); missed {
			k.one(t, plan{n: 1_000_000 + i, point: "journal.after.grant", recovery: point, row: k.recovery})
		}
	}
	k.unhit.Range(func(point, _ any) bool {
		k.named.wrong(t, &k.named.Other, "no process died at %s", point)
		return true
	})
	k.setup.verify(t, k.named, "after all")
	for _, file := range k.setup.leaks(t, w.secrets()) {
		k.named.wrong(t, &k.named.Other, "%s holds a token or the agent's secret", file)
	}
	history := w.row("history of the above against the model")
	history.Trials, history.Note = len(w.history.all()), "trials are operations"
	return history
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
	for i := 0; len(all) < max(*trials, len(points)+len(recoveries)); i++ {
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

func (p plan) String() string {
	if p.recovery != "" {
		return fmt.Sprintf("kill %d at %q, then %q", p.n, p.point, p.recovery)
	}
	return fmt.Sprintf("kill %d at %q", p.n, p.point)
}

// one kills one run, lets another command come after it, and looks at what is left.
func (k *killing) one(t *testing.T, p plan) {
	rng := k.random(1000 + p.n)
	title, tasks := k.die(t, p, rng)
	if title == "" {
		return
	}
	name := taskName(job(title))
	_, alive := k.setup.grants(t, name)
	p.row.add(&p.row.Alive, alive)
	if p.recovery != "" {
		// Others may be faster, or leave something since: then no process dies.
		a := k.setup.start(t, p.recovery, "sweep")
		code, killed := a.wait()
		if k.detail("%s: exit %d, killed %t: %s", p, code, killed, a.said()); killed {
			p.row.add(&p.row.Trials, 1)
			k.unhit.Delete(p.recovery)
		}
	}
	k.restart(t, p, rng, name)
	for _, task := range tasks {
		// The dead could have told nobody of a task that the journal never learned the id
		// of: it is empty, and nobody can end it.
		if len(task.tokens) > 0 || task.completed > 0 {
			k.history.note(recovered, k.history.now(), task.id)
		}
	}
	var knows knowledge
	if !k.within(cleanLimit, func() bool { // another process may be at it
		knows = k.setup.known(t, name)
		return knows.run == "" || knows.task.State.Finished()
	}) {
		p.row.wrong(t, &p.row.Other, "%s: after the restart its task is %s: %s", p, knows.task.State, knows.task.LastError)
	}
	(&trial{setup: k.setup, row: p.row, title: title, what: p.String()}).left(t)
}

// die starts a run and kills it. It returns the title of the report that was intended,
// and the tasks that the run opened, if it came so far; no title when no process died.
func (k *killing) die(t *testing.T, p plan, rng *rand.Rand) (title string, tasks []seenTask) {
	for try := range 8 { // a random instant may come after the end
		title := fmt.Sprintf("Fault %d %d", p.n, try)
		call, after := k.history.now(), longest
		a := k.setup.start(t, p.point, "run", job(title))
		if p.point == "" {
			after = time.Duration(rng.Int64N(int64(k.usual)>>try + 1)) // sooner, if the machine has become faster
		}
		timer := time.AfterFunc(after, func() { _ = a.Process.Kill() }) // it may have ended by itself
		code, killed := a.wait()
		timer.Stop()
		check(t, k.ctx.Err())
		k.detail("%s: exit %d, killed %t", p, code, killed)
		switch {
		case killed:
			p.row.add(&p.row.Trials, 1)
			k.unhit.Delete(p.point)
			tasks := k.history.named(taskName(job(title)))
			for _, task := range tasks {
				k.history.note(died, call, task.id)
			}
			return title, tasks
		case p.point != "" || code != exitDone:
			p.row.wrong(t, &p.row.Other, "%s: the run ended with exit %d: %s", p, code, a.said())
			return "", nil
		}
	}
	p.row.wrong(t, &p.row.Other, "%s: eight runs were faster than the kill", p)
	return "", nil
}

// restart runs the next command and measures until the last grant of the dead is
// inactive.
func (k *killing) restart(t *testing.T, p plan, rng *rand.Rand, name string) {
	args := []string{"sweep", "--json"}
	if rng.IntN(3) == 0 {
		args = []string{"run", "--quiet", "Summarize doc_9982"}
	}
	start, left := time.Now(), 0
	a := k.setup.start(t, "", args...)
	if k.within(cleanLimit, func() bool { _, left = k.setup.grants(t, name); return left == 0 }) {
		p.row.clean(time.Since(start))
	}
	code, _ := a.wait()
	check(t, k.ctx.Err())
	for range left {
		p.row.wrong(t, &p.row.Orphans, "%s: a grant is active %s after %s: %s", p, cleanLimit, args[0], a.said())
	}
	switch {
	case code == exitDone:
	case args[0] == "run":
		p.row.wrong(t, &p.row.Other, "%s: the run after it: exit %d: %s", p, code, a.said())
	default:
		// Something is left that others hold; that is theirs. It must not be ours, which
		// the grants have shown.
		k.detail("%s: sweep says exit %d: %s", p, code, a.said())
	}
}
