package postgres_test

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/postgres"
)

func TestMain(m *testing.M) {
	if task := os.Getenv(child); task != "" {
		os.Exit(beChild(task))
	}
	os.Exit(pgtest.Main(m))
}

const key = "0123456789abcdef0123456789abcdef"

// options are for a tenant of a database.
func options(address string) postgres.Options {
	return postgres.Options{URL: secret.New(address), Tenant: "test", Key: secret.New(key)}
}

// connect opens a tenant's part of a database for the length of a test.
func connect(t testing.TB, opts postgres.Options) *postgres.DB {
	t.Helper()
	db, err := postgres.Connect(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// open opens the journal of a database as a process of its own does.
func open(t testing.TB, address string) (*postgres.Journal, *pgxpool.Pool) {
	t.Helper()
	db := connect(t, options(address))
	j, err := postgres.OpenJournal(t.Context(), db, postgres.JournalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return j, db.Pool()
}

func add(t testing.TB, j journal.Store, entries ...jit.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := j.Append(t.Context(), e); err != nil {
			t.Fatalf("Append(%s) = %v", e.Kind, err)
		}
	}
}

func exec(t testing.TB, p *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := p.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func all(t testing.TB, j journal.Store, f journal.Filter) (list []journal.Record) {
	t.Helper()
	for r, err := range j.Query(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// gone has a process be taken for dead: its lease has passed.
func gone(t testing.TB, p *pgxpool.Pool, owner string) {
	t.Helper()
	exec(t, p, "UPDATE owners SET until = '-infinity' WHERE id = $1", owner)
}
