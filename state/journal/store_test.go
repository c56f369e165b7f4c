package journal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
	"github.com/jitagent/jitagent/state/postgres"
	"github.com/jitagent/jitagent/state/sqlite"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// A place is where processes open one journal.
type place func() journal.Store

// shared runs a test for each place that processes share.
func shared(t *testing.T, test func(t *testing.T, open place)) {
	opened := func(t *testing.T, j journal.Store, err error) journal.Store {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := j.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		return j
	}
	t.Run("SQLite", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		test(t, func() journal.Store {
			j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
			return opened(t, j, err)
		})
	})
	t.Run("Postgres", func(t *testing.T) {
		address := secret.New(pgtest.Shared(t).URL(t))
		test(t, func() journal.Store {
			db, err := postgres.Connect(t.Context(), postgres.Options{URL: address, Tenant: "test", Key: secret.New(strings.Repeat("k", 32))})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(db.Close)
			j, err := postgres.OpenJournal(t.Context(), db, postgres.JournalOptions{})
			return opened(t, j, err)
		})
	})
}

// each runs a test for a journal of each kind, one in memory among them.
func each(t *testing.T, test func(t *testing.T, j journal.Store)) {
	shared(t, func(t *testing.T, open place) { test(t, open()) })
	t.Run("memory", func(t *testing.T) {
		j, err := sqlite.Memory(t.Context(), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer journaltest.Close(t, j)
		test(t, j)
	})
}

func TestAppendRefuses(t *testing.T) {
	each(t, func(t *testing.T, j journal.Store) {
		long := strings.Repeat("x", 1025)
		for name, e := range map[string]jit.Entry{
			"no kind":             {},
			"the journal's own":   {Kind: journal.EntryPruned},
			"another of its own":  {Kind: journal.EntryTaskExpired, Run: "a"},
			"a token as its hash": {Kind: jit.EntryGrant, TokenHash: "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"},
			"an opaque token":     {Kind: jit.EntryGrant, TokenHash: "0123456789abcdefg"},
			"a short hash":        {Kind: jit.EntryGrant, TokenHash: "0123456789abcde"},
			"a long run":          {Kind: jit.EntryRequest, Run: long},
			"a long task":         {Kind: jit.EntryRequest, TaskID: long},
			"a long key":          {Kind: jit.EntryCallSent, IdempotencyKey: long},
			"no UTF-8":            {Kind: jit.EntryCallSent, CallID: "a\xff"},
			"an empty detail":     {Kind: jit.EntryRequest, Detail: &rar.Detail{}},
			"a bad ceiling":       {Kind: jit.EntryCall, Ceiling: []rar.Detail{{}}},
		} {
			if err := j.Append(t.Context(), e); err == nil || !strings.HasPrefix(err.Error(), "journal: ") || len(err.Error()) > 300 {
				t.Errorf("%s: Append() = %v, want a short error", name, err)
			} else if strings.Contains(err.Error(), "eyJ") {
				t.Errorf("%s: the error holds the token: %v", name, err)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_ = j.Append(ended, jit.Entry{Kind: jit.EntryRequest, Run: "left"}) // written or not, it must not harm
		if got := journaltest.All(t, j, journal.Filter{}); len(got) > 1 || len(got) == 1 && got[0].Run != "left" {
			t.Errorf("%d entries were written", len(got))
		}
		if _, err := j.Verify(t.Context()); err != nil {
			t.Errorf("Verify() = %v", err)
		}
	})
}

// fill sets every field of a struct, at any depth, to something that is not zero.
// A field that the journal forgets to keep is then missed by the test below,
// whenever it was added.
func fill(t *testing.T, v reflect.Value, n *int) {
	*n++
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Date(2026, 3, 4, 5, 6, *n, 123456000, time.UTC)))
		return
	case v.Type() == reflect.TypeFor[rar.Detail]():
		v.Set(reflect.ValueOf(rar.Detail{Type: "t", Actions: []string{fmt.Sprint("a", *n)}}))
		return
	case v.Type() == reflect.TypeFor[jit.Status]():
		v.Set(reflect.ValueOf(jit.StatusDenied))
		return
	case v.Type() == reflect.TypeFor[[]byte]() || v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		v.SetBytes([]byte(`{"big":12345678901234567890,"b":1}`))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("%016x", *n)) // a token hash, too
	case reflect.Int:
		v.SetInt(int64(*n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	default:
		t.Fatalf("a field of type %s: say how to fill it", v.Type())
	}
}

func TestEveryFieldOfAnEntryIsKept(t *testing.T) {
	each(t, func(t *testing.T, j journal.Store) {
		var want jit.Entry
		n := 0
		fill(t, reflect.ValueOf(&want).Elem(), &n)
		want.Kind = jit.EntryGrant
		journaltest.Add(t, j, want)
		got := journaltest.All(t, j, journal.Filter{})
		if len(got) != 1 {
			t.Fatalf("%d entries, want 1", len(got))
		}
		if diff := cmp.Diff(want, got[0].Entry); diff != "" {
			t.Errorf("entry (-want +got):\n%s", diff)
		}
		if got[0].Seq != 1 || got[0].Owner != j.Owner() || !got[0].Until.Equal(want.ExpiresAt) {
			t.Errorf("record %d of %q until %s", got[0].Seq, got[0].Owner, got[0].Until)
		}
	})
}

func TestHostileTextsAreKeptTame(t *testing.T) {
	each(t, func(t *testing.T, j journal.Store) {
		far := time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)
		journaltest.Add(t, j, jit.Entry{
			Kind: jit.EntryCallReturned, Error: "a\xffb\x00" + strings.Repeat("é", journal.MaxText), Message: "\x1b[2K", ExpiresAt: far,
			Time: time.Date(2026, 1, 1, 1, 0, 0, 999, time.FixedZone("", 3600)),
		})
		got := journaltest.All(t, j, journal.Filter{})[0]
		if len(got.Error) > journal.MaxText || !strings.HasPrefix(got.Error, "a\ufffdb\x00é") || !strings.HasSuffix(got.Error, "é... [cut]") {
			t.Errorf("error of %d bytes: %.20q ... %q", len(got.Error), got.Error, got.Error[len(got.Error)-20:])
		}
		if got.Message != "\x1b[2K" { // showing it safely is for whoever shows it
			t.Errorf("message %q", got.Message)
		}
		if got.ExpiresAt.Year() != 9999 || !got.Time.Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) || got.Time.Location() != time.UTC {
			t.Errorf("times %s, %s", got.ExpiresAt, got.Time)
		}
		if _, err := j.Verify(t.Context()); err != nil {
			t.Errorf("Verify() = %v", err)
		}
	})
}

// Notes keep their place before the Append that follows them.
func TestNotesKeepTheirPlace(t *testing.T) {
	each(t, func(t *testing.T, j journal.Store) {
		for i := range 50 {
			j.Note(jit.Entry{Kind: jit.EntryUse, Run: "a", CallID: fmt.Sprint("n", i)})
			if i%10 == 9 {
				journaltest.Add(t, j, jit.Entry{Kind: jit.EntryCallSent, Run: "a", CallID: fmt.Sprint("a", i)})
			}
		}
		var got, want []string
		for _, r := range journaltest.All(t, j, journal.Filter{}) {
			got = append(got, r.CallID)
		}
		for i := range 50 {
			want = append(want, fmt.Sprint("n", i))
			if i%10 == 9 {
				want = append(want, fmt.Sprint("a", i))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestAppendsTogether(t *testing.T) {
	each(t, func(t *testing.T, j journal.Store) {
		var wg sync.WaitGroup
		for g := range 50 {
			wg.Go(func() {
				for i := range 5 {
					e := jit.Entry{Kind: jit.EntryCallSent, Run: fmt.Sprint("r", g%10), CallID: fmt.Sprint(g, "-", i)}
					if err := j.Append(t.Context(), e); err != nil {
						t.Errorf("Append() = %v", err)
					}
					j.Note(jit.Entry{Kind: jit.EntryUse, Run: fmt.Sprint("r", g%10)})
				}
			})
		}
		wg.Wait()
		journaltest.Add(t, j, jit.Entry{Kind: jit.EntryCallSent})
		rep, err := j.Verify(t.Context())
		if err != nil || rep.Entries != 501 || rep.Tasks != 10 {
			t.Errorf("Verify() = %+v, %v", rep, err)
		}
	})
}

func TestClosed(t *testing.T) {
	each(t, func(t *testing.T, j journal.Store) {
		journaltest.Close(t, j)
		journaltest.Close(t, j)
		if err := j.Append(t.Context(), jit.Entry{Kind: jit.EntryRequest}); !errors.Is(err, journal.ErrClosed) {
			t.Errorf("Append() = %v", err)
		}
		if err := j.Mark(t.Context(), "a", journal.Mark{State: journal.StateCompleted}); !errors.Is(err, journal.ErrClosed) {
			t.Errorf("Mark() = %v", err)
		}
		if _, err := j.Claim(t.Context(), j.Owner()); !errors.Is(err, journal.ErrClosed) {
			t.Errorf("Claim() = %v", err)
		}
	})
}

func TestQueryAndExport(t *testing.T) {
	each(t, func(t *testing.T, j journal.Store) {
		for i := range 80 { // more than a page
			for _, e := range journaltest.Life(fmt.Sprint("r", i)) {
				j.Note(e)
			}
		}
		journaltest.Add(t, j, jit.Entry{Kind: jit.EntryCallSent})
		count := func(f journal.Filter) (n int) {
			for r, err := range j.Query(t.Context(), f) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; n%100 == 0 { // the loop may write
					journaltest.Add(t, j, jit.Entry{Kind: jit.EntryUse, Run: "r1", TaskID: "task_r1", CallID: "call-2"})
				}
				_ = r
			}
			return n
		}
		for name, tt := range map[string]struct {
			filter journal.Filter
			want   int
		}{
			"run":              {journal.Filter{Run: "r7"}, 4},
			"call":             {journal.Filter{Call: "call-1", Run: "r7"}, 2},
			"begin of calls":   {journal.Filter{Call: "cal", Run: "r7"}, 2},
			"none":             {journal.Filter{Run: "r"}, 0},
			"kind":             {journal.Filter{Run: "r7", Kinds: []jit.EntryKind{jit.EntryGrant}}, 1},
			"after":            {journal.Filter{Run: "r7", After: 7*4 + 3}, 1},
			"kind, many pages": {journal.Filter{Kinds: []jit.EntryKind{jit.EntryTaskOpening}}, 80},
		} {
			if got := count(tt.filter); got != tt.want {
				t.Errorf("%s: %d entries, want %d", name, got, tt.want)
			}
		}
		if got := count(journal.Filter{}); got < 321 {
			t.Errorf("%d entries, want 321 and what the loops added", got)
		}
		out := export(t, j)
		if !strings.Contains(out, "\n"+`{"entry":{"authority":"lumodev","kind":"task_opening",`) || strings.Count(out, `"hash":"`) != strings.Count(out, "\n") {
			t.Errorf("export:\n%s", out)
		}
	})
}

// export returns all entries as lines.
func export(t *testing.T, j journal.Store) string {
	t.Helper()
	var out []byte
	for r, err := range j.Query(t.Context(), journal.Filter{}) {
		line, lerr := r.Line()
		if err != nil || lerr != nil {
			t.Fatal(err, lerr)
		}
		out = append(out, line...)
	}
	return string(out)
}

func TestExportIsPrintable(t *testing.T) {
	each(t, func(t *testing.T, j journal.Store) {
		const hostile = "C1 \u009b31m, DEL \x7f, bidi \u202e, é"
		journaltest.Add(t, j, jit.Entry{Kind: jit.EntryTaskOpening, Run: "r1", Name: hostile})
		out := export(t, j)
		for _, r := range out {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("the export has %U: %s", r, out)
			}
		}
		var line struct {
			Entry struct {
				Name string `json:"name"`
			} `json:"entry"`
		}
		if err := json.Unmarshal([]byte(out), &line); err != nil || line.Entry.Name != hostile {
			t.Errorf("the export reads as %q, %v, want %q", line.Entry.Name, err, hostile)
		}
	})
}

func TestTaskChangesRefused(t *testing.T) {
	each(t, func(t *testing.T, j journal.Store) {
		journaltest.Add(t, j, journaltest.Life("done")...)
		journaltest.Add(t, j, journaltest.Life("live")...)
		if err := j.Mark(t.Context(), "done", journal.Mark{State: journal.StateCompleted}); err != nil {
			t.Fatal(err)
		}
		before, err := j.Verify(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name, tt := range map[string]struct {
			err  error
			want error
		}{
			"no such run":              {j.Mark(t.Context(), "nobody", journal.Mark{State: journal.StateCompleted}), journal.ErrNotFound},
			"its server's id":          {j.Mark(t.Context(), "task_live", journal.Mark{State: journal.StateCompleted}), journal.ErrNotFound},
			"attempt after completion": {j.Mark(t.Context(), "done", journal.Mark{State: journal.StateCompleting, Reason: "503", Next: time.Now()}), journal.ErrFinished},
			"expired after completion": {j.Mark(t.Context(), "done", journal.Mark{State: journal.StateExpired}), journal.ErrFinished},
			"unknown after completion": {j.Mark(t.Context(), "done", journal.Mark{State: journal.StateUnknown, Reason: "lost"}), journal.ErrFinished},
			"expired too early":        {j.Mark(t.Context(), "live", journal.Mark{State: journal.StateExpired}), journal.ErrStillValid},
			"completed again":          {j.Mark(t.Context(), "done", journal.Mark{State: journal.StateCompleted}), nil},
		} {
			if !errors.Is(tt.err, tt.want) {
				t.Errorf("%s: %v, want %v", name, tt.err, tt.want)
			}
		}
		if after, err := j.Verify(t.Context()); err != nil || after.Last != before.Last {
			t.Errorf("it ends at %v, %v, want %v: something was written", after.Last, err, before.Last)
		}
		if _, err := j.Task(t.Context(), ""); !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("Task of no name: %v", err)
		}
	})
}

func TestTasks(t *testing.T) {
	each(t, func(t *testing.T, j journal.Store) {
		for _, run := range []string{"c", "a", "b"} {
			journaltest.Add(t, j, journaltest.Life(run)...)
		}
		other := journaltest.Life("d")
		other[0].Session = "s2"
		journaltest.Add(t, j, other...)
		if err := errors.Join(j.Mark(t.Context(), "a", journal.Mark{State: journal.StateCompleted}), j.Mark(t.Context(), "b", journal.Mark{State: journal.StateCompleting, Reason: "500", Next: time.Now()})); err != nil {
			t.Fatal(err)
		}
		for name, tt := range map[string]struct {
			filter journal.TaskFilter
			want   []string
		}{
			"all":           {journal.TaskFilter{}, []string{"c", "a", "b", "d"}},
			"unfinished":    {journal.TaskFilter{Unfinished: true}, []string{"c", "b", "d"}},
			"state":         {journal.TaskFilter{State: journal.StateCompleted}, []string{"a"}},
			"owner":         {journal.TaskFilter{Owner: j.Owner(), State: journal.StateCompleting}, []string{"b"}},
			"another owner": {journal.TaskFilter{Owner: "nobody"}, nil},
		} {
			tasks, err := j.Tasks(t.Context(), tt.filter)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, task := range tasks {
				got = append(got, task.Run)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		if task, err := j.Task(t.Context(), "task_b"); err != nil || task.Run != "b" {
			t.Errorf("Task(by the server's id) = %v, %v", task, err)
		}
	})
}

// What was noted is seen by whoever asks next, though nobody waited for it.
func TestTasksAreSeenAsNoted(t *testing.T) {
	each(t, func(t *testing.T, j journal.Store) {
		j.Note(jit.Entry{Kind: jit.EntryTaskOpened, Run: "a", TaskID: "task_a"})
		if task, err := j.Task(t.Context(), "task_a"); err != nil || task.Run != "a" {
			t.Errorf("Task() = %+v, %v", task, err)
		}
		j.Note(jit.Entry{Kind: jit.EntryTaskCompleted, Run: "a", TaskID: "task_a"})
		if tasks, err := j.Tasks(t.Context(), journal.TaskFilter{Unfinished: true}); err != nil || len(tasks) != 0 {
			t.Errorf("Tasks() = %+v, %v", tasks, err)
		}
	})
}
