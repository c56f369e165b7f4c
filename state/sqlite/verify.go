package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/state/journal"
)

// Verify reads the whole journal and returns a [*journal.EntryError] for the first
// entry that does not fit: changed, missing, added or moved. known are heads that were
// kept elsewhere; the chain must go through them, unless it was pruned beyond. It also
// checks that the states of the tasks follow from their entries, and has SQLite check
// the file. It takes memory for each task, not for each entry. What it cannot find is
// said in the package comment.
func (j *Journal) Verify(ctx context.Context, known ...journal.Head) (report journal.Report, err error) {
	if j.dir != "" { // the head file first: the database only grows
		head, found, err := knownHead(ctx, j.dir, j.keys)
		if err != nil {
			return journal.Report{}, err
		}
		if !found {
			return journal.Report{}, damaged(j.path, headFileName+" is gone, and without it nobody sees whether entries are missing")
		}
		known = append(known, head)
	}
	err = j.with(ctx, func(c *sqldb.Conn) error {
		if err := sameSchema(c, j.path); err != nil {
			return err
		}
		pruned, err := readAnchor(c)
		if err != nil {
			return err
		}
		chain := journal.NewChain(j.keys.Chain, map[string]journal.Head{"": pruned}, nil, known...)
		if err := walk(c, chain); err != nil {
			return err
		}
		tasks, err := readTasks(c, "")
		if err != nil {
			return err
		}
		if report, err = chain.End(tasks, nil); err != nil {
			return err
		}
		return c.Query(func(r sqldb.Row) error {
			if text := r.Text(0); text != "ok" {
				return damaged(j.path, text)
			}
			return nil
		}, "PRAGMA integrity_check(1)")
	})
	if err != nil {
		return journal.Report{}, err
	}
	return report, nil
}

// walk adds all entries to a chain.
func walk(c *sqldb.Conn, chain *journal.Chain) error {
	// From before the first number, for who put one there.
	all, last := span{after: -1 << 62, last: math.MaxInt64}, int64(-1<<62)
	for more := true; more; {
		var rows []row
		var err error
		rows, more, err = all.page(c)
		for _, r := range rows {
			if _, err := chain.Add("", r.seq, r.data, r.hash); err != nil {
				return err
			}
			last = r.seq
		}
		if err != nil {
			if _, named := errors.AsType[*journal.EntryError](err); !named {
				err = fmt.Errorf("%w (after entry %d)", err, last)
			}
			return err
		}
	}
	return nil
}
