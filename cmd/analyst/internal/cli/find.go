package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/session"
)

// A Subject is what a command is asked about: some runs, and perhaps one call.
type Subject struct {
	Kind string // "task", "session" or "call"
	ID   string
	Call string   // only this one; "" for all
	Runs []string // in the order in which they began
}

func (s Subject) String() string {
	id := plain.Line(s.ID, 80)
	if strings.HasPrefix(id, s.Kind+"_") { // it says so itself
		return id
	}
	return s.Kind + " " + id
}

// Last names the newest task, in place of an id.
const Last = "last"

// Pick returns the one of a list, newest first, that a person means: by its name, by the
// beginning of it that no other has, or as "last". kind says what they are, and hint where
// they are listed.
func Pick[T any](list []T, name func(T) string, id, kind, hint string) (one T, err error) {
	var found []T
	for i, v := range list {
		switch {
		case name(v) == id, id == Last && i == 0:
			return v, nil
		case strings.HasPrefix(name(v), id):
			found = append(found, v)
		}
	}
	switch len(found) {
	case 0:
		return one, Failf(hint, "there is no %s %s", kind, plain.Line(id, 60))
	case 1:
		return found[0], nil
	}
	return one, Usagef("several %ss begin with %q: write more of it", kind, plain.Line(id, 60))
}

// MaxSessions bounds the sessions that are listed, and looked through.
const MaxSessions = 1000

// FindSession returns the session that a person means by id; see [Pick].
func FindSession(ctx context.Context, store *session.Store, id string) (session.Summary, error) {
	list, err := store.Recent(ctx, App, MaxSessions, false)
	if err != nil {
		return session.Summary{}, StateError(err, "")
	}
	return Pick(list, func(s session.Summary) string { return s.ID }, id, "session", "analyst sessions list shows them")
}

// maxNamed bounds how many candidates an error names.
const maxNamed = 6

// FindSubject returns what id names: a task by its run or its id at the
// authorization server, a session, or a call, in that order; or else the only one
// of which it is the beginning. "" and "last" mean the newest task.
func FindSubject(ctx context.Context, j journal.Store, id string) (Subject, error) {
	newest, err := j.Tasks(ctx, journal.TaskFilter{Newest: 1})
	if err != nil {
		return Subject{}, StateError(err, "")
	}
	if len(newest) == 0 {
		return Subject{}, Failf(`make one: analyst run "Summarize doc_9982"`, "the journal has no task yet")
	}
	if id == "" || id == Last {
		return taskSubject(newest[0]), nil
	}
	if t, err := j.Task(ctx, id); err == nil {
		return taskSubject(t), nil
	}
	tasks, err := j.Tasks(ctx, journal.TaskFilter{})
	if err != nil {
		return Subject{}, StateError(err, "")
	}
	found, err := beginning(ctx, j, tasks, id)
	if err != nil {
		return Subject{}, err
	}
	for _, s := range found {
		if s.ID == id {
			return s, nil
		}
	}
	switch len(found) {
	case 0:
		slices.Reverse(tasks)
		return Subject{}, Failf("analyst tasks --all lists them; without an argument the newest is taken",
			"no task, session or call is called %q or begins so; the newest tasks are %s", plain.Line(id, 80), named(tasks, func(t journal.Task) string { return plain.Line(cmp.Or(t.ID, t.Run), 80) }))
	case 1:
		return found[0], nil
	}
	return Subject{}, Failf("write more of it", "%q is the beginning of several: %s", plain.Line(id, 80), named(found, Subject.String))
}

// FindTask returns the task that a person means by id; see [FindSubject].
func FindTask(ctx context.Context, j journal.Store, id string) (journal.Task, error) {
	s, err := FindSubject(ctx, j, id)
	switch {
	case err != nil:
		return journal.Task{}, err
	case s.Kind != "task":
		return journal.Task{}, Failf("analyst tasks --all lists those there are", "%s is no task", s)
	}
	return j.Task(ctx, s.Runs[0])
}

func taskSubject(t journal.Task) Subject {
	return Subject{Kind: "task", ID: cmp.Or(t.ID, t.Run), Runs: []string{t.Run}}
}

// beginning returns what begins with prefix: tasks, sessions, and last calls.
func beginning(ctx context.Context, j journal.Store, tasks []journal.Task, prefix string) (found []Subject, err error) {
	at := map[string]int{} // where each is found
	add := func(s Subject, run string) {
		i, ok := at[s.Kind+s.ID]
		if !ok {
			i = len(found)
			at[s.Kind+s.ID], found = i, append(found, s)
		}
		if !slices.Contains(found[i].Runs, run) {
			found[i].Runs = append(found[i].Runs, run)
		}
	}
	for _, t := range tasks {
		if strings.HasPrefix(t.Run, prefix) || strings.HasPrefix(t.ID, prefix) {
			add(taskSubject(t), t.Run)
		}
		if t.Session != "" && strings.HasPrefix(t.Session, prefix) {
			add(Subject{Kind: "session", ID: t.Session}, t.Run)
		}
	}
	for r, err := range j.Query(ctx, journal.Filter{Call: prefix, Kinds: []jit.EntryKind{jit.EntryCall}}) {
		if err != nil {
			return nil, StateError(err, VerifyHint)
		}
		if r.Run != "" {
			add(Subject{Kind: "call", ID: r.CallID, Call: r.CallID}, r.Run)
		}
	}
	return found, nil
}

// named lists the first of many.
func named[T any](all []T, name func(T) string) string {
	var names []string
	for i, v := range all {
		if i == maxNamed {
			names = append(names, fmt.Sprintf("and %d more", len(all)-i))
			break
		}
		names = append(names, name(v))
	}
	return strings.Join(names, ", ")
}

// What [Owners] tells of an unfinished task.
const (
	OwnerAlive = "alive"
	OwnerGone  = "gone"
)

// Owners tells which unfinished tasks belong to processes that are gone; "" is of a
// finished one, or where that cannot be told.
func Owners(ctx context.Context, j journal.Store) func(journal.Task) string {
	orphans, err := j.Orphans(ctx, time.Time{})
	gone := map[string]bool{}
	for _, t := range orphans {
		gone[t.Owner] = true
	}
	return func(t journal.Task) string {
		switch {
		case t.State.Finished() || err != nil:
			return ""
		case gone[t.Owner]:
			return OwnerGone
		}
		return OwnerAlive
	}
}
