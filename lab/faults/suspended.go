package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
)

// suspensions kills runs around each durable write of a suspension, and of going on
// after it, each in a world of its own. Whatever was killed, the conversation is there
// and takes the next message.
func suspensions(ctx context.Context, b *bench) ([]*row, error) {
	rows := []*row{{Fault: "kill -9 of a run that is suspended"}, {Fault: "kill -9 of one that is resumed"}}
	suspends, resumes := suspensionPoints()
	all := append(suspends, resumes...)
	return rows, each(ctx, len(all)*max(1, b.trials/200), b.workers, func(ctx context.Context, n int) error {
		i := n % len(all)
		_, err := inWorld(func(ctx context.Context, w *world) ([]*row, error) {
			t := trial{setup: w.analysts(w.path("state")), row: rows[0], title: "Suspended", what: "kill at " + all[i], alone: true}
			kills := []string{all[i], ""}
			if i >= len(suspends) {
				t.row, kills = rows[1], []string{"", all[i]}
			}
			return []*row{t.row}, w.suspension(ctx, &t, kills)
		})(ctx, b)
		return err
	})
}

// suspension begins what needs a person, has it approved, and goes on, until the kill.
// Then it does what a person does who finds the conversation as it was left.
func (w *world) suspension(ctx context.Context, t *trial, kills []string) error {
	decided := map[string]bool{}
	run := func(point string, args ...string) (a *analyst, code int, killed bool, err error) {
		if a, err = t.start(ctx, point, args...); err != nil {
			return a, 0, false, err
		}
		code, killed = a.wait()
		t.detail("%s: %s: exit %d: %s", t.name(), args[0], code, a.said())
		for _, task := range w.history.named("") {
			for _, id := range task.pending {
				if !decided[id] && task.completed == 0 {
					decided[id] = true
					err = errors.Join(err, w.approve(ctx, []string{id}))
				}
			}
		}
		return a, code, killed, err
	}
	for i, args := range [][]string{{"run", "Create a report titled 'Suspended' about documents doc_9982 and doc_7310"}, {"resume"}} {
		a, code, killed, err := run(kills[i], args...)
		switch {
		case err != nil:
			return err
		case !killed && (kills[i] != "" || code != exitPending):
			t.row.wrong(&t.row.Other, "%s: %s: exit %d: %s", t.name(), args[0], code, a.said())
			return nil
		case killed:
			t.row.add(&t.row.Trials, 1)
			_, alive, err := t.grants(ctx, "")
			if err != nil {
				return err
			}
			t.row.add(&t.row.Alive, alive)
		}
		if killed {
			break
		}
	}
	a, _, _, err := run("", "sessions", "list", "--json")
	if err != nil {
		return err
	}
	var list []struct{ ID string }
	if err := json.Unmarshal(a.stdout.Bytes(), &list); err != nil || len(list) != 1 {
		t.row.wrong(&t.row.Lost, "%s: of one session there is left: %s: %s", t.name(), strings.TrimSpace(a.stdout.String()), a.said())
		return nil
	}
	id := list[0].ID
	for _, args := range [][]string{{"sweep"}, {"resume", id}, {"resume", id}, {"run", "--session", id, "Summarize doc_9982"}} {
		a, code, _, err := run("", args...) // of resumes the first may make the call for the first time
		if err != nil {
			return err
		}
		if args[0] == "run" && code != exitDone {
			t.row.wrong(&t.row.Other, "%s: the next message: exit %d: %s", t.name(), code, a.said())
		}
	}
	if err := t.verify(ctx); err != nil {
		t.row.wrong(&t.row.Other, "%s: the journal: %v", t.name(), err)
	}
	return t.left(ctx)
}
