package main

import (
	"context"
	"fmt"
	"time"
)

// serverKills kills the authorization server and the API under a run, at random
// instants, and starts them again where they were. What they answered must hold, and
// what they did not answer must not be done twice.
func serverKills(ctx context.Context, w *world) ([]*row, error) {
	r := &row{Fault: "kill -9 of both servers under a run"}
	rows := []*row{r}
	s := w.analysts(w.path("state"))
	usual, err := s.undisturbed(ctx)
	if err != nil {
		return rows, err
	}
	rng := w.random(2)
	failed := 0
	for i := range max(4, w.trials/8) {
		title := fmt.Sprintf("Server fault %d", i)
		a, err := s.start(ctx, "", "run", job(title))
		if err != nil {
			return rows, err
		}
		// The first tenth is the start of the process, in which nothing is asked.
		pause(ctx, usual/10+time.Duration(rng.Int64N(int64(usual))))
		if err := w.killDev(); err != nil {
			return rows, err
		}
		// They are away for a while, sometimes for longer than a call is repeated.
		pause(ctx, time.Duration(rng.Int64N(int64(time.Second))))
		if err := w.startDev(ctx); err != nil {
			return rows, err
		}
		code, _ := a.wait()
		r.Trials++
		if code != exitDone {
			failed++
		}
		t := trial{setup: s, row: r, title: title, said: a, code: code}
		if err := t.judge(ctx); err != nil {
			return rows, err
		}
	}
	r.Note = fmt.Sprintf("%d runs failed", failed)
	return rows, nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
