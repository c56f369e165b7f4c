package runs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/jitagent/jitagent/internal/pause"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/session"
)

// The states of a row.
const (
	running = "running"
	waiting = "waiting"
	ready   = "ready"
)

// A row is a run as it was read.
type row struct {
	place
	id, epoch int64
	state     string
	owner     string
	authority string
	tries     int
	requests  string // that it waits for, a line each, where they were read
}

// waitsFor returns the requests that were read with the row.
func (r row) waitsFor() []string {
	return strings.FieldsFunc(r.requests, func(c rune) bool { return c == '\n' })
}

const (
	columns  = "app, person, session, id, epoch, state, owner, authority, tries, "
	requests = "coalesce((SELECT string_agg(request, '\n') FROM run_requests WHERE run = runs.id), '')"
)

// rows reads the rows that a condition is true of.
func (s *Store) rows(ctx context.Context, where string, args ...any) ([]row, error) {
	return s.read(ctx, "SELECT "+columns+"'' FROM runs WHERE "+where, args...)
}

// read reads the rows that a statement returns.
func (s *Store) read(ctx context.Context, query string, args ...any) (list []row, err error) {
	found, err := s.db.QueryContext(ctx, s.sql(query), args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		var r row
		if err := found.Scan(&r.app, &r.user, &r.session, &r.id, &r.epoch, &r.state, &r.owner, &r.authority, &r.tries, &r.requests); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, found.Err()
}

// Foreign returns how many runs wait for others, since they are of other authorization servers
// or agents, and the names of those, sorted.
func (s *Store) Foreign(ctx context.Context) (n int, authorities []string, err error) {
	found, err := s.db.QueryContext(ctx, "SELECT authority, count(*) FROM runs WHERE authority NOT IN ('', $1) AND state <> $2 GROUP BY authority ORDER BY authority", s.Authority, running)
	if err != nil {
		return 0, nil, fmt.Errorf("runs: %w", err)
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		var authority string
		var of int
		if err := found.Scan(&authority, &of); err != nil {
			return 0, nil, fmt.Errorf("runs: %w", err)
		}
		n, authorities = n+of, append(authorities, authority)
	}
	return n, authorities, found.Err()
}

// UnderWay returns the sessions, as [runner.SessionName] names them, of runs that a process is
// at, or somebody is to go on with now: between two of them a run has no task. Those that wait
// for a person are none of them.
func (s *Store) UnderWay(ctx context.Context) (sessions []string, err error) {
	found, err := s.rows(ctx, "state IN ($1, $2)", running, ready)
	for _, r := range found {
		sessions = append(sessions, runner.SessionName(r.app, r.user, r.session))
	}
	return sessions, err
}

// Waiting returns how many runs wait for a decision, of whatever process.
func (s *Store) Waiting(ctx context.Context) (n int64, err error) {
	err = s.db.QueryRowContext(ctx, s.sql("SELECT count(*) FROM runs WHERE state = $1"), waiting).Scan(&n)
	return n, err
}

// Begin implements [runner.Runs]. A run that waits or is ready is taken by whoever comes,
// and so is one whose process is gone.
func (s *Store) Begin(ctx context.Context, app, user, id string) (context.Context, runner.Lease, error) {
	at := place{app, user, id}
	if l, _ := ctx.Value(leaseKey{}).(*lease); l != nil && l.place == at { // a pool took it
		return ctx, l, nil
	}
	var l *lease
	err := pause.Retry(ctx, toBegin, unreached, func() (err error) { l, err = s.begin(ctx, at); return err })
	if err != nil {
		return nil, nil, session.Unavailable(ctx, err)
	}
	return l.under(ctx), l, nil
}

// toBegin is how long a database that is away is waited for by who takes a session.
const toBegin = 20 * time.Second

// unreached reports whether an error says that nothing was asked of the database.
func unreached(err error) bool {
	_, is := errors.AsType[*pgconn.ConnectError](err)
	return is
}

// begin takes the row of a session, which may not be there.
func (s *Store) begin(ctx context.Context, at place) (*lease, error) {
	l, err := s.first(ctx, row{place: at, epoch: 1})
	if !errors.Is(err, runner.ErrBusy) {
		return l, err
	}
	found, err := s.at(ctx, at)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, fmt.Errorf("runs: %w", runner.ErrBusy) // it has just ended
	}
	return s.take(ctx, found[0])
}

// at reads the row of a session, of which there is one at most.
func (s *Store) at(ctx context.Context, at place) ([]row, error) {
	found, err := s.rows(ctx, "app = $1 AND person = $2 AND session = $3", at.app, at.user, at.session)
	if err != nil {
		return nil, fmt.Errorf("runs: %w", err)
	}
	return found, nil
}

// Busy implements [runner.Runs].
func (s *Store) Busy(ctx context.Context, app, user, id string) (bool, error) {
	found, err := s.at(ctx, place{app, user, id})
	return len(found) > 0 && found[0].state != waiting, session.Unavailable(ctx, err)
}

// first adds the row of a session that nothing is under way in.
func (s *Store) first(ctx context.Context, r row) (*lease, error) {
	err := s.db.QueryRowContext(ctx, s.sql("INSERT INTO runs (app, person, session, state, epoch, owner, authority, since) "+
		"VALUES ($1, $2, $3, $4, $5, $6, $7, @now) ON CONFLICT DO NOTHING RETURNING id"), r.app, r.user, r.session, running, r.epoch, s.Journal.Owner(), s.Authority).Scan(&r.id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, fmt.Errorf("runs: %w", runner.ErrBusy)
	case err != nil:
		return nil, fmt.Errorf("runs: %w", err)
	}
	return s.hold(r, nil), nil
}

// take takes a row of ours, if it is still as it was read, and nobody has it who lives.
func (s *Store) take(ctx context.Context, was row) (_ *lease, err error) {
	me := s.Journal.Owner()
	if was.state == running && was.owner == me {
		return nil, fmt.Errorf("runs: %w", runner.ErrBusy)
	}
	if was.authority != "" && was.authority != s.Authority {
		return nil, fmt.Errorf("runs: it belongs to %s: %w", was.authority, runner.ErrBusy)
	}
	var gone *claim
	if was.owner != "" && was.owner != me {
		if gone, err = s.claim(ctx, was.owner); err != nil {
			return nil, err
		}
	}
	done, err := s.db.ExecContext(ctx, s.sql("UPDATE runs SET state = $1, epoch = epoch + 1, owner = $2, authority = $3, since = @now "+
		"WHERE id = $4 AND epoch = $5 AND state = $6"), running, me, s.Authority, was.id, was.epoch, was.state)
	if err = oneRow(done, err, runner.ErrBusy); err != nil {
		if !errors.Is(err, runner.ErrBusy) { // it may be taken
			s.mu.Lock()
			s.unsure[was.id] = was.owner
			s.mu.Unlock()
		}
		s.unclaim(gone)
		return nil, err
	}
	l := s.hold(was, gone)
	l.epoch++
	return l, nil
}

// loose returns which of the rows that this process should have it does not: the answer to
// a statement that took one was lost. One that was only to begin is removed.
func (s *Store) loose(ctx context.Context, mine []row) (list []row, err error) {
	s.mu.Lock()
	mine = slices.DeleteFunc(mine, func(r row) bool { l := s.held[r.place]; return l != nil && l.id == r.id })
	for i, r := range mine {
		mine[i].owner = s.unsure[r.id]
	}
	s.mu.Unlock()
	for _, r := range mine {
		if r.epoch > 1 {
			list = append(list, r)
		} else if _, failed := s.db.ExecContext(ctx, "DELETE FROM runs WHERE id = $1 AND epoch = 1", r.id); failed != nil {
			err = failed
		}
	}
	return list, err
}

// oneRow returns none when a statement changed no row.
func oneRow(done sql.Result, err, none error) error {
	var n int64
	if err == nil {
		n, err = done.RowsAffected()
	}
	switch {
	case err != nil:
		return fmt.Errorf("runs: %w", err)
	case n == 0:
		return fmt.Errorf("runs: %w", none)
	}
	return nil
}

// A claim is on an owner that is gone, for as long as something of it is being taken.
type claim struct {
	owner   string
	users   int
	release func() error
}

// claim makes sure that an owner is gone. Of several at once here one asks the journal.
func (s *Store) claim(ctx context.Context, owner string) (*claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.claims[owner]
	if c == nil {
		release, err := s.Journal.Claim(ctx, owner)
		switch {
		case errors.Is(err, journal.ErrOwned):
			return nil, fmt.Errorf("runs: %w", runner.ErrBusy)
		case err != nil:
			return nil, fmt.Errorf("runs: %w", err)
		}
		c = &claim{owner: owner, release: release}
		s.claims[owner] = c
	}
	c.users++
	return c, nil
}

func (s *Store) unclaim(c *claim) {
	if c == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.users--; c.users > 0 {
		return
	}
	delete(s.claims, c.owner)
	if err := c.release(); err != nil {
		s.Logger.Warn("an owner that is gone stays claimed", "error", err)
	}
}

// A lease is a row that this process has.
type lease struct {
	row
	s      *Store
	before row    // as it was taken; without a state when it was not there
	gone   *claim // until the run is opened
	opened bool
	left   bool // guarded by the store's mu, as what follows is
	stuck  bool // that it was left could not be written
	away   bool // the database, when the conversation was written
	cancel context.CancelCauseFunc
}

type leaseKey struct{}

func (s *Store) hold(r row, gone *claim) *lease {
	l := &lease{row: r, s: s, before: r, gone: gone}
	l.state = running
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[l.place] = l
	return l
}

// under returns the context of the lease.
func (l *lease) under(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(context.WithValue(ctx, leaseKey{}, l))
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.cancel = cancel; l.s.lost {
		cancel(runner.ErrLost)
	}
	return ctx
}

// Opened implements [runner.Lease].
func (l *lease) Opened() {
	l.s.unclaim(l.gone)
	l.gone, l.opened = nil, true
}

// Suspended implements [runner.Lease].
func (l *lease) Suspended(ctx context.Context, requests []string, until time.Time) error {
	return l.leave(ctx, waiting, func() error {
		return l.s.in(ctx, func(tx *sql.Tx) error {
			if err := l.set(ctx, tx, waiting, "", soonest, until); err != nil {
				return err
			}
			if l.before.state != "" { // it may have waited before
				if _, err := tx.ExecContext(ctx, "DELETE FROM run_requests WHERE run = $1", l.id); err != nil {
					return err
				}
			}
			for _, request := range requests {
				if _, err := tx.ExecContext(ctx, "INSERT INTO run_requests VALUES ($1, $2) ON CONFLICT DO NOTHING", request, l.id); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// maxTries bounds how often a run may fail to be opened. Its session can be resumed all
// the same.
const maxTries = 10

// Ended implements [runner.Lease]. A run that was not opened is left to somebody else, and
// so is one that was interrupted when its pool ended, or whose conversation could not be
// written.
func (l *lease) Ended(ctx context.Context, outcome runner.Outcome) error {
	l.s.mu.Lock()
	goesOn := l.opened && (l.away || outcome == runner.Interrupted && l.s.drains)
	l.s.mu.Unlock()
	return l.leave(ctx, "", func() error {
		switch {
		case goesOn:
			return l.s.in(ctx, func(tx *sql.Tx) error { return l.s.wake(ctx, tx, l.row, "") })
		case !l.opened && l.before.state != "" && l.tries < maxTries:
			return l.set(ctx, l.s.db, ready, l.before.owner, min(time.Minute, time.Second<<l.tries), time.Time{})
		}
		done, err := l.s.db.ExecContext(ctx, "DELETE FROM runs WHERE id = $1 AND epoch = $2 AND state = $3", l.id, l.epoch, running)
		return oneRow(done, err, runner.ErrLost)
	})
}

// An execer is a database, or a transaction.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// set gives the row up in a state, which is looked after in a while.
func (l *lease) set(ctx context.Context, tx execer, state, owner string, after time.Duration, until time.Time) error {
	tries := 0
	if !l.opened {
		tries = l.tries + 1
	}
	done, err := tx.ExecContext(ctx, l.s.sql("UPDATE runs SET state = $1, owner = $2, tries = $3, job = 0, since = @now, check_at = @now + $4, until = $5 "+
		"WHERE id = $6 AND epoch = $7 AND state = $8"), state, owner, tries, after.Microseconds(), max(0, until.UnixMicro()), l.id, l.epoch, running)
	return oneRow(done, err, runner.ErrLost)
}

// patience is how long the end of a lease is tried to be written. Nobody takes the row
// meanwhile, since this process lives.
const patience = 30 * time.Second

// leave ends the lease, once, by what leaves its row in a state, or no row.
func (l *lease) leave(ctx context.Context, state string, do func() error) error {
	l.s.mu.Lock()
	cancel := l.cancel
	held := l.s.held[l.place] == l && !l.left
	l.left = true
	l.s.mu.Unlock()
	if !held {
		return nil
	}
	unsure := false
	err := pause.Retry(ctx, patience, func(err error) bool { return !errors.Is(err, runner.ErrLost) }, func() error {
		err := do()
		if unsure && errors.Is(err, runner.ErrLost) { // unless it was done, and the answer lost
			err = l.found(ctx, state)
		}
		unsure = err != nil
		return err
	})
	if err != nil {
		err = fmt.Errorf("runs: %w", err)
	}
	if !l.opened {
		l.s.unclaim(l.gone)
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.stuck = err != nil && !errors.Is(err, runner.ErrLost); !l.stuck && l.s.held[l.place] == l {
		delete(l.s.held, l.place)
	}
	if cancel != nil {
		cancel(nil)
	}
	return err
}

// found fails with [runner.ErrLost] unless the row is as this lease would have left it.
func (l *lease) found(ctx context.Context, state string) error {
	list, err := l.s.rows(ctx, "id = $1", l.id)
	if err != nil || len(list) == 0 && state == "" || len(list) > 0 && list[0].epoch == l.epoch && list[0].state == state {
		return err
	}
	return runner.ErrLost
}

// Fence fails with [runner.ErrLost] in a transaction that writes to a conversation which
// this process has a run in, when the run is no longer its own, and keeps others from
// taking it until the transaction ends. A conversation that nobody here runs is not
// fenced. It is for [session.Store.Fence].
func (s *Store) Fence(ctx context.Context, tx session.Tx, app, user, id string) error {
	l := s.of(ctx, place{app, user, id})
	if l == nil {
		return nil
	}
	var has int64
	err := tx.QueryRowContext(ctx, s.sql("SELECT id FROM runs WHERE id = $1 AND epoch = $2 AND state = $3 @lock"), l.id, l.epoch, running).Scan(&has)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("runs: %w", runner.ErrLost)
	}
	return err
}

// Away has the run that writes to a conversation gone on with by whoever comes, once it has
// ended here: it is not known if the last event was written. It is for
// [session.Store.Fence], too.
func (s *Store) Away(ctx context.Context, app, user, id string) {
	if l := s.of(ctx, place{app, user, id}); l != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		l.away = true
	}
}

// of returns the lease that a conversation is written under, or nil.
func (s *Store) of(ctx context.Context, at place) *lease {
	l, _ := ctx.Value(leaseKey{}).(*lease)
	if l == nil || l.place != at { // a plugin's: ADK writes under a context of its own
		s.mu.Lock()
		defer s.mu.Unlock()
		l = s.held[at]
	}
	return l
}
