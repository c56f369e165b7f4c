package faults

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/sqlite"
)

// A trial is a run that has ended, one way or the other, and what it should have left.
type trial struct {
	setup
	row   *row
	title string   // of the report that was intended
	alone bool     // in its world: what all tasks there did is judged
	what  string   // what happened to it, for whoever reads what went wrong
	said  *analyst // nil when the run was killed: it had no last word
	code  int

	// mute says that the journal could not take everything: it may be in doubt of what
	// the run knew.
	mute bool
}

// judge gives back what the run could not, and looks at what is left. Whatever
// disturbed the run must be over.
func (r *trial) judge(t *testing.T) {
	start := time.Now()
	if sweep, code := r.run(t, "sweep"); code != exitDone {
		r.row.wrong(t, &r.row.Other, "%s: the sweep after it: exit %d: %s", r.name(), code, sweep.said())
	}
	r.row.clean(time.Since(start))
	r.left(t)
}

// left compares exit code, journal, reports and grants, and repeats the run, as a
// person would, if that is certain to do no harm.
func (r *trial) left(t *testing.T) {
	task := taskName(job(r.title))
	if r.alone {
		task = ""
	}
	knows, made := r.known(t, task), r.made(t, r.title)
	if r.alone && knows.open {
		r.row.wrong(t, &r.row.Other, "%s: a task is %s: %s", r.name(), knows.task.State, knows.task.LastError)
	}
	if r.said != nil {
		r.lastWord(t, knows, made)
	}
	if issued, _ := r.grants(t, task); issued > knows.demands {
		r.row.wrong(t, &r.row.Other, "%s: %d tokens were issued and %d demands recorded", r.name(), issued, knows.demands)
	}
	wrong, why, again := knows.judge(r.row, made)
	if wrong != nil {
		r.row.wrong(t, wrong, "%s: %s", r.name(), why)
	}
	if again {
		a, code := r.run(t, "run", job(r.title))
		if made := r.made(t, r.title); code != exitDone || made != 1 {
			r.row.wrong(t, &r.row.Lost, "%s: repeated, since nothing was sent: exit %d, %d reports: %s", r.name(), code, made, a.said())
		}
	}
	_, active := r.grants(t, task)
	for range active {
		r.row.wrong(t, &r.row.Orphans, "%s: a grant is active after the end", r.name())
	}
}

// lastWord compares how a run ended with what it did.
func (r *trial) lastWord(t *testing.T, knows knowledge, made int) {
	r.detail("%s: exit %d, made %d, known %t, doubt %t: %s", r.name(), r.code, made, knows.made, knows.doubt, r.said.said())
	switch {
	case r.code == exitDone && made == 0:
		r.row.wrong(t, &r.row.Lost, "%s: exit 0, and no report", r.name())
	case r.code != exitDone && !r.said.clear():
		r.row.wrong(t, &r.row.Other, "%s: exit %d without a clear word: %s", r.name(), r.code, r.said.said())
	case r.code == exitInDoubt && !knows.doubt, r.code != exitInDoubt && knows.doubt && !r.mute:
		r.row.wrong(t, &r.row.Other, "%s: exit %d, and in the journal the report is in doubt: %t: %s", r.name(), r.code, knows.doubt, r.said.said())
	}
}

func (r *trial) name() string {
	if r.what == "" {
		return r.title
	}
	return r.title + ", " + r.what
}

// A knowledge is what the journal knows about the report that a run intended.
type knowledge struct {
	run     string // "" when the journal has no such task
	task    journal.Task
	open    bool // some task is not finished
	made    bool // the API said yes
	doubt   bool // it was sent, and nobody knows what came of it
	demands int  // of authority, announced before they were made
}

// known reads what the journal knows about the newest task of a name; "" for all of them.
func (s setup) known(t *testing.T, name string) (k knowledge) {
	s.journal(t, func(j *sqlite.Journal) {
		for _, task := range must(j.Tasks(s.ctx, journal.TaskFilter{}))(t) {
			if task.Name == name || name == "" {
				k.run, k.task = task.Run, task
				k.open = k.open || !task.State.Finished()
			}
		}
		if k.run == "" {
			return
		}
		filter := journal.Filter{Run: k.run}
		if name == "" {
			filter.Run = ""
		}
		for r, err := range j.Query(s.ctx, filter) {
			check(t, err)
			k.see(r.Entry)
		}
	})
	return k
}

// see takes one entry, in their order.
func (k *knowledge) see(e jit.Entry) {
	switch {
	case e.Kind == jit.EntryRequest:
		k.demands++
	case e.Method != http.MethodPost:
	case e.Kind == jit.EntryCallSent:
		k.doubt = true
	case e.Kind == jit.EntryCallReturned:
		k.doubt = e.Outcome == jit.OutcomeInDoubt
		k.made = k.made || e.Outcome == jit.OutcomeAnswered && e.HTTPStatus/100 == 2
	}
}

// judge compares what is known with the reports that are there, and says what of r
// counts that something is wrong, if it is. again reports whether the run may be
// repeated without risk: it is certain that nothing was made.
func (k *knowledge) judge(r *row, made int) (wrong *int, why string, again bool) {
	switch {
	case made > 1:
		return &r.Duplicates, fmt.Sprintf("%d reports", made), false
	case k.made && made == 0:
		return &r.Lost, "the journal says that it was made, and it is not there", false
	case k.made:
	case k.doubt:
		r.add(&r.Unknown, 1)
	case made == 1:
		return &r.Other, "it was made, and the journal does not know that it was sent", false
	default:
		again = true
	}
	return nil, "", again
}
