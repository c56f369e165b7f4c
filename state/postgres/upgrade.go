package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/jitagent/jitagent/state/journal"
)

// A Tx is a transaction of the database.
type Tx = pgx.Tx

// A Step leads from one version of some tables to the next. Once released it is never
// changed.
type Step func(ctx context.Context, tx pgx.Tx) error

// SQL is a step of statements.
func SQL(script string) Step {
	return func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, script)
		return err
	}
}

// Upgrade carries the tables of a part ("journal", "sessions") forward by the steps that
// are missing, in one transaction and one process at a time. It fails with
// [journal.ErrNewer] where there were more, and with [Options].VerifyOnly with
// [journal.ErrOlder] where some are missing.
func (d *DB) Upgrade(ctx context.Context, part string, steps ...Step) error {
	v, err := d.version(ctx, d.pool, part, len(steps))
	if err != nil || v == len(steps) {
		return err
	}
	if d.opts.VerifyOnly {
		return fmt.Errorf("postgres: the tables of %s of tenant %s are missing in %w or were %w (they are at step %d of %d): start once without --migrate=verify, as a user who may make them",
			part, d.opts.Tenant, errDatabase, journal.ErrOlder, v, len(steps))
	}
	return pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		// The schema is made apart, for steps that use connections of their own.
		for _, patience := range []string{"idle_in_transaction_session_timeout = 0", "lock_timeout = '60s'"} {
			if _, err := tx.Exec(ctx, "SET LOCAL "+patience); err != nil {
				return fault(err)
			}
		}
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('jitagent ' || $1, 0))", d.schema); err != nil {
			return fault(err)
		}
		if _, err := d.pool.Exec(ctx, fmt.Sprintf(`DO $$ BEGIN
	IF to_regnamespace('%[1]s') IS NULL THEN CREATE SCHEMA %[1]s; END IF;
	IF to_regclass('%[1]s.versions') IS NULL THEN CREATE TABLE %[1]s.versions (part text PRIMARY KEY, version integer NOT NULL); END IF;
END $$`, d.schema)); err != nil {
			return fault(err)
		}
		if v, err = d.version(ctx, tx, part, len(steps)); err != nil {
			return err
		}
		for _, step := range steps[v:] {
			if err := step(ctx, tx); err != nil {
				return fault(err)
			}
		}
		_, err := tx.Exec(ctx, "INSERT INTO versions VALUES ($1, $2) ON CONFLICT (part) DO UPDATE SET version = excluded.version", part, len(steps))
		return fault(err)
	})
}

// Has reports whether a part's tables are there, of whatever version.
func (d *DB) Has(ctx context.Context, part string) (bool, error) {
	v, err := d.version(ctx, d.pool, part, math.MaxInt)
	return v > 0, err
}

// version returns the version of a part's tables, 0 if there are none.
func (d *DB) version(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, part string, known int) (v int, err error) {
	err = q.QueryRow(ctx, "SELECT version FROM versions WHERE part = $1", part).Scan(&v)
	said, _ := errors.AsType[*pgconn.PgError](err)
	switch {
	case errors.Is(err, pgx.ErrNoRows), said != nil && (said.Code == "42P01" || said.Code == "3F000"): // no table, no schema
		return 0, nil
	case err != nil:
		return 0, failed(err)
	case v > known:
		return 0, fmt.Errorf("postgres: the tables of %s of tenant %s in %w were %w (they are at step %d, this one knows %d): use that version", part, d.opts.Tenant, errDatabase, journal.ErrNewer, v, known)
	}
	return v, nil
}

func steps() []Step {
	return []Step{SQL(`
CREATE SEQUENCE numbers AS bigint;

-- Processes that wrote, or may.
CREATE TABLE owners (
	id         text PRIMARY KEY,
	until      timestamptz NOT NULL, -- when its lease passes; -infinity: nobody is it any more
	since      timestamptz NOT NULL DEFAULT '-infinity', -- when it was renewed after it had passed
	claimer    text NOT NULL DEFAULT '',
	seq        bigint NOT NULL DEFAULT 0, -- of its last entry
	hash       bytea NOT NULL,
	seal       bytea NOT NULL, -- over these three
	anchor_seq bigint NOT NULL DEFAULT 0, -- the entry before the first that is still there
	anchor     bytea NOT NULL,
	joined     bigint NOT NULL DEFAULT 0 -- up to which entry the chains of others name it
) WITH (fillfactor = 50);

CREATE TABLE entries (
	seq   bigint PRIMARY KEY,
	owner text NOT NULL, -- this and the next repeat what data says
	run   text NOT NULL,
	data  text NOT NULL, -- canonical JSON
	hash  bytea NOT NULL
);
CREATE INDEX entries_run ON entries (run, seq) WHERE run <> '';

CREATE TABLE tasks (
	run     text PRIMARY KEY,
	first   bigint NOT NULL UNIQUE, -- this and the others repeat what data says
	last    bigint NOT NULL,
	task    text NOT NULL,
	owner   text NOT NULL,
	state   text NOT NULL,
	session text NOT NULL,
	updated bigint NOT NULL, -- microseconds of Unix time
	data    text NOT NULL -- JSON
) WITH (fillfactor = 70);
CREATE INDEX tasks_task ON tasks (task) WHERE task <> '';
CREATE INDEX tasks_session ON tasks (session) WHERE session <> '';
CREATE INDEX tasks_unsettled ON tasks (owner) WHERE state NOT IN ('completed', 'expired');

CREATE TABLE keys (one boolean PRIMARY KEY CHECK (one), sign bytea NOT NULL); -- by which the key is known again

CREATE TABLE vault_tasks (task text PRIMARY KEY, updated timestamptz NOT NULL DEFAULT now());
CREATE TABLE vault (
	task   text NOT NULL REFERENCES vault_tasks ON DELETE CASCADE,
	name   text NOT NULL,
	sealed bytea NOT NULL,
	PRIMARY KEY (task, name)
);`), SQL(`CREATE TABLE killed (run text PRIMARY KEY, reason text NOT NULL); -- tasks that nobody goes on with`), SQL(`
ALTER TABLE tasks ADD COLUMN parent text; -- null in what a program wrote that did not know of it
CREATE INDEX tasks_parent ON tasks (parent) WHERE parent <> '';`)}
}
