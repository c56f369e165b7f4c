package session_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	adk "google.golang.org/adk/v2/session"
	"gorm.io/driver/postgres"

	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/session"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// TestRestartOfTheDatabase: an event is written once, and what is read is read, while
// connections are broken.
func TestRestartOfTheDatabase(t *testing.T) {
	server := pgtest.Shared(t)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	pool, err := pgxpool.New(t.Context(), server.URL(t))
	check(err)
	t.Cleanup(pool.Close)
	s, err := session.New(postgres.New(postgres.Config{Conn: session.Patient(stdlib.OpenDBFromPool(pool))}), nil)
	check(err)
	t.Cleanup(func() { _ = s.Close() })
	_, err = s.Create(t.Context(), &adk.CreateRequest{AppName: "app", UserID: "u", SessionID: "s"})
	check(err)
	at := &adk.GetRequest{AppName: "app", UserID: "u", SessionID: "s"}
	got, err := s.Get(t.Context(), at)
	check(err)
	check(server.Restart())
	check(s.AppendEvent(t.Context(), got.Session, adk.NewEvent(t.Context(), "e")))
	check(server.Restart())
	got, err = s.Get(t.Context(), at)
	check(err)
	if n := got.Session.Events().Len(); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	// What breaks in the middle is not known to be written.
	f := &fence{restart: server.Restart}
	check(s.Fence(f))
	f.armed = true
	check(s.Save(t.Context(), &runner.Suspension{App: "app", User: "u", Session: "s"}))
	if f.away != "" {
		t.Errorf("away is told for %s, whose suspension is saved", f.away)
	}
	f.armed = true
	if err := s.AppendEvent(t.Context(), got.Session, adk.NewEvent(t.Context(), "e2")); !errors.Is(err, runner.ErrAway) || f.away != "app/u/s" {
		t.Errorf("an event while the database goes away: %v, told for %q, want ErrAway", err, f.away)
	}
}

// A fence restarts the database once it is armed, and notes whom it is told for.
type fence struct {
	restart func() error
	armed   bool
	away    string
}

func (f *fence) Fence(context.Context, session.Tx, string, string, string) error {
	if !f.armed {
		return nil
	}
	f.armed = false
	return f.restart()
}

func (f *fence) Away(_ context.Context, app, user, id string) { f.away = app + "/" + user + "/" + id }
