// Package sqldb opens SQLite databases, the one place that knows the drivers and their
// settings. What is committed survives the death of the process and the loss of power.
//
// [Open] gives a database of database/sql, [Connect] one connection whose statements are
// compiled once, which makes a small transaction several times cheaper. Both are one
// engine, and may have one file open.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/glebarez/go-sqlite"
	held "zombiezen.com/go/sqlite"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/pause"
)

// Patience is how long a statement waits for a lock that another process holds.
const Patience = 10 * time.Second

// Open opens the database at path with at most n connections, none of which is ever
// closed before the database is. A file that is missing is made with mode 0600, which
// SQLite then gives its other files.
func Open(path string, n int) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err == nil {
		err = create(path)
	}
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", uri(path, append(settings(), durable()...)))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	if err := patiently(db.Ping); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// patiently opens a database. SQLite does not wait for others that turn a new file to
// WAL as well.
func patiently(open func() error) error {
	return pause.Retry(context.Background(), Patience, func(err error) bool { return Code(err) == Busy }, open)
}

// create makes the file if there is none. An existing one is neither opened nor
// touched: closing any descriptor of it would drop the locks that SQLite holds on it in
// this process (https://sqlite.org/howtocorrupt.html, section 2.2).
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), disk.SyncDir(filepath.Dir(path)))
}

// settings are those of every connection.
func settings() []string {
	return []string{
		fmt.Sprintf("busy_timeout(%d)", Patience.Milliseconds()),
		"trusted_schema(0)",  // a schema that was tampered with runs no functions
		"cell_size_check(1)", // damaged pages are noticed when they are read
		"temp_store(2)",      // nothing of it goes to files elsewhere
	}
}

// durable are those by which what is committed survives the loss of power. On macOS a
// plain fsync does not reach the disk.
func durable() []string {
	return []string{"journal_mode(WAL)", "synchronous(FULL)", "fullfsync(1)", "checkpoint_fullfsync(1)"}
}

// uri names a database for the driver. With the lock "immediate" no transaction finds
// out at its end that another process was faster.
func uri(path string, pragmas []string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a Windows drive
	}
	query := url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_pragma": pragmas}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String()
}

// Primary result codes (https://sqlite.org/rescode.html).
const (
	Busy     = 5
	ReadOnly = 8
	IOErr    = 10
	Corrupt  = 11
	Full     = 13
	CantOpen = 14
	NotADB   = 26
)

// An Error is one of a database that [Connect] opened, not of whoever uses it.
type Error struct{ Err error }

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the driver's error.
func (e *Error) Unwrap() error { return e.Err }

// Code returns the primary result code of an error of a database; 0 for another error.
func Code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return int(held.ErrCode(e.Err).ToPrimary())
	}
	return 0
}
