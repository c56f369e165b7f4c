package kill

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/state/journal"
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
