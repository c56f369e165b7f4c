package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/jitagent/jitagent/internal/pause"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/state/journal"
)

// beating is how often a lease of ten seconds is renewed.
const beating = 3 * time.Second

// beat renews the lease until ctx ends or somebody has claimed it.
func (j *Journal) beat(ctx context.Context) {
	for last := time.Now(); pause.For(ctx, beating-time.Since(last)); {
		last = time.Now()
		try, cancel := context.WithTimeout(ctx, beating)
		done, err := j.db.pool.Exec(try, "UPDATE owners SET "+renewed+" WHERE id = $1 AND until > '-infinity'", j.id)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			j.log.WarnContext(ctx, "journal: the lease cannot be renewed now", "error", err)
		case done.RowsAffected() == 0:
			j.lose()
			return
		}
	}
}

func owned(owner string) error {
	return fmt.Errorf("journal: owner %s: %w", plain.Line(owner, 100), journal.ErrOwned)
}

// Claim implements [journal.Store]. An owner is gone when its lease has passed; from then
// on all that it appends is refused. Whoever could not renew a lease of its own claims
// nobody for the length of one: it may be the database that was away.
func (j *Journal) Claim(ctx context.Context, owner string) (release func() error, err error) {
	if err := (medium{j}).Writable(); err != nil {
		return nil, err
	}
	err = pgx.BeginFunc(ctx, j.db.pool, func(tx pgx.Tx) error {
		// In one order, so that no two wait for each other. A process that claims holds its
		// own row as well: its claims are good as long as nobody claimed it.
		rows, err := tx.Query(ctx, "SELECT id, until > '-infinity', "+passed("o")+", clock_timestamp() > since + interval '10 s', claimer FROM owners o "+
			"WHERE id IN ($1, $2, (SELECT claimer FROM owners WHERE id = $1)) ORDER BY id FOR UPDATE", owner, j.id)
		if err != nil {
			return fault(err)
		}
		type row struct {
			open, passed, steady bool
			claimer              string
		}
		var id string
		var r row
		found := map[string]row{}
		if _, err := pgx.ForEachRow(rows, []any{&id, &r.open, &r.passed, &r.steady, &r.claimer}, func() error {
			found[id] = r
			return nil
		}); err != nil {
			return fault(err)
		}
		of, there := found[owner]
		claimer, known := found[of.claimer]
		switch {
		case !there:
			return fmt.Errorf("journal: owner %q is not the name of one: %w", plain.Line(owner, 100), journal.ErrDamaged)
		case !found[j.id].open:
			j.lose()
			return fmt.Errorf("journal: %w", journal.ErrLost)
		case owner == j.id || !of.passed || !found[j.id].steady || of.claimer != "" && (!known || !claimer.passed):
			return owned(owner)
		}
		_, err = tx.Exec(ctx, "UPDATE owners SET until = '-infinity', claimer = $2 WHERE id = $1", owner, j.id)
		return fault(err)
	})
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.claims[owner] = true
	return func() error { return j.release(owner) }, nil
}

// release gives a claim up, unless that was done.
func (j *Journal) release(owner string) error {
	j.mu.Lock()
	held := j.claims[owner]
	delete(j.claims, owner)
	closed := j.closed
	j.mu.Unlock()
	if !held || closed {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := j.db.pool.Exec(ctx, "UPDATE owners SET claimer = '' WHERE id = $1 AND claimer = $2", owner, j.id)
	if err != nil {
		return fmt.Errorf("journal: release owner %s: %w", owner, fault(err))
	}
	return nil
}

// Orphans implements [journal.Store].
func (j *Journal) Orphans(ctx context.Context, due time.Time) ([]journal.Task, error) {
	if err := j.noted(ctx); err != nil {
		return nil, err
	}
	which, args := unsettled+" AND state <> 'unknown' AND owner <> $1", []any{j.id}
	if !due.IsZero() {
		which += " AND (state <> 'suspended' OR ((data::json ->> 'next_attempt')::timestamptz <= $2) IS NOT FALSE)"
		args = append(args, due)
	}
	return j.db.tasks(ctx, "t LEFT JOIN owners o ON o.id = t.owner LEFT JOIN owners c ON c.id = o.claimer "+
		"WHERE "+which+" AND (o.id IS NULL OR "+passed("o")+") AND (c.id IS NULL OR "+passed("c")+") ORDER BY first", args...)
}

// CleanOwners implements [journal.Store]: those that wrote nothing are forgotten.
func (j *Journal) CleanOwners(ctx context.Context) (int, error) {
	if err := (medium{j}).Writable(); err != nil {
		return 0, err
	}
	done, err := j.db.pool.Exec(ctx, "DELETE FROM owners o WHERE seq = 0 AND id <> $1 AND "+passed("o"), j.id)
	return int(done.RowsAffected()), fault(err)
}
