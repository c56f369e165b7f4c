package kill

import (
	"context"
	"iter"
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

func (u unfinished) Tasks(_ context.Context, f journal.TaskFilter) ([]journal.Task, error) {
	if f.Unfinished {
		return u.tasks, nil
	}
	return []journal.Task{{Run: "last of " + f.Session, Session: f.Session, State: journal.StateCompleted}}[:f.Newest], nil
}

// passing are sessions whose runs somebody is at, or is to go on with.
type passing []string

func (p passing) UnderWay(context.Context) ([]string, error) { return p, nil }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
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
	all := must(candidates(t.Context(), struct {
		unfinished
		passing
	}{j, passing{"talk", "app/gil/left"}}))
	for what, want := range map[string][]string{
		"left":         {"last of app/gil/left"},
		"user:gil":     {"last of app/gil/left"},
		"jit_6":        {"two"},
		"jit_1":        {"root", "child", "under"},
		"task:child":   {"child", "under"},
		"user:ada":     {"root", "child", "under"},
		"session:talk": {"root", "child", "under"},
		"other":        {"other"},
		"bob/2":        {"other"},
		"s":            {"other"},
		"dan/same":     {"two"},
		"ALL":          {"under", "root", "child", "other", "one", "two", "three", "last of app/gil/left"},
	} {
		list, err := options{what: what}.meant(all)
		var runs []string
		for _, k := range list {
			runs = append(runs, k.Run)
		}
		if err != nil || !slices.Equal(runs, want) {
			t.Errorf("%s means %v, %v, want %v", what, runs, err, want)
		}
	}
	if list, err := (options{what: "same"}).meant(all); list != nil || err == nil || !strings.Contains(err.Error(), "app/eve/same") {
		t.Errorf("the name of two users' sessions means %v, %v, want an error", list, err)
	}
}

// A handed run has passed on when its last task is killed: another process begins then.
type handed struct {
	passing
	unfinished
	killed []string
}

func (h *handed) Kill(_ context.Context, run, _ string) error {
	h.killed = append(h.killed, run)
	h.tasks = []journal.Task{{Run: "next", Session: "app/gil/left"}}
	return nil
}

func (*handed) Task(_ context.Context, run string) (journal.Task, error) {
	return journal.Task{Run: run, State: journal.StateCompleted}, nil
}

// The task of whoever began meanwhile to go on is ended, too, and each once.
func TestWhoeverGoesOnIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, o := &handed{passing: passing{"app/gil/left"}}, options{what: "user:gil"}
		list := must(o.meant(must(candidates(t.Context(), j))))
		ends, err := o.endAll(t.Context(), t.Context(), j, recovery.Config{}, list)
		if want := []string{"last of app/gil/left", "next"}; err != nil || !slices.Equal(j.killed, want) || len(ends) != 2 || !ends[1].confirmed() {
			t.Errorf("%q were killed, %v, want %q", j.killed, err, want)
		}
	})
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

// used is a journal with what APIs answered.
type used struct {
	journal.Store
	answers []journal.Record
}

func (u used) Query(context.Context, journal.Filter) iter.Seq2[journal.Record, error] {
	return func(yield func(journal.Record, error) bool) {
		for _, r := range u.answers {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// A token that was refused, or sent and not answered, was not accepted, nor was what had none.
func TestLastAccepted(t *testing.T) {
	at := func(minute int, status int, request, url string) journal.Record {
		return journal.Record{Entry: jit.Entry{Time: time.Date(2026, 11, 28, 16, minute, 0, 0, time.UTC), HTTPStatus: status, RequestID: request, URL: url}}
	}
	e := ending{Run: "run"}
	err := e.accepted(t.Context(), used{answers: []journal.Record{
		at(2, 404, "r", "https://b.example/1"), at(1, 200, "r", "https://a.example/1"), at(3, 200, "r", "https://a.example/2"),
		at(4, 401, "r", "https://a.example/1"), at(5, 403, "r", "https://a.example/1"), at(6, 0, "r", "https://a.example/1"), at(7, 200, "", "https://a.example/1"),
		at(8, 403, "r", "https://c.example/1"),
	}})
	want := []api{{"https://a.example", at(3, 0, "", "").Time}, {"https://b.example", at(2, 0, "", "").Time}}
	if err != nil || !slices.Equal(e.APIs, want) {
		t.Errorf("%v, %v, want %v", e.APIs, err, want)
	}
}
