package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/jitagent/jitagent/state/journal"
)

// rows are those of one transaction. What it writes goes with its commit, in one message.
type rows struct {
	ctx     context.Context
	c       *pgxpool.Conn
	numbers []int64 // for the next entries
	entries []entry
	tasks   []taskRow
}

// ends returns the last entry of each chain that nobody named since.
func (r *rows) ends(id string) ([]journal.Head, error) {
	found, err := r.c.Query(r.ctx, "SELECT seq, hash FROM owners WHERE seq > joined AND id <> $1 ORDER BY seq", id)
	if err != nil {
		return nil, fault(err)
	}
	ends, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (journal.Head, error) {
		var seq int64
		var hash []byte
		if err := row.Scan(&seq, &hash); err != nil {
			return journal.Head{}, err
		}
		return parseHead(seq, hash)
	})
	return ends, fault(err)
}

// begin begins the transaction of an owner that adds so many entries at most. It returns
// whether the owner may write, and its last entry. Until the end nobody claims it.
func (r *rows) begin(id string, entries int) (open bool, last journal.Head, err error) {
	var batch pgx.Batch
	batch.Queue("BEGIN")
	batch.Queue("SELECT until > '-infinity', seq, hash FROM owners WHERE id = $1 FOR UPDATE", id).QueryRow(func(row pgx.Row) error {
		var seq int64
		var hash []byte
		if err := row.Scan(&open, &seq, &hash); err != nil {
			return err
		}
		last, err = parseHead(seq, hash)
		return err
	})
	batch.Queue("SELECT nextval('numbers') FROM generate_series(1, $1::integer)", entries).Query(func(found pgx.Rows) error {
		r.numbers, err = pgx.CollectRows(found, pgx.RowTo[int64])
		return err
	})
	err = r.c.SendBatch(r.ctx, &batch).Close()
	if errors.Is(err, pgx.ErrNoRows) { // it was removed, as one that is gone and wrote nothing
		return false, last, nil
	}
	return open, last, fault(err)
}

// commit ends the transaction after the last entry.
func (r *rows) commit(id string, last journal.Head, seal []byte) error {
	var batch pgx.Batch
	r.queue(&batch)
	batch.Queue("UPDATE owners SET seq = $2, hash = $3, seal = $4, "+renewed+" WHERE id = $1", id, last.Seq, last.Hash[:], seal)
	batch.Queue("COMMIT")
	return fault(r.c.SendBatch(r.ctx, &batch).Close())
}

// name notes that chains are named up to their ends. A process that is writing is named by
// the next one.
func (r *rows) name(ends []journal.Head) {
	var batch pgx.Batch
	for _, end := range ends {
		batch.Queue("UPDATE owners SET joined = $1 WHERE id IN (SELECT id FROM owners WHERE seq = $1 FOR UPDATE SKIP LOCKED)", end.Seq)
	}
	if len(ends) > 0 {
		_ = r.c.SendBatch(r.ctx, &batch).Close() // or they are named once more
	}
}

// Next implements [journal.Rows].
func (r *rows) Next(last journal.Head) (seq, prev int64, err error) {
	if len(r.numbers) == 0 {
		return 0, 0, errors.New("journal: there are more entries than were announced")
	}
	seq, r.numbers = r.numbers[0], r.numbers[1:]
	return seq, last.Seq, nil
}

// Task implements [journal.Rows].
func (r *rows) Task(run string) (t journal.Task, err error) {
	var data string
	err = r.c.QueryRow(r.ctx, "SELECT data FROM tasks WHERE run = $1 FOR UPDATE", column(run)).Scan(&data)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return t, nil
	case err != nil:
		return t, fault(err)
	}
	t, err = decodeTask(data)
	if err == nil && t.Run != run {
		err = fmt.Errorf("journal: the task of run %q is %w", column(run), journal.ErrDamaged)
	}
	return t, err
}

// Insert implements [journal.Rows].
func (r *rows) Insert(e journal.Record, text []byte) error {
	r.entries = append(r.entries, entry{e.Seq, e.Owner, column(e.Run), string(text), e.Hash[:]})
	return nil
}

// Save implements [journal.Rows].
func (r *rows) Save(_, t journal.Task) error {
	row, err := encodeTask(t)
	r.tasks = append(r.tasks, row)
	return err
}

// queue adds what is to be written to a batch: one statement for all entries, and one for
// all tasks.
func (r *rows) queue(batch *pgx.Batch) {
	if len(r.entries) > 0 {
		batch.Queue("INSERT INTO entries SELECT * FROM json_populate_recordset(NULL::entries, $1)", r.entries)
	}
	if len(r.tasks) > 0 {
		batch.Queue("INSERT INTO tasks SELECT * FROM json_populate_recordset(NULL::tasks, $1) ON CONFLICT (run) DO UPDATE SET last = excluded.last, task = excluded.task, "+
			"owner = excluded.owner, state = excluded.state, session = excluded.session, parent = excluded.parent, updated = excluded.updated, data = excluded.data", r.tasks)
	}
	r.entries, r.tasks = nil, nil
}

// column returns a text as a column has it, which takes no NUL. What it is looked up by is
// compared again.
func column(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}
