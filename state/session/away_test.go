package session

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/jitagent/jitagent/internal/pgtest"
)

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
