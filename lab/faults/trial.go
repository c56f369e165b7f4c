package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jitagent/jitagent/state/sqlite"
)

// Exit codes of the analyst.
const (
	exitDone    = 0
	exitPending = 8
	exitMaybe   = 9
)

// A trial is a run that has ended, one way or the other, and what it should have left.
type trial struct {
	setup
	row   *row
	title string   // of the report that was intended
	alone bool     // in its world: what all tasks there did is judged
	what  string   // what happened to it, for whoever reads what went wrong
	said  *analyst // nil when the run was killed: it had no last word
	code  int

	// mute says that the journal could not take everything: it may be in doubt of what
	// the run knew.
	mute bool
}

// undisturbed lets a run live, and says how long one takes.
func (s setup) undisturbed(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	if a, code, err := s.run(ctx, "run", job("Undisturbed")); err != nil || code != exitDone {
		return 0, fmt.Errorf("a run that nobody disturbs: exit %d, %w: %s", code, err, a.said())
	}
	return time.Since(start), nil
}

// each plays trials 0 to n-1, some at a time.
func each(ctx context.Context, n, atOnce int, play func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range n {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return play(ctx, i)
		})
	}
	return group.Wait()
}

// judge gives back what the run could not, and looks at what is left. Whatever
// disturbed the run must be over.
func (t *trial) judge(ctx context.Context) error {
	start := time.Now()
	sweep, code, err := t.run(ctx, "sweep")
	if err != nil {
		return err
	}
	if code != exitDone {
		t.row.wrong(&t.row.Other, "%s: the sweep after it: exit %d: %s", t.name(), code, sweep.said())
	}
	t.row.clean(time.Since(start))
	return t.left(ctx)
}

// left compares exit code, journal, reports and grants, and repeats the run, as a
// person would, if that is certain to do no harm.
func (t *trial) left(ctx context.Context) error {
	task := taskName(job(t.title))
	if t.alone {
		task = ""
	}
	j, err := t.journal(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }()
	knows, err := known(ctx, j, task)
	if err != nil {
		return err
	}
	made, err := reports(t.reports, t.title)
	if err != nil {
		return err
	}
	if t.alone && knows.open {
		t.row.wrong(&t.row.Other, "%s: a task is %s: %s", t.name(), knows.task.State, knows.task.LastError)
	}
	if t.said != nil {
		t.lastWord(knows, made)
	}
	issued, _, err := t.grants(ctx, task)
	if err != nil {
		return err
	}
	if issued > knows.demands {
		t.row.wrong(&t.row.Other, "%s: %d tokens were issued and %d demands recorded", t.name(), issued, knows.demands)
	}
	if knows.judge(t.row, t.name(), made) {
		a, code, err := t.run(ctx, "run", job(t.title))
		if err != nil {
			return err
		}
		if made, err = reports(t.reports, t.title); err != nil {
			return err
		}
		if code != exitDone || made != 1 {
			t.row.wrong(&t.row.Lost, "%s: repeated, since nothing was sent: exit %d, %d reports: %s", t.name(), code, made, a.said())
		}
	}
	_, active, err := t.grants(ctx, task)
	for range active {
		t.row.wrong(&t.row.Orphans, "%s: a grant is active after the end", t.name())
	}
	return err
}

// lastWord compares how a run ended with what it did.
func (t *trial) lastWord(knows knowledge, made int) {
	t.detail("%s: exit %d, made %d, known %t, doubt %t: %s", t.name(), t.code, made, knows.made, knows.doubt, t.said.said())
	switch {
	case t.code == exitDone && made == 0:
		t.row.wrong(&t.row.Lost, "%s: exit 0, and no report", t.name())
	case t.code != exitDone && !t.said.clear():
		t.row.wrong(&t.row.Other, "%s: exit %d without a clear word: %s", t.name(), t.code, t.said.said())
	case t.code == exitMaybe && !knows.doubt, t.code != exitMaybe && knows.doubt && !t.mute:
		t.row.wrong(&t.row.Other, "%s: exit %d, and in the journal the report is in doubt: %t: %s", t.name(), t.code, knows.doubt, t.said.said())
	}
}

func (t *trial) name() string {
	if t.what == "" {
		return t.title
	}
	return t.title + ", " + t.what
}

// journal opens the journal of a state directory for reading.
func (s setup) journal(ctx context.Context) (*sqlite.Journal, error) {
	return sqlite.Open(ctx, sqlite.Options{Dir: s.state, ReadOnly: true})
}

// verify checks the journal as a whole.
func (s setup) verify(ctx context.Context) error {
	j, err := s.journal(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }()
	_, err = j.Verify(ctx)
	return err
}
