package session_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	adk "google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/session/sessiontestsuite"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/session"
)

func stateDir(t testing.TB) string {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t testing.TB, dir string) *session.Store {
	t.Helper()
	s, err := session.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// ADK's own tests of a session service hold.
func TestServiceContract(t *testing.T) {
	sessiontestsuite.RunServiceTests(t, sessiontestsuite.SuiteOptions{SupportsUserProvidedSessionID: true}, func(t *testing.T) adk.Service { return open(t, stateDir(t)) })
}

func say(t testing.TB, s *session.Store, id, text string) {
	t.Helper()
	got, err := s.Get(t.Context(), &adk.GetRequest{AppName: "app", UserID: "u", SessionID: id})
	var to adk.Session
	if err == nil {
		to = got.Session
	} else {
		made, err := s.Create(t.Context(), &adk.CreateRequest{AppName: "app", UserID: "u", SessionID: id})
		if err != nil {
			t.Fatal(err)
		}
		to = made.Session
	}
	ev := adk.NewEvent(t.Context(), "e-1")
	ev.Author, ev.Content = "user", genai.NewContentFromText(text, genai.RoleUser)
	if err := s.AppendEvent(t.Context(), to, ev); err != nil {
		t.Fatal(err)
	}
}

func texts(t testing.TB, s *session.Store, id string) (list []string) {
	t.Helper()
	got, err := s.Get(t.Context(), &adk.GetRequest{AppName: "app", UserID: "u", SessionID: id})
	if err != nil {
		t.Fatal(err)
	}
	for ev := range got.Session.Events().All() {
		list = append(list, ev.Content.Parts[0].Text)
	}
	return list
}

var sample = runner.Suspension{
	App: "app", User: "u", Session: "s", Run: "RUN", Agent: "a", Invocation: "e-1", Until: time.Unix(2e9, 0).UTC(),
	Calls: []runner.SuspendedCall{
		{Waiting: runner.Waiting{CallID: "c1", Tool: "act", RequestID: "jit_1"}, Args: []byte(`{"big":1234567890123456789,"none":{},"nul":"\u0000"}`)},
		{Waiting: runner.Waiting{CallID: "c2", Tool: "act"}, Args: []byte(`{}`), Result: []byte(`{"id":"c2","response":{"n":12345678901234567890}}`)},
	},
}

// A suspension comes back as it was, from another process too, until it is dropped.
func TestSuspensionsOutliveTheProcess(t *testing.T) {
	dir := stateDir(t)
	first := open(t, dir)
	say(t, first, "s", "go")
	older := sample
	older.Run = "OLDER"
	for _, v := range []runner.Suspension{older, sample} {
		if err := first.Save(t.Context(), &v); err != nil {
			t.Fatal(err)
		}
	}
	next := open(t, dir)
	got, err := next.Load(t.Context(), "app", "u", "s")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&sample, got); diff != "" {
		t.Errorf("suspension (-want +got):\n%s", diff)
	}
	if got, err := next.Load(t.Context(), "app", "other", "s"); got != nil || err != nil {
		t.Errorf("another user's session: %v, %v", got, err)
	}
	if err := next.Drop(t.Context(), "app", "u", "s", older.Run); err != nil {
		t.Fatal(err)
	}
	if got, err := first.Load(t.Context(), "app", "u", "s"); got == nil || err != nil {
		t.Errorf("what has taken the place of an older one was dropped with it: %v, %v", got, err)
	}
	if err := next.Drop(t.Context(), "app", "u", "s", sample.Run); err != nil {
		t.Fatal(err)
	}
	if got, err := first.Load(t.Context(), "app", "u", "s"); got != nil || err != nil {
		t.Errorf("after Drop: %v, %v", got, err)
	}
}

// What is deleted is gone, also for a session of the same name.
func TestDeletedSessionDoesNotComeBack(t *testing.T) {
	s := open(t, stateDir(t))
	say(t, s, "s", "my secret")
	if err := s.Save(t.Context(), &sample); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), &adk.DeleteRequest{AppName: "app", UserID: "u", SessionID: "s"}); err != nil {
		t.Fatal(err)
	}
	say(t, s, "s", "new")
	if got := texts(t, s, "s"); len(got) != 1 || got[0] != "new" {
		t.Errorf("the next session holds %q", got)
	}
	if got, err := s.Load(t.Context(), "app", "u", "s"); got != nil || err != nil {
		t.Errorf("and is suspended with %+v, %v", got, err)
	}
}

// Many processes write at once, each to its own session, and no event is lost.
func TestManyWriters(t *testing.T) {
	dir := stateDir(t)
	const writers, events = 4, 15
	var wg sync.WaitGroup
	for w := range writers {
		s := open(t, dir)
		wg.Go(func() {
			for i := range events {
				say(t, s, fmt.Sprint(w), fmt.Sprint(i))
			}
		})
	}
	wg.Wait()
	s := open(t, dir)
	for w := range writers {
		if got := texts(t, s, fmt.Sprint(w)); len(got) != events {
			t.Errorf("session %d has %d events, want %d", w, len(got), events)
		}
	}
}

func TestRecentAndPrune(t *testing.T) {
	s := open(t, stateDir(t))
	for _, id := range []string{"old", "s", "new"} {
		say(t, s, id, "message of "+id)
	}
	if err := s.Save(t.Context(), &sample); err != nil {
		t.Fatal(err)
	}
	list, err := s.Recent(t.Context(), "app", 2, false)
	if err != nil || len(list) != 2 || list[0].ID != "new" || list[1].ID != "s" || list[1].Title != "message of s" ||
		len(list[1].Waiting) != 1 || list[1].Waiting[0].RequestID != "jit_1" || time.Since(list[0].Updated) > time.Minute {
		t.Errorf("Recent() = %+v, %v", list, err)
	}
	if list, err := s.Recent(t.Context(), "app", 9, true); err != nil || len(list) != 1 || list[0].ID != "s" {
		t.Errorf("the suspended ones: %+v, %v", list, err)
	}
	if n, err := s.Prune(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("Prune() of what is older than an hour = %d, %v", n, err)
	}
	if n, err := s.Prune(t.Context(), time.Now().Add(time.Hour)); n != 2 || err != nil {
		t.Errorf("Prune() = %d, %v, want 2: one still waits", n, err)
	}
	if n, err := s.Prune(t.Context(), sample.Until.Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("Prune() when nothing waits = %d, %v, want 1", n, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes")
	}
	dir := stateDir(t)
	say(t, open(t, dir), "s", "go")
	files, err := filepath.Glob(filepath.Join(dir, session.File+"*"))
	if err != nil || len(files) != 4 { // database, its two, and the lock
		t.Fatalf("%v, %v", files, err)
	}
	for _, path := range files {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want 0600", path, info.Mode(), err)
		}
	}
	db, err := sqldb.Open(filepath.Join(dir, session.File), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "PRAGMA user_version = 2"); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	if _, err := session.Open(t.Context(), dir); !errors.Is(err, journal.ErrNewer) || !strings.Contains(err.Error(), session.File) {
		t.Errorf("a later version: %v", err)
	}
	if err := os.Chmod(filepath.Join(dir, session.File), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := session.Open(t.Context(), dir); !errors.Is(err, disk.ErrShared) {
		t.Errorf("a file that others read: %v", err)
	}
}

// BenchmarkSuspended lists and loads suspended sessions, of few and of many.
func BenchmarkSuspended(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		s := open(b, stateDir(b))
		for i := range n {
			v := sample
			v.Session = fmt.Sprint(i)
			if _, err := s.Create(b.Context(), &adk.CreateRequest{AppName: "app", UserID: "u", SessionID: v.Session}); err != nil {
				b.Fatal(err)
			}
			if err := s.Save(b.Context(), &v); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("list/%d", n), func(b *testing.B) {
			for b.Loop() {
				if list, err := s.Recent(b.Context(), "app", 10, true); err != nil || len(list) != 10 {
					b.Fatal(len(list), err)
				}
			}
		})
		b.Run(fmt.Sprintf("list all/%d", n), func(b *testing.B) {
			for b.Loop() {
				if list, err := s.Recent(b.Context(), "app", 10, false); err != nil || len(list) != 10 {
					b.Fatal(len(list), err)
				}
			}
		})
		b.Run(fmt.Sprintf("load/%d", n), func(b *testing.B) {
			for b.Loop() {
				if v, err := s.Load(b.Context(), "app", "u", "7"); err != nil || v == nil {
					b.Fatal(v, err)
				}
			}
		})
	}
}

// Processes that start at once on a new directory all get a store.
func TestManyOpenAtOnce(t *testing.T) {
	for range 5 {
		dir := stateDir(t)
		var group errgroup.Group
		for range 8 {
			group.Go(func() error {
				s, err := session.Open(t.Context(), dir)
				if err != nil {
					return err
				}
				return s.Close()
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever writes to a session that another one has written to since is told so.
func TestOtherWriterIsNamed(t *testing.T) {
	s := open(t, stateDir(t))
	if _, err := s.Create(t.Context(), &adk.CreateRequest{AppName: "app", UserID: "u", SessionID: "s"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"", "another process goes on with session s"} {
		got, err := s.Get(t.Context(), &adk.GetRequest{AppName: "app", UserID: "u", SessionID: "s"})
		if err != nil {
			t.Fatal(err)
		}
		if want != "" { // it was read before the other one wrote
			other, err := s.Get(t.Context(), &adk.GetRequest{AppName: "app", UserID: "u", SessionID: "s"})
			if err == nil {
				err = s.AppendEvent(t.Context(), other.Session, adk.NewEvent(t.Context(), "e"))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		err = s.AppendEvent(t.Context(), got.Session, adk.NewEvent(t.Context(), "e"))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
