package session

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/jitagent/jitagent/internal/pgtest"
)

// TestDatabaseThatTakesNothing is away, also where it says so in an answer. What it says of a
// statement is not.
func TestDatabaseThatTakesNothing(t *testing.T) {
	server := pgtest.Shared(t)
	address := server.URL(t)
	connect := func(address string) (*pgx.Conn, error) {
		c, err := pgx.Connect(t.Context(), address)
		if err == nil {
			t.Cleanup(func() { _ = c.Close(context.Background()) })
		}
		return c, err
	}
	c, err := connect(address)
	if err != nil {
		t.Fatal(err)
	}
	for what, try := range map[string]func() error{
		"it has no connection left": func() error {
			if _, err := c.Exec(t.Context(), "CREATE ROLE few LOGIN CONNECTION LIMIT 0"); err != nil {
				t.Fatal(err)
			}
			_, err := connect(strings.Replace(address, "user=tests", "user=few", 1))
			return err
		},
		"it only reads": func() error {
			_, err := c.Exec(t.Context(), "SET transaction_read_only = on; CREATE TABLE t ()")
			return err
		},
	} {
		if err := try(); err == nil || !away(err) {
			t.Errorf("%s: %v is not that of a database which is away", what, err)
		}
	}
	for _, query := range []string{"nonsense", "SELECT 1/0", "SET statement_timeout = 1; SELECT pg_sleep(10)"} {
		if _, err := c.Exec(t.Context(), query); err == nil || away(err) {
			t.Errorf("%s: %v is that of a database which is away", query, err)
		}
	}
}

// TestAwayIsAlsoAClosedConnection: whoever noticed first that it broke has closed it.
func TestAwayIsAlsoAClosedConnection(t *testing.T) {
	c, err := pgx.Connect(t.Context(), pgtest.Shared(t).URL(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), "SELECT 1"); !away(err) {
		t.Errorf("%v is not that of a database which is away", err)
	}
}
