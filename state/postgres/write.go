package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jitagent/jitagent/internal/pause"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/journal"
)

// patience is how long a database that does not answer is waited for.
const patience = 20 * time.Second

// A medium is where the journal's writer writes.
type medium struct{ *Journal }

// ChainKey implements [journal.Medium].
func (m medium) ChainKey() secret.String { return m.db.keys.Chain }

// MayChange implements [journal.Medium]. What it says is good as long as this process was
// not claimed, which each transaction makes sure of.
func (m medium) MayChange(owner string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return owner == m.id || m.claims[owner]
}

// Writable implements [journal.Medium].
func (m medium) Writable() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.readOnly:
		return fmt.Errorf("journal: %w", journal.ErrReadOnly)
	case m.closed:
		return journal.ErrClosed
	}
	select {
	case <-m.lost:
		return fmt.Errorf("journal: %w", journal.ErrLost)
	default:
		return nil
	}
}

// Transact implements [journal.Medium]. Where a connection breaks it is done again, unless
// the row of this owner says that it was committed.
func (m medium) Transact(_ bool, entries int, do func(*journal.Txn) error) error {
	if entries == 0 { // of somebody who waits for those before
		return do(m.w.Begin(nil, m.last))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var sent *journal.Txn // the last whose answer was lost
	return pause.Retry(ctx, patience, away, func() error {
		tx, err := m.once(ctx, entries, do, sent)
		if tx != nil {
			tx.End(err == nil)
			if m.unsure != nil {
				sent = tx
			}
		}
		return err
	})
}

func away(err error) bool {
	_, ok := errors.AsType[*awayError](err)
	return ok
}

// once tries a transaction, and returns it if it was begun.
func (m medium) once(ctx context.Context, entries int, do func(*journal.Txn) error, sent *journal.Txn) (tx *journal.Txn, err error) {
	c, err := m.db.pool.Acquire(ctx)
	if err != nil {
		return nil, fault(err)
	}
	committed := false
	defer func() {
		if !committed {
			_, _ = c.Exec(ctx, "ROLLBACK") // a connection that is lost has none
		}
		c.Release()
	}()
	r := &rows{ctx: ctx, c: c}
	var ends []journal.Head // of other chains
	if m.last.Seq == 0 && m.unsure == nil {
		if ends, err = r.ends(m.id); err != nil {
			return nil, err
		}
	}
	open, last, err := r.begin(m.id, entries+len(ends))
	switch {
	case err != nil:
		return nil, err
	case sent != nil && last == sent.Last:
		m.last, m.unsure = last, nil
		return sent, nil
	case !open:
		m.lose()
		return nil, fmt.Errorf("journal: %w", journal.ErrLost)
	case last != m.last && (m.unsure == nil || last != *m.unsure):
		return nil, fmt.Errorf("journal: entry %d of this process was acknowledged, and the database has it up to %d: %w", m.last.Seq, last.Seq, journal.ErrMoved)
	}
	m.last, m.unsure = last, nil
	tx = m.w.Begin(r, last)
	for _, end := range ends {
		if err := tx.Append(journal.Record{Entry: jit.Entry{Kind: journal.EntryJoined}, Ref: &end}); err != nil {
			return tx, err
		}
	}
	before := tx.Last
	if err := do(tx); err != nil {
		return tx, err
	}
	if tx.Last == before {
		tx.Last = last // what names the others goes with the first entry
		return tx, nil
	}
	if err := tx.Flush(); err != nil {
		return tx, err
	}
	m.unsure = &tx.Last
	if err := r.commit(m.id, tx.Last, m.db.seal(m.id, tx.Last)); err != nil {
		return tx, err
	}
	committed = true
	m.last, m.unsure = tx.Last, nil
	r.name(ends)
	return tx, nil
}
