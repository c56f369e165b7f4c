package session_test

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

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

// TestDatabaseThatStaysAway: whoever reads is told so after a while, once.
func TestDatabaseThatStaysAway(t *testing.T) {
	cfg, err := pgxpool.ParseConfig(pgtest.Shared(t).URL(t))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		dial := cfg.ConnConfig.DialFunc
		cfg.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			if away.Load() {
				return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
			}
			return dial(ctx, network, address)
		}
		pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		s, err := session.New(postgres.New(postgres.Config{Conn: session.Patient(stdlib.OpenDBFromPool(pool))}), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		away.Store(true)
		pool.Reset()
		for name, do := range map[string]func() error{
			"Get": func() error {
				_, err := s.Get(t.Context(), &adk.GetRequest{AppName: "app", UserID: "u", SessionID: "s"})
				return err
			},
			"List": func() error { _, err := s.List(t.Context(), &adk.ListRequest{AppName: "app", UserID: "u"}); return err },
			"Create": func() error {
				_, err := s.Create(t.Context(), &adk.CreateRequest{AppName: "app", UserID: "u"})
				return err
			},
			"Load": func() error { _, err := s.Load(t.Context(), "app", "u", "s"); return err },
		} {
			began := time.Now()
			if err := do(); !errors.Is(err, runner.ErrUnavailable) || time.Since(began) != 20*time.Second {
				t.Errorf("%s: %v after %s, want ErrUnavailable after 20s", name, err, time.Since(began))
			}
		}
	})
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
