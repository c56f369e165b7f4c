package runs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/approval"
	"github.com/jitagent/jitagent/state/journal"
)

// queue names that of River's where hints at the runs of an authority are, so that nobody else
// is given them.
func queue(authority string) string {
	if authority == "" {
		return "runs"
	}
	sum := sha256.Sum256([]byte(authority))
	return "runs_" + hex.EncodeToString(sum[:16])
}

// A hint says that a row may be ready, or that something may have been decided which it
// waits for. It gives no authority: whoever works on it takes the row, and finds it gone if
// the hint is old.
type hint struct {
	Run     int64  `json:"run,omitempty"`
	Request string `json:"request,omitempty"` // in its place: whatever waits for it
}

// Kind implements [river.JobArgs].
func (hint) Kind() string { return "jitagent_run" }

// due has a hint looked at by whichever process: River's driver has a job due now by the
// clock of the process that adds it, and looks for jobs by that of the database, so of a
// process that is ahead nobody would see one for as long.
func due(_ context.Context, job *rivertype.JobInsertParams) error {
	at := time.UnixMicro(0)
	job.ScheduledAt = &at
	return nil
}

// hintPatience is how long a row may be ready without anybody working on it, before it is
// looked whether its hint was lost.
const hintPatience = 5 * time.Second

// wake makes a row ready that is still as it was read, and hints at it. It is the only
// way there, so of several that wake a row one does. An error that wraps [errStale] says
// that somebody else did.
func (s *Store) wake(ctx context.Context, tx *sql.Tx, r row, owner string) error {
	job, err := s.jobs.Load().InsertTx(ctx, tx, hint{Run: r.id}, &river.InsertOpts{Queue: queue(cmp.Or(r.authority, s.Authority))})
	if err != nil {
		return fmt.Errorf("runs: %w", err)
	}
	done, err := tx.ExecContext(ctx, s.sql("UPDATE runs SET state = $1, owner = $2, since = @now, check_at = @now + $3, job = $4 "+
		"WHERE id = $5 AND epoch = $6 AND state = $7"), ready, owner, hintPatience.Microseconds(), job.Job.ID, r.id, r.epoch, r.state)
	return oneRow(done, err, errStale)
}

// errStale: somebody else changed the row. It is [runner.ErrLost] to whoever has it.
var errStale = fmt.Errorf("it was changed meanwhile: %w", runner.ErrLost)

// woken is wake by itself; that somebody else did it is no error.
func (s *Store) woken(ctx context.Context, r row, owner string) error {
	err := s.in(ctx, func(tx *sql.Tx) error { return s.wake(ctx, tx, r, owner) })
	if errors.Is(err, errStale) {
		return nil
	}
	return err
}

// Hint has a pool ask about a request now: somebody says that it was decided. Nothing of
// that is believed, and it is no error when no run waits for the request.
func (s *Store) Hint(ctx context.Context, request string) error {
	return s.hint(ctx, hint{Request: request})
}

// Hinting returns a decider that decides at another one, and hints at each decision, which a
// pool would ask for later. A decision counts also where that fails.
func (s *Store) Hinting(at approval.Decider) approval.Decider { return hinting{at, s} }

type hinting struct {
	approval.Decider
	store *Store
}

// Decide implements [approval.Decider].
func (h hinting) Decide(ctx context.Context, id string, how approval.Decision) error {
	err := h.Decider.Decide(ctx, id, how)
	if err == nil {
		if err := h.store.Hint(context.WithoutCancel(ctx), id); err != nil {
			h.store.Logger.WarnContext(ctx, "the run that waits for a decision goes on later", "error", err)
		}
	}
	return err
}

// hint adds a hint, in a transaction of its own: after one of ours River would not look at
// once on SQLite.
func (s *Store) hint(ctx context.Context, h hint) error {
	if _, err := s.jobs.Load().Insert(ctx, h, &river.InsertOpts{Queue: queue(s.Authority)}); err != nil {
		return fmt.Errorf("runs: %w", err)
	}
	return nil
}

// hinted returns the rows that a hint is about, if there is something to be done about them.
func (s *Store) hinted(ctx context.Context, h hint) ([]row, error) {
	if h.Request != "" {
		return s.rows(ctx, "authority = $1 AND state = $2 AND id IN (SELECT run FROM run_requests WHERE request = $3)", s.Authority, waiting, h.Request)
	}
	return s.rows(ctx, "authority = $1 AND id = $2 AND state = $3", s.Authority, h.Run, ready)
}

// sweep brings the runs of processes that are gone to others, whoever's they are, and hints
// anew at what nobody works on.
func (s *Store) sweep(ctx context.Context) error {
	me := s.Journal.Owner()
	found, err := s.rows(ctx, "state = $1 AND (owner <> $2 OR since < @now - $3)", running, me, hintPatience.Microseconds())
	left := map[string][]row{}
	for _, r := range found {
		left[r.owner] = append(left[r.owner], r)
	}
	loose, other := s.loose(ctx, left[me])
	delete(left, me) // whom the journal would not let us claim
	errs := []error{err, other}
	for owner, rows := range left {
		gone, err := s.claim(ctx, owner)
		if errors.Is(err, runner.ErrBusy) {
			continue // it lives, or somebody else is at it
		}
		for i := 0; err == nil && i < len(rows); i++ {
			err = s.woken(ctx, rows[i], owner)
		}
		s.unclaim(gone)
		errs = append(errs, err)
	}
	unseen, err := s.rows(ctx, "authority = $1 AND state = $2 AND check_at <= @now AND NOT EXISTS (SELECT 1 FROM river_job j WHERE j.id = job AND j.queue = $3 AND j.state IN "+
		"('available', 'retryable', 'scheduled')) ORDER BY check_at LIMIT 100", s.Authority, ready, queue(s.Authority))
	errs = append(errs, err)
	for _, r := range slices.Concat(unseen, loose, s.stuck()) {
		errs = append(errs, s.woken(ctx, r, r.owner))
	}
	return errors.Join(errs...)
}

// stuck returns the runs that are over here, which could not be written when they ended.
func (s *Store) stuck() (list []row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, l := range s.held {
		if l.stuck {
			delete(s.held, at)
			r := l.row
			r.owner = ""
			list = append(list, r)
		}
	}
	return list
}

// adopt makes the runs ours that are nobody's: an earlier version kept no authority.
func (s *Store) adopt(ctx context.Context) error {
	if s.Authority == "" {
		return nil
	}
	_, err := s.db.ExecContext(ctx, "UPDATE runs SET authority = $1 WHERE state IN ($2, $3, $4) AND authority = ''", s.Authority, running, waiting, ready)
	return err
}

// forgotten is how long what nobody of another authority came for is kept: an embedded server
// may never be there again. Its conversation stays.
const forgotten = 7 * 24 * time.Hour

// forget removes it, counted from when the last request of it has run out.
func (s *Store) forget(ctx context.Context) error {
	const old = " FROM runs WHERE authority NOT IN ('', $1) AND state <> $2 AND since < @now - $3 AND until < @now - $3"
	return s.in(ctx, func(tx *sql.Tx) (err error) {
		for _, remove := range []string{"DELETE FROM river_job WHERE id IN (SELECT job" + old + ")", "DELETE" + old} {
			_, failed := tx.ExecContext(ctx, s.sql(remove), s.Authority, running, forgotten.Microseconds())
			err = cmp.Or(err, failed)
		}
		return err
	})
}

// takeover is how long what a process left is kept for others to go on with, before it is
// given back.
const takeover = 10 * time.Minute

// Spare is for [recovery.Config]: it returns the tasks, whose processes are gone, without
// those of runs that somebody will go on with.
func (s *Store) Spare(ctx context.Context, tasks []journal.Task) (left []journal.Task, err error) {
	rows := map[string][]row{} // by owner
	for _, t := range tasks {
		of, known := rows[t.Owner]
		if !known {
			if of, err = s.rows(ctx, "owner = $1 AND (state = $2 OR state = $3 AND since > @now - $4)", t.Owner, running, ready, takeover.Microseconds()); err != nil {
				return nil, fmt.Errorf("runs: %w", err)
			}
			rows[t.Owner] = of
		}
		i := slices.IndexFunc(of, func(r row) bool { return t.Session == runner.SessionName(r.app, r.user, r.session) })
		switch {
		case i < 0:
			left = append(left, t)
		case of[i].state == running: // from now on its time runs
			if err := s.woken(ctx, of[i], t.Owner); err != nil {
				return nil, err
			}
		}
	}
	return left, nil
}
