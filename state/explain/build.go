package explain

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/jitagent/jitagent/state/journal"
)

// Options say how a story is told.
type Options struct {
	// Of says what was asked about, such as "task task_8f2". May be empty.
	Of string

	// At is the moment as of which the story is told: a token that expires later is
	// alive. Zero means the moment of the last record.
	At time.Time

	// Zone is that of the times in sentences. nil means UTC.
	Zone *time.Location

	// Gone names the runs whose process is known to be gone, though nobody has
	// recovered them yet. A run that is unfinished and not among them counts as
	// under way. nil means none.
	Gone map[string]bool
}

// Build tells the story of records, which may come in any order and from several
// tasks; to be whole it needs all records of each task. It reads the records only,
// never fails, and leaves none out.
func Build(records []journal.Record, opts Options) *Story {
	sorted := slices.Clone(records)
	for i := range sorted {
		r := &sorted[i]
		r.Time, r.ExpiresAt, r.NextAttempt = writable(r.Time), writable(r.ExpiresAt), writable(r.NextAttempt)
	}
	opts.At = writable(opts.At)
	slices.SortStableFunc(sorted, func(a, b journal.Record) int { return cmp.Compare(a.Seq, b.Seq) })
	opts.Zone = cmp.Or(opts.Zone, time.UTC)
	if opts.At.IsZero() {
		for _, r := range sorted {
			if r.Time.After(opts.At) {
				opts.At = r.Time
			}
		}
	}
	s := &Story{Of: opts.Of, At: opts.At, Entries: len(sorted), Tasks: []*Task{}}
	teller := map[string]*teller{}
	var order []string
	for _, r := range sorted {
		switch {
		case r.Kind == journal.EntryPruned || r.Kind == journal.EntryLoss:
			s.Gaps = append(s.Gaps, gap(r))
		case r.Run == "":
			s.Strays = append(s.Strays, stray(r))
		default:
			t := teller[r.Run]
			if t == nil {
				t = newTeller(r, opts)
				teller[r.Run] = t
				order = append(order, r.Run)
			}
			t.add(r)
		}
	}
	for _, run := range order {
		s.Tasks = append(s.Tasks, teller[run].finish())
	}
	return s
}

// writable returns t, or the zero time for one that RFC 3339 cannot write.
func writable(t time.Time) time.Time {
	if y := t.UTC().Year(); y < 1 || y > 9998 { // a year less: zones differ
		return time.Time{}
	}
	return t
}

// gap words a record about entries that are gone.
func gap(r journal.Record) Gap {
	g := Gap{Seq: r.Seq, Time: r.Time}
	if r.Ref != nil {
		g.To = r.Ref.Seq
	}
	switch {
	case r.Kind == journal.EntryPruned:
		g.From = 1
		g.Text = fmt.Sprintf("The entries up to %d were removed on purpose, to keep the journal small.", g.To)
	default:
		g.From = r.Seq
		g.Text = fmt.Sprintf("Entries were found gone before entry %d, though they had been on disk: up to %d at least. Some of them may have been about what is told here.", r.Seq, g.To)
	}
	return g
}

// stray words a record that names no task.
func stray(r journal.Record) Step {
	return Step{
		Seq: r.Seq, Time: r.Time, Kind: r.Kind, Tone: Warn, Label: "no task", Unknown: true,
		Text: fmt.Sprintf("Entry %d, of kind %s, names no task%s.", r.Seq, quote(string(r.Kind)), leftover(r)),
	}
}

// Only returns the story of one call: in each task that has it, the call itself,
// the requests, grants and effects that it had part in, and the life of the task.
// Tasks without the call are left out. s is not changed.
func (s *Story) Only(callID string) *Story {
	out := *s
	out.Tasks = []*Task{}
	for _, t := range s.Tasks {
		mine := func(c *Call) bool { return c != nil && c.ID == callID }
		if !slices.ContainsFunc(t.Calls, mine) {
			continue
		}
		one := *t
		one.Calls = keep(t.Calls, mine)
		one.Omitted = len(t.Calls) - len(one.Calls)
		one.Effects = keep(t.Effects, func(e *Effect) bool { return mine(e.call) })
		one.Grants = keep(t.Grants, func(g *Grant) bool {
			return mine(g.call) || slices.ContainsFunc(g.Uses, func(u *Use) bool { return mine(u.call) })
		})
		one.Asked = keep(t.Asked, func(r *Request) bool {
			return mine(r.call) || slices.ContainsFunc(one.Grants, func(g *Grant) bool { return g.Request == r.ID })
		})
		out.Tasks = append(out.Tasks, &one)
	}
	return &out
}

func keep[T any](list []T, want func(T) bool) []T {
	var out []T
	for _, v := range list {
		if want(v) {
			out = append(out, v)
		}
	}
	return out
}
