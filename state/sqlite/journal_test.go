package sqlite_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/internal/logtest"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/sqlite"
)

// both runs a test with a journal on disk and one in memory.
func both(t *testing.T, test func(t *testing.T, j *sqlite.Journal)) {
	t.Run("disk", func(t *testing.T) { test(t, open(t, sqlite.Options{Dir: stateDir(t)})) })
	t.Run("memory", func(t *testing.T) {
		j, err := sqlite.Memory(t.Context(), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := j.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		test(t, j)
	})
}

func TestAppendRefuses(t *testing.T) {
	both(t, func(t *testing.T, j *sqlite.Journal) {
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
		if got := all(t, j); len(got) > 1 || len(got) == 1 && got[0].Run != "left" {
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
	both(t, func(t *testing.T, j *sqlite.Journal) {
		var want jit.Entry
		n := 0
		fill(t, reflect.ValueOf(&want).Elem(), &n)
		want.Kind = jit.EntryGrant
		add(t, j, want)
		got := all(t, j)
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
	both(t, func(t *testing.T, j *sqlite.Journal) {
		far := time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)
		add(t, j, jit.Entry{
			Kind: jit.EntryCallReturned, Error: "a\xffb\x00" + strings.Repeat("é", journal.MaxText), Message: "\x1b[2K", ExpiresAt: far,
			Time: time.Date(2026, 1, 1, 1, 0, 0, 999, time.FixedZone("", 3600)),
		})
		got := all(t, j)[0]
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
	both(t, func(t *testing.T, j *sqlite.Journal) {
		for i := range 50 {
			j.Note(jit.Entry{Kind: jit.EntryUse, Run: "a", CallID: fmt.Sprint("n", i)})
			if i%10 == 9 {
				add(t, j, jit.Entry{Kind: jit.EntryCallSent, Run: "a", CallID: fmt.Sprint("a", i)})
			}
		}
		var got, want []string
		for _, r := range all(t, j) {
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

// A note that nothing follows is written too, soon and at the latest by Close.
func TestNotesAreWrittenByClose(t *testing.T) {
	dir := stateDir(t)
	j := open(t, sqlite.Options{Dir: dir})
	for range 1000 {
		j.Note(jit.Entry{Kind: jit.EntryUse, Run: "a"})
	}
	closed(t, j)
	j = open(t, sqlite.Options{Dir: dir})
	if got := len(all(t, j)); got != 1000 {
		t.Errorf("%d notes, want 1000", got)
	}
	if rep, err := j.Verify(t.Context()); err != nil || rep.Last.Seq != 1000 {
		t.Errorf("Verify() = %v, %v", rep, err)
	}
}

func TestNotesThatFailAreLogged(t *testing.T) {
	log, out := logtest.New()
	j := open(t, sqlite.Options{Dir: stateDir(t), Logger: log})
	j.Note(jit.Entry{Kind: jit.EntryUse, TokenHash: "a token, perhaps"})
	j.Note(jit.Entry{Kind: journal.EntryPruned})
	closed(t, j)
	j.Note(jit.Entry{Kind: jit.EntryUse})
	if got := out.String(); strings.Count(got, "a note was lost") != 3 || strings.Contains(got, "perhaps") {
		t.Errorf("log:\n%s", got)
	}
}

func TestAppendsTogether(t *testing.T) {
	both(t, func(t *testing.T, j *sqlite.Journal) {
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
		add(t, j, jit.Entry{Kind: jit.EntryCallSent})
		rep, err := j.Verify(t.Context())
		if err != nil || rep.Entries != 501 || rep.Tasks != 10 {
			t.Errorf("Verify() = %+v, %v", rep, err)
		}
	})
}

func TestClosed(t *testing.T) {
	both(t, func(t *testing.T, j *sqlite.Journal) {
		closed(t, j)
		closed(t, j)
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

func TestReadOnly(t *testing.T) {
	dir := stateDir(t)
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, ReadOnly: true}); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("Open(nothing there) = %v, want ErrNotFound", err)
	}
	w := open(t, sqlite.Options{Dir: dir})
	add(t, w, life("a")...)
	want := all(t, w)
	for _, when := range []string{"while it is open elsewhere", "afterwards"} {
		r := open(t, sqlite.Options{Dir: dir, ReadOnly: true})
		if diff := cmp.Diff(want, all(t, r)); diff != "" {
			t.Errorf("%s: entries (-writer +reader):\n%s", when, diff)
		}
		if rep, err := r.Verify(t.Context()); err != nil || rep.Entries != 4 {
			t.Errorf("%s: Verify() = %v, %v", when, rep, err)
		}
		r.Note(life("b")[0])
		for name, change := range map[string]func() error{
			"Append": func() error { return r.Append(t.Context(), life("b")[0]) },
			"Prune":  func() error { _, err := r.Prune(t.Context(), time.Now()); return err },
			"Claim":  func() error { _, err := r.Claim(t.Context(), w.Owner()); return err },
			"Mark":   func() error { return r.Mark(t.Context(), "a", journal.Mark{State: journal.StateCompleted}) },
			"Clean":  func() error { _, err := r.CleanOwners(t.Context()); return err },
		} {
			if err := change(); !errors.Is(err, journal.ErrReadOnly) {
				t.Errorf("%s: %s = %v, want ErrReadOnly", when, name, err)
			}
		}
		before := snapshot(t, dir)
		closed(t, r)
		unchanged(t, dir, before)
		closed(t, w)
	}
}

func TestQueryAndExport(t *testing.T) {
	both(t, func(t *testing.T, j *sqlite.Journal) {
		for i := range 80 { // more than a page
			for _, e := range life(fmt.Sprint("r", i)) {
				j.Note(e)
			}
		}
		add(t, j, jit.Entry{Kind: jit.EntryCallSent})
		count := func(f journal.Filter) (n int) {
			for r, err := range j.Query(t.Context(), f) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; n%100 == 0 { // the loop may write
					add(t, j, jit.Entry{Kind: jit.EntryUse, Run: "r1", TaskID: "task_r1", CallID: "call-2"})
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
func export(t *testing.T, j *sqlite.Journal) string {
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
	both(t, func(t *testing.T, j *sqlite.Journal) {
		const hostile = "C1 \u009b31m, DEL \x7f, bidi \u202e, é"
		add(t, j, jit.Entry{Kind: jit.EntryTaskOpening, Run: "r1", Name: hostile})
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
