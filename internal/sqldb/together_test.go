package sqldb_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/jitagent/jitagent/internal/sqldb"
)

// Those that find no file all make one: SQLite does not wait for the lock with which it
// turns a new database to WAL.
func TestManyMakeOneDatabase(t *testing.T) {
	for n := range 100 {
		path := filepath.Join(t.TempDir(), "new.db")
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if i%2 == 0 {
					c, err := sqldb.Connect(path, true)
					if err != nil {
						t.Errorf("%d %d: Connect: %v", n, i, err)
						return
					}
					_ = c.Close()
					return
				}
				db, err := sqldb.Open(path, 1)
				if err == nil {
					err = db.PingContext(t.Context())
					_ = db.Close()
				}
				if err != nil {
					t.Errorf("%d %d: Open: %v", n, i, err)
				}
			})
		}
		all.Wait()
	}
}
