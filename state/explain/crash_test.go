package explain_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/explain"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/sqlite"
)

// midway is a run up to the sending of a report, with no outcome.
func midway() *writer {
	w := newWriter()
	w.open("x")
	m := w.report("call-1", "Q4")
	m.granted("jit_1", "medium")
	m.sent("jit_1")
	return w
}

// TestSentWithoutOutcome is what is said of an effect that was sent, by what is
// known of the process.
func TestSentWithoutOutcome(t *testing.T) {
	recovered := midway()
	recovered.owner = second
	recovered.plus(time.Minute).add(jit.Entry{Kind: jit.EntryTaskCompleted})
	finished := midway()
	finished.plus(time.Second).close()
	for _, tt := range []struct {
		name    string
		records []journal.Record
		gone    bool
		outcome jit.Outcome
		fate    explain.Fate
		deaths  int
		say     string
		not     string
	}{
		{"alive", midway().records, false, explain.OutcomeUnderWay, explain.FateRunning, 0, "no answer is recorded yet", "died"},
		{"dead", midway().records, true, jit.OutcomeInDoubt, explain.FateCut, 1, "nobody has taken the task over yet", "revoked at"},
		{"recovered", recovered.records, false, jit.OutcomeInDoubt, explain.FateCut, 1, "Another process took the task over after 1 min", "nobody has taken"},
		{"finished without a word", finished.records, false, jit.OutcomeInDoubt, explain.FateUnrecorded, 0, "no outcome is recorded: in doubt", "died"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := build(t, tt.records, explain.Options{Gone: map[string]bool{theRun: tt.gone}})
			complete(t, tt.records, s)
			task := s.Tasks[0]
			if got := task.Effects[0].Outcome; got != tt.outcome {
				t.Errorf("outcome = %q, want %q", got, tt.outcome)
			}
			if got := task.Calls[0].Fate; got != tt.fate {
				t.Errorf("fate = %q, want %q", got, tt.fate)
			}
			if len(task.Deaths) != tt.deaths {
				t.Errorf("deaths = %+v, want %d", task.Deaths, tt.deaths)
			}
			got := flat(t, s)
			if !strings.Contains(got, tt.say) || strings.Contains(got, tt.not) {
				t.Errorf("want %q and not %q in:\n%s", tt.say, tt.not, got)
			}
			if strings.Contains(html(t, s), ">process died<") != (tt.deaths > 0) {
				t.Error("the picture shows a death where there is none, or none where there is one")
			}
		})
	}
}

// TestWaitIsSaidAsItIs has a request wait for a person: now, or for ever.
func TestWaitIsSaidAsItIs(t *testing.T) {
	w := newWriter()
	w.open("x")
	m := w.fetch("call-1", "doc_7310")
	m.asked()
	m.decided("jit_1", jit.StatusPending, "high", "", "", w.now.Add(time.Hour))
	for gone, want := range map[bool]string{false: "Authority was asked for once: 1 waiting for a person.", true: "Authority was asked for once: 1 never decided."} {
		s := build(t, w.records, explain.Options{Gone: map[string]bool{theRun: gone}})
		if got := flat(t, s); !strings.Contains(got, want) || strings.Contains(got, "Request jit_1 was waiting for a person.") != gone {
			t.Errorf("gone %t: want %q in:\n%s", gone, want, got)
		}
	}
}

// TestDoubtIsNotUndone has a refusal follow a lost answer: the refusal is no
// answer to whether the first one took effect. An answer under the key is.
func TestDoubtIsNotUndone(t *testing.T) {
	for _, tt := range []struct {
		outcomes []jit.Outcome
		want     jit.Outcome
	}{
		{[]jit.Outcome{jit.OutcomeRefused}, jit.OutcomeRefused},
		{[]jit.Outcome{jit.OutcomeNotSent}, jit.OutcomeNotSent},
		{[]jit.Outcome{jit.OutcomeRefused, jit.OutcomeNotSent}, jit.OutcomeNotSent},
		{[]jit.Outcome{jit.OutcomeInDoubt, jit.OutcomeRefused}, jit.OutcomeInDoubt},
		{[]jit.Outcome{jit.OutcomeInDoubt, jit.OutcomeNotSent}, jit.OutcomeInDoubt},
		{[]jit.Outcome{jit.OutcomeInDoubt, jit.OutcomeAnswered}, jit.OutcomeAnswered},
		{[]jit.Outcome{jit.OutcomeAnswered, jit.OutcomeInDoubt}, jit.OutcomeInDoubt},
		{[]jit.Outcome{"teapot", jit.OutcomeRefused}, jit.OutcomeInDoubt},
		{[]jit.Outcome{jit.OutcomeAnswered, jit.OutcomeRefused}, jit.OutcomeAnswered},
	} {
		w := newWriter()
		w.open("x")
		m := w.report("call-1", "x")
		for _, o := range tt.outcomes {
			m.sent("")
			m.returned("", 200, o, "")
		}
		s := build(t, w.records, explain.Options{})
		if got := s.Tasks[0].Effects; len(got) != 1 || got[0].Outcome != tt.want || len(got[0].Sends) != len(tt.outcomes) {
			t.Errorf("after %v: %s, want %s", tt.outcomes, asJSON(t, s), tt.want)
		}
	}
}

// TestOutcomeThatIsTakenBack is an answer that broke off after it had begun: a
// second outcome without a second sending.
func TestOutcomeThatIsTakenBack(t *testing.T) {
	w := newWriter()
	w.open("x")
	m := w.report("call-1", "x")
	m.sent("")
	m.returned("", 201, jit.OutcomeAnswered, "")
	m.returned("", 201, jit.OutcomeInDoubt, "the answer broke off")
	s := build(t, w.records, explain.Options{})
	if e := s.Tasks[0].Effects[0]; e.Outcome != jit.OutcomeInDoubt || !strings.Contains(e.Why, "the answer broke off") {
		t.Errorf("effect = %+v, want in doubt", e)
	}
}

// TestTwoCrashes has a process die while it recovers the task of another.
func TestTwoCrashes(t *testing.T) {
	w := midway()
	w.owner = second
	w.plus(time.Minute).add(jit.Entry{Kind: jit.EntryTaskCompleting})
	w.owner = "OWNERC"
	w.plus(time.Minute).add(jit.Entry{Kind: jit.EntryTaskCompleted})
	s := build(t, w.records, explain.Options{})
	deaths := s.Tasks[0].Deaths
	if len(deaths) != 2 || deaths[0].Owner != first || deaths[0].RecoveredBy != second || deaths[1].Owner != second || deaths[1].RecoveredBy != "OWNERC" {
		t.Fatalf("deaths = %+v", deaths)
	}
	got := flat(t, s)
	for _, want := range []string{"The process died here or later", "The process ended or died before the end of the task was confirmed"} {
		if !strings.Contains(got, want) {
			t.Errorf("the story does not say %q:\n%s", want, got)
		}
	}
	html(t, s)
}

// TestFinishedTaskHasNoDeath has another process add to a task whose end was given
// up as unknown: nobody died.
func TestFinishedTaskHasNoDeath(t *testing.T) {
	w := newWriter()
	w.open("x")
	w.add(jit.Entry{Kind: journal.EntryTaskUnknown, Error: "the server is gone"})
	w.owner = second
	w.plus(time.Minute).add(jit.Entry{Kind: jit.EntryTaskCompleted})
	s := build(t, w.records, explain.Options{Gone: map[string]bool{theRun: true}})
	if task := s.Tasks[0]; len(task.Deaths) != 0 || task.State != journal.StateCompleted {
		t.Errorf("state %s, deaths %+v, want completed and none", task.State, task.Deaths)
	}
}

// TestRecoveredForReal has one journal leave a task behind, and another recover it.
func TestRecoveredForReal(t *testing.T) {
	opts := sqlite.Options{Dir: filepath.Join(t.TempDir(), "state")}
	one, err := sqlite.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range midway().records {
		if err := one.Append(t.Context(), r.Entry); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.Close(); err != nil { // which drops the lock as death does
		t.Fatal(err)
	}
	two, err := sqlite.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := two.Close(); err != nil {
			t.Error(err)
		}
	}()
	told := func() *explain.Task {
		gone := map[string]bool{}
		orphans, err := two.Orphans(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range orphans {
			gone[o.Run] = true
		}
		var records []journal.Record
		for r, err := range two.Query(t.Context(), journal.Filter{Run: theRun}) {
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, r)
		}
		s := build(t, records, explain.Options{Gone: gone})
		complete(t, records, s)
		return s.Tasks[0]
	}
	if task := told(); len(task.Deaths) != 1 || !task.Deaths[0].RecoveredAt.IsZero() || task.State != journal.StateOpen {
		t.Errorf("before recovery: %s, deaths %+v", task.State, task.Deaths)
	}
	release, err := two.Claim(t.Context(), one.Owner())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []error{
		two.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskCompleting, Run: theRun, TaskID: theTask}),
		two.Mark(t.Context(), theRun, journal.Mark{State: journal.StateCompleting, Reason: "503", Next: time.Now()}),
		two.Mark(t.Context(), theRun, journal.Mark{State: journal.StateCompleted}),
		release(),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	task := told()
	if len(task.Deaths) != 1 || task.Deaths[0].Owner != one.Owner() || task.Deaths[0].RecoveredBy != two.Owner() || task.State != journal.StateCompleted {
		t.Errorf("after recovery: %s, deaths %+v", task.State, task.Deaths)
	}
	if task.Effects[0].Outcome != jit.OutcomeInDoubt {
		t.Errorf("the effect is %s, want in doubt", task.Effects[0].Outcome)
	}
	if task.Issued != 1 {
		t.Errorf("issued = %d, want the one that is recorded", task.Issued)
	}
}
