package kill

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
)

// unfinished is a journal that has these tasks.
type unfinished struct {
	journal.Store
	tasks []journal.Task
}

func (u unfinished) Tasks(context.Context, journal.TaskFilter) ([]journal.Task, error) {
	return u.tasks, nil
}

func TestWhatIsMeant(t *testing.T) {
	j := unfinished{tasks: []journal.Task{
		{Run: "under", ID: "jit_3", Parent: "child"},
		{Run: "root", ID: "jit_1", Session: "talk", OnBehalfOf: "ada"},
		{Run: "child", ID: "jit_2", Parent: "root"},
		{Run: "other", ID: "jit_4", Session: "app/bob%2F2/s"},
		{Run: "one", ID: "jit_5", Session: "app/eve/same"},
		{Run: "two", ID: "jit_6", Session: "app/dan/same"},
		{Run: "three", ID: "jit_60", Session: "app/dan/talk"},
	}}
	for what, want := range map[string][]string{
		"jit_6":        {"two"},
		"jit_1":        {"root", "child", "under"},
		"task:child":   {"child", "under"},
		"user:ada":     {"root", "child", "under"},
		"session:talk": {"root", "child", "under"},
		"other":        {"other"},
		"bob/2":        {"other"},
		"s":            {"other"},
		"dan/same":     {"two"},
		all:            {"under", "root", "child", "other", "one", "two", "three"},
	} {
		list, err := options{what: what}.meant(t.Context(), j)
		var runs []string
		for _, k := range list {
			runs = append(runs, k.Run)
		}
		if err != nil || !slices.Equal(runs, want) {
			t.Errorf("%s means %v, %v, want %v", what, runs, err, want)
		}
	}
	if list, err := (options{what: "same"}).meant(t.Context(), j); list != nil || err == nil || !strings.Contains(err.Error(), "app/eve/same") {
		t.Errorf("the name of two users' sessions means %v, %v, want an error", list, err)
	}
}

// suspended is a journal with a task that waits for a person.
type suspended struct{ journal.Store }

func (suspended) Task(context.Context, string) (journal.Task, error) {
	return journal.Task{Run: "run", ID: "jit_1", State: journal.StateSuspended}, nil
}
func (suspended) Entries(context.Context, string) ([]jit.Entry, error) { return nil, nil }
func (suspended) Append(context.Context, ...jit.Entry) error           { return nil }
func (suspended) Mark(context.Context, string, journal.Mark) error     { return nil }
func (suspended) CompleteTask(ctx context.Context, _ string) error     { <-ctx.Done(); return ctx.Err() }

// A server that does not answer is not called a process that does not stop.
func TestSilentServerIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		e := ending{Run: "run", TaskID: "jit_1"}
		e.end(ctx, suspended{}, recovery.Config{Completer: suspended{}})
		if e.confirmed() || !e.Stopped || !strings.Contains(e.Problem, "the authorization server did not answer") {
			t.Errorf("%+v", e)
		}
	})
}
