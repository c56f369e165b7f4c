package sqldb

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"zombiezen.com/go/sqlite"
)

// A Conn is one connection. It holds each statement that it was given once. It is for
// one goroutine at a time, and must be closed.
type Conn struct{ c *sqlite.Conn }

// Connect opens a connection to the database at path. One for writing makes a file that
// is missing, as [Open] does; one for reading changes nothing.
func Connect(path string, writing bool) (*Conn, error) {
	path, err := filepath.Abs(path)
	if err == nil && writing {
		err = create(path)
	}
	if err != nil {
		return nil, err
	}
	if writing {
		var c *Conn
		err := patiently(func() (err error) {
			c, err = connect(path, sqlite.OpenReadWrite, durable()...)
			return err
		})
		return c, err
	}
	return connect(path, sqlite.OpenReadOnly)
}

// ConnectMemory opens a database that lives in memory, and as long as its connection.
func ConnectMemory() (*Conn, error) {
	return connect(":memory:", sqlite.OpenReadWrite|sqlite.OpenCreate|sqlite.OpenMemory)
}

func connect(path string, flags sqlite.OpenFlags, pragmas ...string) (*Conn, error) {
	conn, err := sqlite.OpenConn(path, flags)
	if err != nil {
		return nil, &Error{err}
	}
	conn.SetBusyTimeout(Patience) // its own way would wait for ever
	c := &Conn{conn}
	for _, pragma := range append(settings(), pragmas...) {
		if err := c.Do("PRAGMA " + pragma); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.c.Close() }

// Interrupt has statements fail from the end of ctx on, until it is called again.
func (c *Conn) Interrupt(ctx context.Context) { c.c.SetInterrupt(ctx.Done()) }

// Do executes statements that are not held, without arguments.
func (c *Conn) Do(statements string) error {
	for statements = strings.TrimSpace(statements); statements != ""; {
		stmt, left, err := c.c.PrepareTransient(statements)
		for more := err == nil; more && err == nil; {
			more, err = stmt.Step()
		}
		if stmt != nil {
			err = errors.Join(err, stmt.Finalize())
		}
		if err != nil {
			return &Error{err}
		}
		statements = strings.TrimSpace(statements[len(statements)-left:])
	}
	return nil
}

// Exec executes one statement. Arguments are as those of [Conn.Query].
func (c *Conn) Exec(query string, args ...any) error {
	return c.Query(func(Row) error { return nil }, query, args...)
}

// Query executes one statement, and calls each with every row of its result; the row is
// good until each returns. An error of each ends it. Arguments are int, int64, string
// or []byte.
func (c *Conn) Query(each func(Row) error, query string, args ...any) (err error) {
	stmt, err := c.c.Prepare(query)
	if err != nil {
		return &Error{err}
	}
	defer func() {
		if reset := stmt.Reset(); err == nil && reset != nil {
			err = &Error{reset}
		}
	}()
	for i, arg := range args {
		switch v := arg.(type) {
		case int:
			stmt.BindInt64(i+1, int64(v))
		case int64:
			stmt.BindInt64(i+1, v)
		case string:
			stmt.BindText(i+1, v)
		case []byte:
			stmt.BindBytes(i+1, v)
		default:
			return fmt.Errorf("sqldb: argument %d is a %T", i+1, arg)
		}
	}
	for {
		more, err := stmt.Step()
		if err != nil {
			return &Error{err}
		}
		if !more {
			return nil
		}
		if err := each(Row{stmt}); err != nil {
			return err
		}
	}
}

// A Row is one row of a result. Columns count from 0.
type Row struct{ stmt *sqlite.Stmt }

// Int returns an integer; 0 for NULL.
func (r Row) Int(column int) int64 { return r.stmt.ColumnInt64(column) }

// Text returns a text; "" for NULL.
func (r Row) Text(column int) string { return r.stmt.ColumnText(column) }

// Bytes returns a copy of a blob or text; nil for NULL.
func (r Row) Bytes(column int) []byte {
	if r.stmt.ColumnIsNull(column) {
		return nil
	}
	b := make([]byte, r.stmt.ColumnLen(column))
	r.stmt.ColumnBytes(column, b)
	return b
}

// IsNull reports whether a column is NULL.
func (r Row) IsNull(column int) bool { return r.stmt.ColumnIsNull(column) }
