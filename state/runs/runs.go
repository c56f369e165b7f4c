// Package runs keeps in a database which run is at which session, so that any of several
// processes goes on with one that waited for a person, or whose process died: [Store] is
// the runner's [runner.Runs], and a [Pool] works on what is ready.
//
// # Invariants
//
//   - One table holds the truth: each session that something is under way in has a row,
//     with its state, its epoch and its owner. A job of River is a hint that a row is
//     ready; without any job the rows are found all the same, later.
//   - The owner is that of the journal, and the journal alone says who is gone. So nobody
//     takes a run from a process that may still write to the journal, and what a process
//     that is taken for dead would write, the journal refuses.
//   - Each taking of a row counts its epoch up. What is written to a conversation is
//     fenced: see [Store.Fence].
//   - Nobody's word wakes a run but that of the authorization server: see [Pool].
//   - A run is taken by processes of its own authorization server and agent alone
//     ([Options.Authority]). Others leave it, and say so ([Store.Foreign]).
//   - There is no secret in the database: a token is redeemed by whoever goes on.
//
// # What it does not do
//
// What a run has done follows from the journal and the conversation. A row is gone when
// its run is over.
package runs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"

	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/session"
)

// Owners is what a [Store] needs of the journal: who this process is there, and whether
// another owner is gone. Claim fails with [journal.ErrOwned] while it is not, or somebody
// else has claimed it; until release nobody else gives back its tasks. Lost is closed when
// this process is taken for gone. Each [journal.Store] is one.
type Owners interface {
	Owner() string
	Lost() <-chan struct{}
	Claim(ctx context.Context, owner string) (release func() error, err error)
}

// Options are for [Open] and [OpenPostgres].
type Options struct {
	// Journal is the one that the engine of the runs writes to. Required.
	Journal Owners
	// Authority names the authorization server and agent of the runs, as
	// [jit.Config.AuthorityName] does. Those of others are left alone; one that has none, as
	// earlier versions kept them all, is whose pool comes first.
	Authority string
	// VerifyOnly fails where the tables are missing or old, in place of making them.
	VerifyOnly bool
	Logger     *slog.Logger // nil discards
}

// A Store keeps runs. It is safe for concurrent use, and so is one database by several
// stores. It must be closed.
type Store struct {
	Options
	db     *sql.DB
	jobs   atomic.Pointer[river.Client[*sql.Tx]] // adds hints; that of the pool, once one runs
	driver riverdriver.Driver[*sql.Tx]
	words  *strings.Replacer                           // what the two databases say differently, see [Store.sql]
	alone  func(context.Context) (func() error, error) // makes tables

	mu     sync.Mutex
	held   map[place]*lease
	claims map[string]*claim // of owners that are gone
	unsure map[int64]string  // who had a row, by its id, of which it is not known if it was taken
	lost   bool              // this process is taken for gone
	drains bool              // what is interrupted now, others go on with
	closed chan struct{}
}

var _ runner.Runs = (*Store)(nil)

// A place is what one run at a time is in.
type place struct{ app, user, session string }

// Open opens the runs of a state directory, beside its conversations: what fences those
// must be in one transaction with them.
func Open(ctx context.Context, dir string, o Options) (*Store, error) {
	path := filepath.Join(dir, session.File)
	db, err := sqldb.Open(path, 1)
	if err != nil {
		return nil, fmt.Errorf("runs: %w", err)
	}
	// After a power cut a run that was suspended is gone on with, and suspended again.
	if _, err := db.ExecContext(ctx, "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON"); err != nil {
		return nil, errors.Join(fmt.Errorf("runs: %w", err), db.Close())
	}
	return open(ctx, &Store{Options: o, db: db, driver: quiet{riversqlite.New(db)}, alone: lockFile(path), words: strings.NewReplacer(
		"@now", "CAST(unixepoch('subsec') * 1000000 AS INTEGER)", "@id", "INTEGER PRIMARY KEY AUTOINCREMENT", "@skip", "", "@lock", "", "@least", "min", "@greatest", "max",
	)})
}

// A quiet driver tells only its own process of jobs, at once; others find them at their
// next look. What River does on SQLite, to ask for such news twenty times in a second, takes
// more than a percent of a core.
type quiet struct{ *riversqlite.Driver }

// SupportsListener implements [riverdriver.Driver].
func (quiet) SupportsListener() bool { return false }

// SupportsListenNotify implements [riverdriver.Driver].
func (quiet) SupportsListenNotify() bool { return false }

// OpenPostgres opens the runs in a database of which pool has connections, besides its
// conversations. It does not close the pool, and keeps one connection to listen on.
func OpenPostgres(ctx context.Context, pool *pgxpool.Pool, o Options) (*Store, error) {
	db := stdlib.OpenDBFromPool(pool)
	return open(ctx, &Store{Options: o, db: db, driver: riverdatabasesql.NewWithPgxListener(db, pool), alone: lockRow(db), words: strings.NewReplacer(
		"@now", "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint", "@id", "BIGSERIAL PRIMARY KEY", "@skip", "FOR UPDATE SKIP LOCKED", "@lock", "FOR UPDATE", "@least", "least", "@greatest", "greatest",
	)})
}

func open(ctx context.Context, s *Store) (*Store, error) {
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	s.held, s.claims, s.unsure, s.closed = map[place]*lease{}, map[string]*claim{}, map[int64]string{}, make(chan struct{})
	err := s.migrate(ctx)
	if err == nil {
		err = s.adds(&river.Config{})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("runs: %w", err), s.db.Close())
	}
	go s.watch()
	return s, nil
}

// adds makes the client that adds hints from now on.
func (s *Store) adds(cfg *river.Config) error {
	cfg.Logger, cfg.FetchCooldown, cfg.Hooks = s.Logger, fetchPause, []rivertype.Hook{river.HookInsertBeginFunc(due)}
	client, err := river.NewClient(s.driver, cfg)
	if err == nil {
		s.jobs.Store(client)
	}
	return err
}

// watch ends all that is under way when this process is taken for gone.
func (s *Store) watch() {
	select {
	case <-s.closed:
		return
	case <-s.Journal.Lost():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = true
	for _, l := range s.held {
		if l.cancel != nil {
			l.cancel(runner.ErrLost)
		}
	}
}

// Close closes the database. What is held stays so as long as the journal's owner lives.
func (s *Store) Close() error {
	close(s.closed)
	return s.db.Close()
}

// sql puts in what the database says of its own: @now is the time by its clock, in
// microseconds of Unix time, @id a number that is given once, @lock takes a row that is
// read, @skip passes over those that somebody else took, and @least and @greatest are
// functions of numbers.
func (s *Store) sql(query string) string { return s.words.Replace(query) }

// in runs do in a transaction.
func (s *Store) in(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing, after a commit
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}
