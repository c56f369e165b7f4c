package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// A subject is what a command is asked about: some runs, and perhaps one call.
type subject struct {
	kind string // "task", "session" or "call"
	id   string
	call string   // only this one; "" for all
	runs []string // in the order in which they began
}

func (s subject) String() string { return s.kind + " " + plain.Line(s.id, 80) }

// maxNamed bounds how many candidates an error names.
const maxNamed = 6

// findSubject returns what id names: a task by its run or its id at the
// authorization server, a session, or a call, in that order; or else the only one
// of which it is the beginning. "" and "last" mean the newest task.
func findSubject(ctx context.Context, j *journal.Journal, id string) (subject, error) {
	tasks, err := j.Tasks(ctx, journal.TaskFilter{})
	if err != nil {
		return subject{}, stateError(err, "")
	}
	if len(tasks) == 0 {
		return subject{}, &exitError{code: exitFailed, err: fmt.Errorf("the journal has no task yet"), hint: `make one: analyst run "Summarize doc_9982"`}
	}
	if id == "" || id == lastTask {
		newest := slices.MaxFunc(tasks, func(a, b journal.Task) int { return cmp.Compare(a.FirstSeq, b.FirstSeq) })
		return taskSubject(newest), nil
	}
	if s, ok := exactly(tasks, id); ok {
		return s, nil
	}
	calls, err := callsLike(ctx, j, id)
	if err != nil {
		return subject{}, err
	}
	if runs, ok := calls[id]; ok {
		return subject{kind: "call", id: id, call: id, runs: runs}, nil
	}
	found := beginning(tasks, calls, id)
	switch len(found) {
	case 0:
		return subject{}, nothingCalled(tasks, id)
	case 1:
		return found[0], nil
	}
	return subject{}, severalCalled(found, id)
}

func taskSubject(t journal.Task) subject {
	return subject{kind: "task", id: cmp.Or(t.ID, t.Run), runs: []string{t.Run}}
}

// exactly returns the task or session that is called id.
func exactly(tasks []journal.Task, id string) (subject, bool) {
	session := subject{kind: "session", id: id}
	for _, t := range slices.Backward(tasks) { // of two servers' tasks with one id, the newer
		if t.Run == id || t.ID == id {
			return taskSubject(t), true
		}
	}
	for _, t := range tasks {
		if t.Session == id {
			session.runs = append(session.runs, t.Run)
		}
	}
	return session, len(session.runs) > 0
}

// callsLike returns the runs of each call whose id begins with prefix.
func callsLike(ctx context.Context, j *journal.Journal, prefix string) (map[string][]string, error) {
	calls := map[string][]string{}
	for r, err := range j.Query(ctx, journal.Filter{CallID: prefix}) {
		if err != nil {
			return nil, stateError(err, verifyHint)
		}
		if r.Run != "" && !slices.Contains(calls[prefix], r.Run) {
			calls[prefix] = append(calls[prefix], r.Run)
		}
	}
	if len(calls) > 0 {
		return calls, nil
	}
	for r, err := range j.Query(ctx, journal.Filter{Kinds: []jit.EntryKind{jit.EntryCall}}) {
		if err != nil {
			return nil, stateError(err, verifyHint)
		}
		if r.Run != "" && r.CallID != "" && strings.HasPrefix(r.CallID, prefix) && !slices.Contains(calls[r.CallID], r.Run) {
			calls[r.CallID] = append(calls[r.CallID], r.Run)
		}
	}
	return calls, nil
}

// beginning returns what begins with prefix.
func beginning(tasks []journal.Task, calls map[string][]string, prefix string) []subject {
	var found []subject
	sessions := map[string]bool{}
	for _, t := range tasks {
		if strings.HasPrefix(t.Run, prefix) || strings.HasPrefix(t.ID, prefix) {
			found = append(found, taskSubject(t))
		}
		if t.Session != "" && strings.HasPrefix(t.Session, prefix) && !sessions[t.Session] {
			sessions[t.Session] = true
			s, _ := exactly(tasks, t.Session)
			found = append(found, s)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(calls)) {
		found = append(found, subject{kind: "call", id: id, call: id, runs: calls[id]})
	}
	return found
}

func nothingCalled(tasks []journal.Task, id string) error {
	var named []string
	for _, t := range slices.Backward(tasks) {
		if len(named) == maxNamed {
			named = append(named, "…")
			break
		}
		named = append(named, plain.Line(cmp.Or(t.ID, t.Run), 80))
	}
	return &exitError{
		code: exitFailed,
		err:  fmt.Errorf("no task, session or call is called %q or begins so; the newest tasks are %s", plain.Line(id, 80), strings.Join(named, ", ")),
		hint: "analyst tasks --all lists them; without an argument the newest is taken",
	}
}

func severalCalled(found []subject, id string) error {
	var named []string
	for i, s := range found {
		if i == maxNamed {
			named = append(named, fmt.Sprintf("and %d more", len(found)-i))
			break
		}
		named = append(named, s.String())
	}
	return &exitError{
		code: exitFailed,
		err:  fmt.Errorf("%q is the beginning of several: %s", plain.Line(id, 80), strings.Join(named, ", ")),
		hint: "write more of it",
	}
}
