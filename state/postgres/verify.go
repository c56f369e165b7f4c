package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/state/journal"
)

// Verify implements [journal.Store]. It sees the journal as it is at one moment. What it
// cannot find is said in the package comment.
func (j *Journal) Verify(ctx context.Context, known ...journal.Head) (report journal.Report, err error) {
	if err := j.noted(ctx); err != nil {
		return report, err
	}
	err = pgx.BeginTxFunc(ctx, j.db.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		heads, anchors, err := j.db.owners(ctx, tx)
		if err != nil {
			return err
		}
		chain := journal.NewChain(j.db.keys.Chain, anchors, func(seq int64) (hash []byte, err error) {
			err = tx.QueryRow(ctx, "SELECT hash FROM entries WHERE seq = $1", seq).Scan(&hash)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil, nil
			}
			return hash, failed(err)
		}, known...)
		for after, more := int64(-1<<62), true; more; {
			found, err := page(ctx, tx, after, "true")
			if err != nil {
				return err
			}
			for _, e := range found {
				r, err := chain.Add(e.Owner, e.Seq, []byte(e.Data), e.Hash)
				if err == nil && column(r.Run) != e.Run {
					_, err = e.record()
				}
				if err != nil {
					return err
				}
				after = e.Seq
			}
			more = len(found) == pageSize
		}
		tasks, err := sameColumns(ctx, tx)
		if err != nil {
			return err
		}
		report, err = chain.End(tasks, heads)
		return err
	})
	if err != nil {
		return journal.Report{}, err
	}
	return report, nil
}

// owners returns where each chain ends and begins.
func (d *DB) owners(ctx context.Context, q querier) (heads, anchors map[string]journal.Head, err error) {
	found, err := q.Query(ctx, "SELECT id, seq, hash, seal, anchor_seq, anchor FROM owners")
	if err != nil {
		return nil, nil, failed(err)
	}
	heads, anchors = map[string]journal.Head{}, map[string]journal.Head{}
	var id string
	var seq, anchorSeq int64
	var hash, seal, anchor []byte
	_, err = pgx.ForEachRow(found, []any{&id, &seq, &hash, &seal, &anchorSeq, &anchor}, func() (err error) {
		if heads[id], err = parseHead(seq, hash); err == nil {
			anchors[id], err = parseHead(anchorSeq, anchor)
		}
		if err == nil && !bytes.Equal(seal, d.seal(id, heads[id])) {
			err = &journal.EntryError{Seq: seq, Reason: fmt.Sprintf("the row of process %s, which says that it is its last, was not written with this key", plain.Line(id, 40))}
		}
		return err
	})
	if _, ok := errors.AsType[*journal.EntryError](err); ok {
		return nil, nil, err
	}
	return heads, anchors, failed(err)
}

// sameColumns returns all tasks, if their columns say what their data says.
func sameColumns(ctx context.Context, q querier) ([]journal.Task, error) {
	found, err := q.Query(ctx, "SELECT run, first, last, task, owner, state, session, updated, data, coalesce(parent, '') FROM tasks")
	if err != nil {
		return nil, failed(err)
	}
	return pgx.CollectRows(found, func(row pgx.CollectableRow) (journal.Task, error) {
		there, err := pgx.RowToStructByPos[taskRow](row)
		if err != nil {
			return journal.Task{}, failed(err)
		}
		t, err := decodeTask(there.Data)
		if err != nil {
			return t, err
		}
		if row, err := encodeTask(t); err != nil || row != there {
			return t, &journal.EntryError{Reason: fmt.Sprintf("the columns of the task of run %q do not say what its data says", plain.Line(t.Run, 100))}
		}
		return t, nil
	})
}
