package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/state/journal"
)

// applicationID marks the database as a journal (https://sqlite.org/pragma.html#pragma_application_id).
const applicationID = 0x6a697461

// migrations returns the steps that lead from one schema version to the next. A
// step is never changed once it was released. Entries keep the data column as they
// were written: the chain is over its bytes. Version 2 has entries with an epoch, and
// suspended tasks.
func migrations() []string {
	return []string{`
CREATE TABLE entries (
	seq  INTEGER PRIMARY KEY,
	time INTEGER NOT NULL, -- microseconds of Unix time; this and the next four repeat what data says
	kind TEXT NOT NULL,
	run  TEXT NOT NULL,
	task TEXT NOT NULL,
	call TEXT NOT NULL,
	data TEXT NOT NULL, -- canonical JSON
	hash BLOB NOT NULL
) STRICT;
CREATE INDEX entries_run ON entries (run) WHERE run <> '';
CREATE INDEX entries_task ON entries (task) WHERE task <> '';
CREATE INDEX entries_call ON entries (call) WHERE call <> '';

CREATE TABLE tasks (
	run       TEXT PRIMARY KEY,
	task      TEXT NOT NULL,
	owner     TEXT NOT NULL,
	state     TEXT NOT NULL,
	authority TEXT NOT NULL,
	session   TEXT NOT NULL,
	name      TEXT NOT NULL,
	user      TEXT NOT NULL,
	opened    INTEGER NOT NULL, -- times as above; 0 for none
	updated   INTEGER NOT NULL,
	expires   INTEGER NOT NULL,
	until     INTEGER NOT NULL,
	attempts  INTEGER NOT NULL,
	error     TEXT NOT NULL,
	next      INTEGER NOT NULL,
	first_seq INTEGER NOT NULL,
	last_seq  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_task ON tasks (task) WHERE task <> '';
CREATE INDEX tasks_unfinished ON tasks (owner) WHERE state IN ('open', 'completing');

-- The entry before the first that is still there.
CREATE TABLE anchor (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
INSERT INTO anchor VALUES (1, 0, zeroblob(32));`, `
DROP INDEX tasks_unfinished;
CREATE INDEX tasks_unfinished ON tasks (owner) WHERE state IN ('open', 'suspended', 'completing');`}
}

// A querier is a database, a connection of it, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// version returns the schema version of a database, 0 for an empty one. It fails
// for a database of something else, and for one of a later version.
func version(ctx context.Context, db querier, path string, known int) (int, error) {
	var id, v, tables int
	err := db.QueryRowContext(ctx, "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) "+
		"FROM pragma_application_id, pragma_user_version").Scan(&id, &v, &tables)
	switch {
	case err != nil:
		return 0, failure(path, err, false)
	case id == 0 && v == 0 && tables == 0:
		return 0, nil
	case id != applicationID:
		return 0, fmt.Errorf("journal: %s is a database of another program: use another directory", path)
	case v > known:
		return 0, fmt.Errorf("journal: %s was %w (schema %d, this one knows %d): use that version or another directory",
			path, journal.ErrNewer, v, known)
	}
	return v, nil
}

// migrate brings a database to the last of the steps, in one transaction.
func migrate(ctx context.Context, db *sql.DB, path string, steps []string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return failure(path, err, true)
	}
	defer func() { _ = tx.Rollback() }() // nothing, after a commit
	v, err := version(ctx, tx, path, len(steps))
	if err != nil || v == len(steps) {
		return err
	}
	script := append(steps[v:len(steps):len(steps)],
		fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(steps)))
	for _, step := range script {
		if _, err := tx.ExecContext(ctx, step); err != nil {
			return failure(path, err, true)
		}
	}
	return failure(path, tx.Commit(), true)
}

// sameSchema fails unless a database of the latest version has exactly the tables,
// indexes and triggers that this program makes. A trigger could drop what is
// written, and the chain would not know.
func sameSchema(ctx context.Context, db querier, path string) error {
	fresh, err := sqldb.Memory()
	if err != nil {
		return failure(path, err, false)
	}
	defer func() { _ = fresh.Close() }() // nothing is in it
	if err := migrate(ctx, fresh, "memory", migrations()); err != nil {
		return err
	}
	var want, got sql.NullString
	const query = "SELECT group_concat(type || ' ' || name || ' ' || ifnull(sql, ''), char(0)) FROM (SELECT * FROM sqlite_schema ORDER BY type, name)"
	if err := fresh.QueryRowContext(ctx, query).Scan(&want); err != nil {
		return failure("memory", err, false)
	}
	if err := db.QueryRowContext(ctx, query).Scan(&got); err != nil {
		return failure(path, err, false)
	}
	if got != want {
		return damaged(path, "its tables, indexes or triggers are not the journal's")
	}
	return nil
}

// readLast returns the last entry of a chain or, if it has none, its anchor.
func readLast(ctx context.Context, db querier) (journal.Head, error) {
	last, err := readHash(ctx, db, "SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1")
	if errors.Is(err, sql.ErrNoRows) {
		return readAnchor(ctx, db)
	}
	return last, err
}

// readAnchor returns the last entry that was pruned, the zero Head if none was.
func readAnchor(ctx context.Context, db querier) (journal.Head, error) {
	return readHash(ctx, db, "SELECT seq, hash FROM anchor")
}

// errHash reports a hash of another length.
var errHash = errors.New("a hash is not one")

func readHash(ctx context.Context, db querier, query string, args ...any) (journal.Head, error) {
	var h journal.Head
	var hash []byte
	if err := db.QueryRowContext(ctx, query, args...).Scan(&h.Seq, &hash); err != nil {
		return journal.Head{}, err
	}
	if len(hash) != len(h.Hash) {
		return journal.Head{}, errHash
	}
	h.Hash = [32]byte(hash)
	return h, nil
}
