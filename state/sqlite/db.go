package sqlite

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/state/journal"
)

// applicationID marks the database as a journal (https://sqlite.org/pragma.html#pragma_application_id).
const applicationID = 0x6a697461

// migrations returns the steps that lead from one schema version to the next. A
// step is never changed once it was released. Entries keep their text as it was
// written: the chain is over its bytes.
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
-- Entries may have an epoch, and tasks be suspended. Entries are found through their task, and those that are not
-- among the last ones are in packs.
CREATE TABLE loose (
	seq  INTEGER PRIMARY KEY,
	data TEXT NOT NULL, -- canonical JSON
	hash BLOB NOT NULL
) STRICT;
INSERT INTO loose SELECT seq, data, hash FROM entries ORDER BY seq;
DROP TABLE entries;
ALTER TABLE loose RENAME TO entries;

CREATE TABLE packs (
	last   INTEGER PRIMARY KEY,
	first  INTEGER NOT NULL,
	data   BLOB NOT NULL, -- what their data was, one a line, deflated
	hashes BLOB NOT NULL  -- what their hashes were, one after the other
) STRICT;

-- In the order in which they began, so that those that change lie together.
CREATE TABLE runs (
	first_seq INTEGER PRIMARY KEY,
	last_seq  INTEGER NOT NULL,
	run       TEXT NOT NULL UNIQUE,
	task      TEXT NOT NULL,
	owner     TEXT NOT NULL,
	state     TEXT NOT NULL,
	authority TEXT NOT NULL,
	session   TEXT NOT NULL,
	name      TEXT NOT NULL,
	user      TEXT NOT NULL,
	opened    INTEGER NOT NULL, -- microseconds of Unix time, as the other times; 0 for none
	updated   INTEGER NOT NULL,
	expires   INTEGER NOT NULL,
	until     INTEGER NOT NULL,
	attempts  INTEGER NOT NULL,
	error     TEXT NOT NULL,
	next      INTEGER NOT NULL
) STRICT;
INSERT INTO runs SELECT first_seq, last_seq, run, task, owner, state, authority, session, name, user,
	opened, updated, expires, until, attempts, error, next FROM tasks ORDER BY first_seq;
DROP TABLE tasks;
ALTER TABLE runs RENAME TO tasks;
CREATE INDEX tasks_task ON tasks (task) WHERE task <> '';
CREATE INDEX tasks_unsettled ON tasks (owner) WHERE state NOT IN ('completed', 'expired');`, `
-- Entries may name a trace, and say what a model used; nothing else changes.
SELECT 1;`, `
-- A task may be below another.
ALTER TABLE tasks ADD COLUMN parent TEXT NOT NULL DEFAULT '';
CREATE INDEX tasks_parent ON tasks (parent) WHERE parent <> '';`}
}

// version returns the schema version of a database, 0 for an empty one. It fails
// for a database of something else, and for one of a later version.
func version(c *sqldb.Conn, path string, known int) (int, error) {
	var id, v, tables int64
	err := c.Query(func(r sqldb.Row) error {
		id, v, tables = r.Int(0), r.Int(1), r.Int(2)
		return nil
	}, "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id, pragma_user_version")
	switch {
	case err != nil:
		return 0, err
	case id == 0 && v == 0 && tables == 0:
		return 0, nil
	case id != applicationID:
		return 0, fmt.Errorf("journal: %s is a database of another program: use another directory", path)
	case v > int64(known):
		return 0, fmt.Errorf("journal: %s was %w (schema %d, this one knows %d): use that version or another directory",
			path, journal.ErrNewer, v, known)
	}
	return int(v), nil
}

// migrate brings a database to the last of the steps, in one transaction.
func migrate(c *sqldb.Conn, path string, steps []string) (err error) {
	if err := c.Exec("BEGIN IMMEDIATE"); err != nil {
		return failure(path, err, true)
	}
	defer func() {
		if err != nil {
			_ = c.Exec("ROLLBACK") // the first error says more
		}
	}()
	v, err := version(c, path, len(steps))
	if err != nil {
		return failure(path, err, false)
	}
	if v < len(steps) {
		script := append(steps[v:len(steps):len(steps)],
			fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(steps)))
		for _, step := range script {
			if err := c.Do(step); err != nil {
				return failure(path, err, true)
			}
		}
	}
	return failure(path, c.Exec("COMMIT"), true)
}

// schemaSum is the SHA-256 of what a database of the latest version has in its schema.
const schemaSum = "73550d632f300daf54ec323f71b6ae289e292171d1a980750a868142bbc7f101"

// readSchema returns what a database has in its schema.
func readSchema(c *sqldb.Conn) (text string, err error) {
	err = c.Query(func(r sqldb.Row) error {
		text += r.Text(0) + "\x00"
		return nil
	}, "SELECT type || ' ' || name || ' ' || ifnull(sql, '') FROM sqlite_schema ORDER BY type, name")
	return text, err
}

// sameSchema fails unless a database of the latest version has exactly the tables,
// indexes and triggers that this program makes. A trigger could drop what is
// written, and the chain would not know.
func sameSchema(c *sqldb.Conn, path string) error {
	text, err := readSchema(c)
	if err != nil {
		return err
	}
	if fmt.Sprintf("%x", sha256.Sum256([]byte(text))) != schemaSum {
		return damaged(path, "its tables, indexes or triggers are not the journal's")
	}
	return nil
}

// errMissing reports what a sound journal would have: an anchor, hashes of one length.
var errMissing = errors.New("entries or tables are missing or changed")

// readLast returns the last entry of a chain or, if it has none, its anchor. Packs
// never hold it.
func readLast(c *sqldb.Conn) (journal.Head, error) {
	last, err := readHead(c, "SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1")
	if errors.Is(err, errMissing) {
		return readAnchor(c)
	}
	return last, err
}

// readAnchor returns the last entry that was pruned, the zero Head if none was.
func readAnchor(c *sqldb.Conn) (journal.Head, error) {
	return readHead(c, "SELECT seq, hash FROM anchor")
}

func readHead(c *sqldb.Conn, query string) (h journal.Head, err error) {
	rows := 0
	err = c.Query(func(r sqldb.Row) error {
		hash := r.Bytes(1)
		if len(hash) != len(h.Hash) {
			return errMissing
		}
		h.Seq, h.Hash, rows = r.Int(0), [32]byte(hash), 1
		return nil
	}, query)
	if err == nil && rows == 0 {
		err = errMissing
	}
	return h, err
}

// A row is an entry as it lies in the database.
type row struct {
	seq        int64
	data, hash []byte
}

// pageSize is how many entries are read at once, unless they are in a pack.
const pageSize = 256

// A span is a part of the entries, in order.
type span struct {
	after, last int64                  // from which number, not included, and to which
	mayBe       func(data []byte) bool // whether one is wanted; nil wants all
}

// page returns the next rows that are wanted, out of one pack or of loose entries, moves
// on behind them, and reports whether there may be more. An error comes with those that
// could be read before it.
func (s *span) page(c *sqldb.Conn) (rows []row, more bool, err error) {
	err = c.Query(func(r sqldb.Row) (err error) {
		more = true
		rows, err = unpack(r.Int(0), r.Int(1), r.Bytes(2), r.Bytes(3), s)
		return err
	}, "SELECT first, last, data, hashes FROM packs WHERE last > ? ORDER BY last LIMIT 1", s.after)
	if !more && err == nil {
		err = c.Query(func(r sqldb.Row) error {
			more = true
			s.after = r.Int(0)
			if data := r.Bytes(1); s.wants(data) {
				rows = append(rows, row{s.after, data, r.Bytes(2)})
			}
			return nil
		}, "SELECT seq, data, hash FROM entries WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?", s.after, s.last, pageSize)
	}
	return rows, more && s.after < s.last, err
}

func (s *span) wants(data []byte) bool { return s.mayBe == nil || s.mayBe(data) }

// entry returns one entry.
func entry(c *sqldb.Conn, seq int64) (row, error) {
	rows, _, err := (&span{after: seq - 1, last: seq}).page(c)
	if len(rows) > 0 {
		return rows[0], nil
	}
	return row{}, errors.Join(err, errMissing)
}

// headAt returns the head that names an entry.
func headAt(c *sqldb.Conn, seq int64) (journal.Head, error) {
	r, err := entry(c, seq)
	if err == nil && len(r.hash) != 32 {
		err = errMissing
	}
	if err != nil {
		return journal.Head{}, err
	}
	return journal.Head{Seq: seq, Hash: [32]byte(r.hash)}, nil
}
