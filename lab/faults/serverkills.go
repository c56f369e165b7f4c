package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jitagent/jitagent/state/sqlite"
)

// serverKills kills the authorization server and the API under a run, at random
// instants, and starts them again where they were. What they answered must hold, and
// what they did not answer must not be done twice.
func serverKills(ctx context.Context, b *bench) ([]*row, error) {
	r := &row{Fault: "kill -9 of both servers under a run"}
	rows := []*row{r}
	w, err := newWorld(ctx, b, "servers")
	if err != nil {
		return rows, err
	}
	defer func() { _ = w.stop() }()
	s := w.analysts(w.path("state"))
	start := time.Now()
	if a, code, err := s.run(ctx, "run", job("Undisturbed")); err != nil || code != 0 {
		return rows, fmt.Errorf("a run that nobody disturbs: exit %d, %w: %s", code, err, a.said())
	}
	usual := time.Since(start)
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: w.path("state"), ReadOnly: true})
	if err != nil {
		return rows, err
	}
	defer func() { _ = j.Close() }()
	rng := b.random(2)
	failed := 0
	for i := range max(4, b.trials/8) {
		title := fmt.Sprintf("Server fault %d", i)
		a, err := s.start(ctx, "", "run", job(title))
		if err != nil {
			return rows, err
		}
		// The first tenth is the start of the process, in which nothing is asked.
		at := usual/10 + time.Duration(rng.Int64N(int64(usual)))
		select {
		case <-time.After(at):
		case <-ctx.Done():
		}
		if err := w.killDev(); err != nil {
			return rows, err
		}
		select { // they are away for a while, sometimes for longer than a call is repeated
		case <-time.After(time.Duration(rng.Int64N(int64(time.Second)))):
		case <-ctx.Done():
		}
		if err := w.startDev(ctx); err != nil {
			return rows, err
		}
		code, _ := a.wait()
		r.Trials++
		if code != exitDone {
			failed++
		}
		o := outcome{bench: b, row: r, setup: s, journal: j, reports: w.path("reports"), title: title, code: code, said: a}
		if err := o.judge(ctx); err != nil {
			return rows, err
		}
		if err := w.nothingLeft(ctx, r, taskName(job(title))); err != nil {
			return rows, err
		}
	}
	r.Note = fmt.Sprintf("%d runs failed", failed)
	for _, bad := range check(w.history.all()) {
		r.wrong(&r.Other, "%s", bad)
	}
	return rows, nil
}

// nothingLeft checks that no grant of the named tasks is active.
func (w *world) nothingLeft(ctx context.Context, r *row, name string) error {
	for _, t := range w.history.named(name) {
		n, err := w.active(ctx, t)
		if err != nil {
			return err
		}
		for range n {
			r.wrong(&r.Orphans, "%s: a grant is active after the end", name)
		}
	}
	return nil
}

// An outcome is a run that has ended, and what it should have left.
type outcome struct {
	*bench
	row     *row
	setup   setup
	journal *sqlite.Journal
	reports string
	title   string
	code    int
	said    *analyst
}

// Exit codes of the analyst.
const (
	exitDone  = 0
	exitMaybe = 9
)

// judge compares exit code, journal and reports, gives back what the run could not,
// and repeats the run if that is certain to do no harm. Whatever disturbed it must be
// over.
func (o *outcome) judge(ctx context.Context) error {
	name := taskName(job(o.title))
	knows, err := known(ctx, o.journal, name)
	if err != nil {
		return err
	}
	made, err := reports(o.reports, o.title)
	if err != nil {
		return err
	}
	o.detail("%s: exit %d, made %d, known %t, doubt %t: %s", o.title, o.code, made, knows.made, knows.doubt, o.said.said())
	switch {
	case o.code == exitDone && made == 0:
		o.row.wrong(&o.row.Lost, "%s: exit 0, and no report", o.title)
	case o.code != exitDone && !o.said.clear():
		o.row.wrong(&o.row.Other, "%s: exit %d without a clear word: %s", o.title, o.code, o.said.said())
	case (o.code == exitMaybe) != knows.doubt:
		o.row.wrong(&o.row.Other, "%s: exit %d, and in the journal the report is in doubt: %t: %s", o.title, o.code, knows.doubt, o.said.said())
	}
	again := knows.judge(o.row, o.title, made)
	start := time.Now()
	sweep, code, err := o.setup.run(ctx, "sweep")
	if err != nil {
		return err
	}
	if code != exitDone {
		o.row.wrong(&o.row.Other, "%s: the sweep after it: exit %d: %s", o.title, code, sweep.said())
	}
	o.row.clean(time.Since(start))
	if !again {
		return nil
	}
	repeat, code, err := o.setup.run(ctx, "run", job(o.title))
	if err != nil {
		return err
	}
	if made, err = reports(o.reports, o.title); err != nil {
		return err
	}
	if code != exitDone || made != 1 {
		o.row.wrong(&o.row.Lost, "%s: repeated, since nothing was sent: exit %d, %d reports: %s", o.title, code, made, repeat.said())
	}
	return nil
}
