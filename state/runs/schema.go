package runs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/riverqueue/river/rivermigrate"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/session"
)

// migrations are the steps from one version of our tables to the next. A step is never
// changed once it was released.
func migrations() []string {
	return []string{`
CREATE TABLE runs (
	id       @id, -- never given twice
	app      TEXT NOT NULL,
	person   TEXT NOT NULL, -- the user
	session  TEXT NOT NULL,
	state    TEXT NOT NULL, -- running, waiting or ready; what is over has no row
	epoch    BIGINT NOT NULL, -- how often it was taken
	owner    TEXT NOT NULL DEFAULT '', -- who has it, or had it and is gone
	since    BIGINT NOT NULL, -- of the state; times are microseconds by the clock of the database
	check_at BIGINT NOT NULL DEFAULT 0, -- when to ask about one that waits, or look after one that is ready
	tries    BIGINT NOT NULL DEFAULT 0, -- that did not come to open it
	job      BIGINT NOT NULL DEFAULT 0, -- the hint to one that is ready
	UNIQUE (app, person, session)
);
CREATE INDEX runs_due ON runs (state, check_at);
CREATE TABLE run_requests (
	request TEXT NOT NULL,
	run     BIGINT NOT NULL REFERENCES runs ON DELETE CASCADE,
	PRIMARY KEY (request, run)
);
CREATE INDEX run_requests_run ON run_requests (run);`, `
CREATE TABLE run_votes (
	about  TEXT NOT NULL, -- what is approved
	person TEXT NOT NULL,
	until  BIGINT NOT NULL, -- when nobody asks about it any more
	PRIMARY KEY (about, person)
);
CREATE INDEX run_votes_until ON run_votes (until);`, `
ALTER TABLE runs ADD COLUMN authority TEXT NOT NULL DEFAULT ''; -- whose it is; '' is whose pool comes first
ALTER TABLE runs ADD COLUMN until BIGINT NOT NULL DEFAULT 0; -- when the last request that it waits for runs out
DROP INDEX runs_due;
CREATE INDEX runs_due ON runs (state, authority, check_at, since);`}
}

// migrate brings our tables and those of River to this version, or finds out that they
// are not. Where they are it needs no rights to make tables, and waits for nobody.
func (s *Store) migrate(ctx context.Context) (err error) {
	jobs, err := rivermigrate.New(s.driver, &rivermigrate.Config{Logger: s.Logger})
	if err != nil {
		return err
	}
	if err := s.verify(ctx, jobs); s.VerifyOnly || !errors.Is(err, ErrMigrate) {
		return err
	}
	unlock, err := s.alone(ctx) // of several processes one makes them
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if _, err := jobs.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	if err := s.in(ctx, func(tx *sql.Tx) error { return s.upgrade(ctx, tx) }); err != nil {
		return err
	}
	return s.verify(ctx, jobs) // a later version may have been faster
}

// verify fails with [ErrMigrate] where tables are missing or old; if they are there, with
// [journal.ErrOlder] as well.
func (s *Store) verify(ctx context.Context, jobs *rivermigrate.Migrator[*sql.Tx]) error {
	at, err := version(ctx, s.db)
	n := len(migrations())
	switch {
	case err != nil:
		return fmt.Errorf("%w (%w)", ErrMigrate, err)
	case at > n:
		return fmt.Errorf("the tables were %w (they are at step %d, this one knows %d): use that version", journal.ErrNewer, at, n)
	}
	found, err := jobs.Validate(ctx, nil)
	if err != nil {
		return err
	}
	if at < n || !found.OK {
		return fmt.Errorf("%w (%w, at step %d of %d; %s)", ErrMigrate, journal.ErrOlder, at, n, strings.Join(found.Messages, "; "))
	}
	return nil
}

// version returns how many steps were made.
func version(ctx context.Context, q session.Tx) (at int, err error) {
	err = q.QueryRowContext(ctx, "SELECT count(*) FROM runs_version").Scan(&at)
	return at, err
}

// lockFile keeps other processes from making tables in the database at path.
func lockFile(path string) func(context.Context) (func() error, error) {
	return func(ctx context.Context) (func() error, error) {
		f, err := disk.Open(path+".lock", os.O_RDWR|os.O_CREATE)
		if err != nil {
			return nil, err
		}
		if err := disk.Lock(ctx, f, sqldb.Patience); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f.Close, nil
	}
}

// lockRow does the same on Postgres, by an advisory lock of a connection.
func lockRow(db *sql.DB) func(context.Context) (func() error, error) {
	const id = 0x6a697472756e73
	return func(ctx context.Context) (func() error, error) {
		conn, err := db.Conn(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(id)); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return func() error {
			_, err := conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(id))
			return errors.Join(err, conn.Close())
		}, nil
	}
}

// ErrMigrate says that tables are missing or old, where they are only verified.
var ErrMigrate = errors.New("tables are missing or of an earlier version: start once without verifying, as a user who may make them")

// upgrade makes the steps that are missing.
func (s *Store) upgrade(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS runs_version (version BIGINT NOT NULL)"); err != nil {
		return err
	}
	at, err := version(ctx, tx)
	if err != nil {
		return err
	}
	for steps := migrations(); at < len(steps); at++ {
		if _, err := tx.ExecContext(ctx, s.sql(steps[at])); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO runs_version VALUES ($1)", at+1); err != nil {
			return err
		}
	}
	return nil
}
