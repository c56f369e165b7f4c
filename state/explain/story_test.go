package explain_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/explain"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/sqlite"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got); -update rewrites it:\n%s", path, diff)
	}
}

func text(t testing.TB, s *explain.Story) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.WriteText(&b, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// flat is the text without its line breaks.
func flat(t testing.TB, s *explain.Story) string {
	return strings.Join(strings.Fields(text(t, s)), " ")
}

func asJSON(t testing.TB, s *explain.Story) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func html(t testing.TB, s *explain.Story) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.WriteHTML(&b, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestOddRecords is what a journal may hold that is no whole story.
func TestOddRecords(t *testing.T) {
	whole := plain()
	for _, tt := range []struct {
		name    string
		records []journal.Record
		want    []string // in the text
		not     []string
	}{
		{"nothing", nil, []string{"There is nothing to tell"}, nil},
		{"no beginning", whole[8:], []string{"The beginning is missing: the first entry that is there, 9,"}, nil},
		{"a call before the opening", numbered(slices.Concat(whole[2:3], whole[:2], whole[3:])), []string{"fetch_document"}, []string{"The beginning is missing"}},
		{"only the opening", whole[:1], []string{"Task of run RUN1", "The model called nothing", "The task is still open"}, []string{"revoked"}},
		{"no demand", slices.Delete(slices.Clone(whole), 4, 5), []string{"Approved at once", "Got a token"}, []string{"without a recorded answer"}},
		{"no decision", slices.Delete(slices.Clone(whole), 5, 6), []string{"1 without a recorded answer, 1 approved at once"}, nil},
		{"a use without a token", slices.Delete(slices.Clone(whole), 6, 7), []string{"Entry 8 uses a token of request jit_1, and no entry says that it was issued."}, nil},
		{"the same number twice", append(slices.Clone(whole), whole[len(whole)-1]), []string{"Two entries have the number 21."}, nil},
		{"unknown kind", with(whole, jit.Entry{Kind: "moon_phase", Message: "waxing"}), []string{`Entry 22 is of a kind that this version does not know, “moon_phase”: {"kind":"moon_phase","message":"waxing","task_id":"task_8f2c"}`}, nil},
		{"unknown kind of a call", with(whole, jit.Entry{Kind: "moon_phase", CallID: "call-1"}), []string{"“moon_phase”"}, []string{"Call 3"}},
		{"no task", []journal.Record{{Seq: 7, Entry: jit.Entry{Kind: "moon_phase", Time: start()}}}, []string{`Entry 7, of kind “moon_phase”, names no task: {"kind":"moon_phase"}.`}, nil},
		{"pruned", []journal.Record{{Seq: 7, Entry: jit.Entry{Kind: journal.EntryPruned, Time: start()}, Ref: &journal.Head{Seq: 6}}}, []string{"The entries up to 6 were removed on purpose"}, nil},
		{"lost", []journal.Record{{Seq: 7, Entry: jit.Entry{Kind: journal.EntryLoss, Time: start()}, Ref: &journal.Head{Seq: 9}}}, []string{"Entries were found gone before entry 7", "up to 9 at least"}, nil},
		{"unknown outcome", outcome("teapot"), []string{"Its outcome is recorded as “teapot”", "1 in doubt"}, []string{"1 answered"}},
		{"no outcome", outcome(""), []string{"Its outcome is recorded as “”", "in doubt"}, []string{"1 answered"}},
		{"clock back", clockBack(), []string{"The clock went back by 5 s before entry 3"}, nil},
		{"another task's id", with(whole, jit.Entry{Kind: jit.EntryRefused, CallID: "call-1", TaskID: "task_other"}), []string{"Entry 22 is about another task at the authorization server: task_other."}, nil},
		{"undecided answer", undecided(), []string{"so it counts as a no", "answered with something else"}, []string{"Approved", "approved"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := build(t, tt.records, explain.Options{})
			got := flat(t, s)
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("the story does not say %q:\n%s", want, text(t, s))
				}
			}
			for _, not := range tt.not {
				if strings.Contains(got, not) {
					t.Errorf("the story says %q:\n%s", not, text(t, s))
				}
			}
			complete(t, tt.records, s)
			html(t, s)
			asJSON(t, s)
		})
	}
}

// numbered returns records with numbers in their order.
func numbered(records []journal.Record) []journal.Record {
	for i := range records {
		records[i].Seq = int64(i + 1)
	}
	return records
}

// with returns records and one entry more, a second after the last.
func with(records []journal.Record, e jit.Entry) []journal.Record {
	w := &writer{now: records[len(records)-1].Time.Add(time.Second), owner: first, run: theRun, task: theTask, records: slices.Clone(records)}
	w.add(e)
	return w.records
}

// outcome is an effect with an outcome that nobody knows.
func outcome(o jit.Outcome) []journal.Record {
	w := newWriter()
	w.open("x")
	m := w.report("call-1", "x")
	m.sent("")
	m.returned("", 0, o, "")
	w.close()
	return w.records
}

func clockBack() []journal.Record {
	w := newWriter()
	w.open("x")
	w.plus(-5 * time.Second)
	w.fetch("call-1", "doc_1")
	return w.records
}

func undecided() []journal.Record {
	w := newWriter()
	w.open("x")
	m := w.fetch("call-1", "doc_1")
	m.refused()
	m.asked()
	m.decided("jit_1", jit.StatusUnknown, "", "", "", time.Time{})
	return w.records
}

// complete checks that each record is in the story exactly once.
func complete(t testing.TB, records []journal.Record, s *explain.Story) {
	t.Helper()
	left := map[int64]int{}
	for _, r := range records {
		left[r.Seq]++
	}
	take := func(steps []explain.Step) {
		for _, st := range steps {
			switch st.Kind {
			case explain.StepDied, explain.StepRecovered, explain.StepSilent:
				if st.Seq == 0 {
					continue
				}
			}
			left[st.Seq]--
		}
	}
	take(s.Strays)
	for _, g := range s.Gaps {
		left[g.Seq]--
	}
	for _, task := range s.Tasks {
		take(task.Steps)
		for _, c := range task.Calls {
			take(c.Steps)
		}
	}
	for seq, n := range left {
		if n != 0 {
			t.Errorf("entry %d: %d in the records less the story, want 0", seq, n)
		}
	}
	if s.Entries != len(records) {
		t.Errorf("Entries = %d, want %d", s.Entries, len(records))
	}
}

func TestGoldenStories(t *testing.T) {
	for name, records := range stories() {
		t.Run(name, func(t *testing.T) {
			s := build(t, records, explain.Options{Of: "task " + theTask})
			complete(t, records, s)
			if name != "long" {
				golden(t, name+".txt", []byte(text(t, s)))
			}
			if name == "crashed" {
				golden(t, name+".json", []byte(asJSON(t, s)))
			}
		})
	}
}

// TestUsesHaveTheirAnswers looks at how a token was used to read and to change.
func TestUsesHaveTheirAnswers(t *testing.T) {
	grants := build(t, plain(), explain.Options{}).Tasks[0].Grants
	for i, want := range []explain.Use{{Call: "call-1", Method: "GET", Status: 200}, {Call: "call-2", Method: "POST", Status: 201}} {
		if len(grants[i].Uses) != 1 {
			t.Fatalf("grant %d: %d uses, want 1", i, len(grants[i].Uses))
		}
		if u := grants[i].Uses[0]; u.Call != want.Call || u.Method != want.Method || u.Status != want.Status {
			t.Errorf("grant %d: use %+v, want %+v", i, u, want)
		}
	}
}

func TestOrderOfRecordsDoesNotMatter(t *testing.T) {
	want := asJSON(t, build(t, crashed(), explain.Options{}))
	records := crashed()
	slices.Reverse(records)
	if diff := cmp.Diff(want, asJSON(t, build(t, records, explain.Options{}))); diff != "" {
		t.Errorf("reversed records tell another story:\n%s", diff)
	}
	if records[0].Seq < records[1].Seq {
		t.Error("Build changed its input")
	}
}

// TestTasksAreKeptApart mixes the records of two runs with the same call ids.
func TestTasksAreKeptApart(t *testing.T) {
	var mixed []journal.Record
	for i, r := range plain() {
		other := denied()[min(i, len(denied())-1)]
		other.Run, other.TaskID = "RUN2", "task_2"
		r.Seq, other.Seq = int64(2*i+1), int64(2*i+2)
		mixed = append(mixed, r)
		if i < len(denied()) {
			mixed = append(mixed, other)
		}
	}
	s := build(t, mixed, explain.Options{})
	complete(t, mixed, s)
	if len(s.Tasks) != 2 || len(s.Tasks[0].Grants) != 2 || len(s.Tasks[1].Grants) != 0 || len(s.Tasks[1].Calls) != 2 {
		t.Errorf("tasks are mixed up: %s", asJSON(t, s))
	}
}

// TestGrantOfAnotherCall has a call use a token that another had obtained.
func TestGrantOfAnotherCall(t *testing.T) {
	w := newWriter()
	w.open("x")
	a := w.fetch("call-1", "doc_1")
	a.granted("jit_1", "low")
	a.used("jit_1", 200)
	b := w.fetch("call-2", "doc_1")
	b.used("jit_1", 200)
	b.ended("ok", "")
	w.fetch("call-3", "doc_3").granted("jit_3", "low")
	s := build(t, w.records, explain.Options{}).Only("call-2")
	task := s.Tasks[0]
	if len(task.Calls) != 1 || task.Omitted != 2 || len(task.Grants) != 1 || len(task.Grants[0].Uses) != 2 || len(task.Asked) != 1 {
		t.Errorf("the story of call-2: %s", asJSON(t, s))
	}
	got := flat(t, s)
	for _, want := range []string{"the token of request jit_1, which call 1 had obtained", "The other 2 calls of the task are left out here"} {
		if !strings.Contains(got, want) {
			t.Errorf("the story does not say %q:\n%s", want, got)
		}
	}
	if strings.Contains(html(t, s), "doc_3") {
		t.Error("the page shows another call")
	}
	if none := build(t, w.records, explain.Options{}).Only("call-9"); len(none.Tasks) != 0 {
		t.Errorf("a call that is not there has a story: %s", asJSON(t, none))
	}
}

// TestCallMadeAgain has one call id twice, as after a late approval.
func TestCallMadeAgain(t *testing.T) {
	w := newWriter()
	w.open("x")
	m := w.fetch("call-1", "doc_1")
	m.refused()
	m.asked()
	m.decided("jit_1", jit.StatusPending, "high", "", "", w.now.Add(time.Hour))
	m.ended("pending", "a person must decide")
	w.plus(time.Minute)
	m = w.fetch("call-1", "doc_1")
	m.decided("jit_1", jit.StatusApproved, "high", "user 7", "", time.Time{})
	m.token("jit_1")
	m.used("jit_1", 200)
	m.ended("ok", "")
	s := build(t, w.records, explain.Options{})
	task := s.Tasks[0]
	if len(task.Calls) != 1 || task.Calls[0].Result != "ok" || len(task.Asked) != 1 || task.Asked[0].By != explain.ByPerson {
		t.Errorf("the story of a call made again: %s", asJSON(t, s))
	}
	if got := text(t, s); !strings.Contains(got, "The call was made again") {
		t.Errorf("the story does not say so:\n%s", got)
	}
}

// TestCallsWithoutIDs tells calls apart by their beginning.
func TestCallsWithoutIDs(t *testing.T) {
	w := newWriter()
	w.open("x")
	for _, doc := range []string{"doc_1", "doc_2"} {
		m := w.fetch("", doc)
		m.refused()
		m.ended("denied", "")
	}
	s := build(t, w.records, explain.Options{})
	complete(t, w.records, s)
	if calls := s.Tasks[0].Calls; len(calls) != 2 || len(calls[0].Steps) != 3 || len(calls[1].Steps) != 3 {
		t.Errorf("calls = %s, want two of three steps", asJSON(t, s))
	}
}

// TestThroughTheJournal writes a story into a journal and tells what is read back.
func TestThroughTheJournal(t *testing.T) {
	j, err := sqlite.Memory(t.Context(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, r := range awaited() {
		if err := j.Append(t.Context(), r.Entry); err != nil {
			t.Fatal(err)
		}
	}
	var read []journal.Record
	for r, err := range j.Query(t.Context(), journal.Filter{Run: theRun}) {
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, r)
	}
	if diff := cmp.Diff(asJSON(t, build(t, awaited(), explain.Options{})), asJSON(t, build(t, read, explain.Options{}))); diff != "" {
		t.Errorf("the story changed on its way through the journal:\n%s", diff)
	}
}

func TestJSONIsTheStory(t *testing.T) {
	s := build(t, crashed(), explain.Options{Of: "x"})
	var back explain.Story
	if err := json.Unmarshal([]byte(asJSON(t, s)), &back); err != nil {
		t.Fatal(err)
	}
	opts := cmp.Options{
		cmpopts.IgnoreUnexported(explain.Task{}, explain.Request{}, explain.Grant{}, explain.Use{}, explain.Effect{}, explain.Death{}),
		cmpopts.EquateEmpty(),
		cmp.Transformer("compact", func(raw json.RawMessage) string {
			var b bytes.Buffer
			if len(raw) > 0 && json.Compact(&b, raw) != nil {
				return "not JSON: " + string(raw)
			}
			return b.String()
		}),
	}
	if diff := cmp.Diff(s, &back, opts); diff != "" {
		t.Errorf("the JSON says something else:\n%s", diff)
	}
}

// An MCP server gets no key, and nobody knows that it got the agent's own token.
func TestCallOfAnMCPServer(t *testing.T) {
	w := newWriter()
	w.open("x")
	w.add(jit.Entry{Kind: jit.EntryCallSent, CallID: "1", Tool: "crm__pay", Method: "POST", URL: "https://crm.invalid", IdempotencyKey: "jit-1"})
	got := flat(t, build(t, w.records, explain.Options{}))
	if !strings.Contains(got, "with no token that was asked for.") || strings.Contains(got, "own token") || strings.Contains(got, "with no token that was asked for. Idempotency-Key") {
		t.Errorf("%s", got)
	}
}
