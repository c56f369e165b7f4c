package sqldb_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/jitagent/jitagent/internal/sqldb"
)

// A path is a path, whatever it holds: the driver takes names for URIs.
func TestOddPathsArePrivateFiles(t *testing.T) {
	for _, name := range []string{"a b", "a#b", "a%41b", "a&mode=memory", "ü", "日本", "it's"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, name)
			db, err := sqldb.Open(path, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			if _, err := db.ExecContext(t.Context(), "CREATE TABLE t (x)"); err != nil {
				t.Fatal(err)
			}
			files, err := os.ReadDir(dir)
			if err != nil || len(files) != 3 {
				t.Fatalf("%v, %v, want the database and its two others", files, err)
			}
			for _, f := range files {
				if info, err := f.Info(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
					t.Errorf("%s has mode %v, %v, want 0600", f.Name(), info.Mode(), err)
				}
			}
			reading, err := sqldb.OpenReading(path, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = reading.Close() }()
			if _, err := reading.ExecContext(t.Context(), "CREATE TABLE u (x)"); sqldb.Code(err) != sqldb.ReadOnly {
				t.Errorf("writing to what was opened for reading: %v, code %d", err, sqldb.Code(err))
			}
		})
	}
}
