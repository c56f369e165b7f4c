package postgres_test

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/secret"
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

func exec(t testing.TB, p *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := p.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// gone has a process be taken for dead: its lease has passed.
func gone(t testing.TB, p *pgxpool.Pool, owner string) {
	t.Helper()
	exec(t, p, "UPDATE owners SET until = '-infinity' WHERE id = $1", owner)
}
