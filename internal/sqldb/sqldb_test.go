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
			for _, writing := range []bool{true, false} { // the other driver takes it for the same file
				conn, err := sqldb.Connect(path, writing)
				if err != nil {
					t.Fatal(err)
				}
				err = conn.Exec("INSERT INTO t VALUES (?)", "x")
				if writing && err != nil || !writing && sqldb.Code(err) != sqldb.ReadOnly {
					t.Errorf("opened with writing %t, a change is %v, code %d", writing, err, sqldb.Code(err))
				}
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
			}
			if files, err := os.ReadDir(dir); err != nil || len(files) != 3 {
				t.Errorf("%v, %v, want no file more", files, err)
			}
		})
	}
}
