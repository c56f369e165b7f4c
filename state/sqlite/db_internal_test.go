package sqlite

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// edited opens a new journal, closes it, and has its database changed.
func edited(t *testing.T, statements string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "state")
	j, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(j.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskOpening, Run: "a"}), j.Close())
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOtherSchemasAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		statements string
		want       error
		says       string
	}{
		"a later version":    {"PRAGMA user_version = 5", journal.ErrNewer, "schema 5, this one knows 4"},
		"a much later one":   {"PRAGMA user_version = 2000000000", journal.ErrNewer, "use that version or another directory"},
		"another program":    {"PRAGMA application_id = 17", nil, "a database of another program"},
		"no version":         {"PRAGMA user_version = 0", nil, ""},
		"a table more":       {"CREATE TABLE more (x)", journal.ErrDamaged, "tables, indexes or triggers"},
		"a trigger":          {"CREATE TRIGGER eat BEFORE INSERT ON entries BEGIN SELECT RAISE(IGNORE); END", journal.ErrDamaged, "tables, indexes or triggers"},
		"a view for a table": {"ALTER TABLE tasks RENAME TO t; CREATE VIEW tasks AS SELECT * FROM t", journal.ErrDamaged, "tables, indexes or triggers"},
		"an index less":      {"DROP INDEX tasks_task", journal.ErrDamaged, "tables, indexes or triggers"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := edited(t, tt.statements)
			path := filepath.Join(dir, databaseFile)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			j, err := Open(t.Context(), Options{Dir: dir})
			if err == nil {
				_ = j.Close()
				t.Fatal("Open() found nothing")
			}
			if tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Open() = %v, want %v with %q", err, tt.want, tt.says)
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
				t.Errorf("the file was changed, %v", err)
			}
		})
	}
}

// What a later version of this program does with a database of this one.
func TestMigrationsGoForwardInOneTransaction(t *testing.T) {
	dir := edited(t, "SELECT 1")
	path := filepath.Join(dir, databaseFile)
	db, err := sqldb.Connect(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	state := func() (v int, columns int, entries int) {
		t.Helper()
		err := db.Query(func(r sqldb.Row) error {
			v, columns, entries = int(r.Int(0)), int(r.Int(1)), int(r.Int(2))
			return nil
		}, "SELECT user_version, (SELECT count(*) FROM pragma_table_info('tasks')), (SELECT count(*) FROM entries) FROM pragma_user_version")
		if err != nil {
			t.Fatal(err)
		}
		return v, columns, entries
	}
	_, columns, _ := state()
	steps := append(migrations(), "ALTER TABLE tasks ADD COLUMN note TEXT NOT NULL DEFAULT ''", "CREATE TABLE broken (x, x)")
	if err := migrate(db, path, steps); err == nil {
		t.Error("a broken step went through")
	}
	known := len(migrations())
	if v, c, entries := state(); v != known || c != columns || entries != 1 {
		t.Errorf("after a broken step: version %d, %d columns, %d entries", v, c, entries)
	}
	for range 2 {
		if err := migrate(db, path, steps[:known+1]); err != nil {
			t.Fatal(err)
		}
		if v, c, entries := state(); v != known+1 || c != columns+1 || entries != 1 {
			t.Errorf("version %d, %d columns, %d entries", v, c, entries)
		}
	}
	if err := migrate(db, path, steps[:known]); !errors.Is(err, journal.ErrNewer) {
		t.Errorf("the earlier program: %v, want journal.ErrNewer", err)
	}
}

// The schema that is demanded is the one that is made.
func TestSchemaSum(t *testing.T) {
	db, err := sqldb.ConnectMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := migrate(db, "memory", migrations()); err != nil {
		t.Fatal(err)
	}
	if err := sameSchema(db, "memory"); err != nil {
		text, _ := readSchema(db)
		t.Errorf("schemaSum is not %x, of\n%s", sha256.Sum256([]byte(text)), text)
	}
}

// The settings on which the promises rest.
func TestSettings(t *testing.T) {
	j, err := Open(t.Context(), Options{Dir: filepath.Join(t.TempDir(), "state")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}()
	for name, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "fullfsync": "1", "checkpoint_fullfsync": "1", "trusted_schema": "0",
		"cell_size_check": "1", "temp_store": "2", "busy_timeout": "10000",
	} {
		if got := pragma(t, j.write, name); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	err = j.with(t.Context(), func(c *sqldb.Conn) error { return c.Exec("DELETE FROM entries") })
	if sqldb.Code(err) != sqldb.ReadOnly {
		t.Errorf("a reader's connection writes: %v", err)
	}
	// A change that need not wait does not take the next one's wait away.
	ctx := t.Context()
	if err := j.Append(ctx, jit.Entry{Kind: jit.EntryTaskOpening, Run: "a"}); err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		do   func() error
		want string
	}{
		{func() error {
			return j.Mark(ctx, "a", journal.Mark{State: journal.StateCompleting, Reason: "no answer"})
		}, "1"},
		{func() error { return j.Append(ctx, jit.Entry{Kind: jit.EntryRequest, Run: "a"}) }, "2"},
		{func() error { return j.Mark(ctx, "a", journal.Mark{State: journal.StateCompleted}) }, "1"},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := pragma(t, j.write, "synchronous"); got != step.want {
			t.Errorf("after step %d synchronous = %s, want %s", i, got, step.want)
		}
	}
}

func pragma(t *testing.T, c *sqldb.Conn, name string) (value string) {
	t.Helper()
	err := c.Query(func(r sqldb.Row) error {
		value = r.Text(0)
		return nil
	}, "PRAGMA "+name)
	if err != nil {
		t.Fatal(err)
	}
	return value
}
