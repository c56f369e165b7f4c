package faults

import (
	"encoding/json"
	"strings"
	"testing"
)

// suspensions kills runs around each durable write of a suspension, and of going on
// after it, each in a world of its own. Whatever was killed, the conversation is there
// and takes the next message.
func suspensions(t *testing.T, l *lab) {
	suspended, resumed := l.row("kill -9 of a run that is suspended"), l.row("kill -9 of one that is resumed")
	suspends, resumes := suspensionPoints()
	all := append(suspends, resumes...)
	l.each(t, len(all)*max(1, *trials/200), func(t *testing.T, n int) {
		i := n % len(all)
		inWorld(func(t *testing.T, w *world) *row {
			run := trial{setup: w.analysts("state"), row: suspended, title: "Suspended", what: "kill at " + all[i], alone: true}
			kills := []string{all[i], ""}
			if i >= len(suspends) {
				run.row, kills = resumed, []string{"", all[i]}
			}
			w.suspension(t, &run, kills)
			return run.row
		})(t, l)
	})
}

// suspension begins what needs a person, has it approved, and goes on, until the kill.
// Then it does what a person does who finds the conversation as it was left.
func (w *world) suspension(t *testing.T, r *trial, kills []string) {
	decided := map[string]bool{}
	run := func(point string, args ...string) (a *analyst, code int, killed bool) {
		a = r.start(t, point, args...)
		code, killed = a.wait()
		r.detail("%s: %s: exit %d: %s", r.name(), args[0], code, a.said())
		for _, task := range w.history.named("") {
			for _, id := range task.pending {
				if !decided[id] && task.completed == 0 {
					decided[id] = true
					check(t, w.approve([]string{id}))
				}
			}
		}
		return a, code, killed
	}
	for i, args := range [][]string{{"run", "Create a report titled 'Suspended' about documents doc_9982 and doc_7310"}, {"resume"}} {
		a, code, killed := run(kills[i], args...)
		if killed {
			r.row.add(&r.row.Trials, 1)
			_, alive := r.grants(t, "")
			r.row.add(&r.row.Alive, alive)
			break
		}
		if kills[i] != "" || code != exitPending {
			r.row.wrong(t, &r.row.Other, "%s: %s: exit %d: %s", r.name(), args[0], code, a.said())
			return
		}
	}
	a, _, _ := run("", "sessions", "list", "--json")
	var list []struct{ ID string }
	if err := json.Unmarshal(a.stdout.Bytes(), &list); err != nil || len(list) != 1 {
		r.row.wrong(t, &r.row.Lost, "%s: of one session there is left: %s: %s", r.name(), strings.TrimSpace(a.stdout.String()), a.said())
		return
	}
	id := list[0].ID
	for _, args := range [][]string{{"sweep"}, {"resume", id}, {"resume", id}, {"run", "--session", id, "Summarize doc_9982"}} {
		a, code, _ := run("", args...) // of resumes the first may make the call for the first time
		if args[0] == "run" && code != exitDone {
			r.row.wrong(t, &r.row.Other, "%s: the next message: exit %d: %s", r.name(), code, a.said())
		}
	}
	r.verify(t, r.row, r.name())
	r.left(t)
}
