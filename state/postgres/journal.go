package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/jitagent/jitagent/internal/pause"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/journal"
)

// JournalOptions say how to open a journal.
type JournalOptions struct {
	// ReadOnly opens it for reading: nothing is made or changed. Without a journal it is
	// an error that wraps [journal.ErrNotFound].
	ReadOnly bool

	// Longest is as in [journal.NewWriter].
	Longest time.Duration

	// Logger receives what goes wrong in the background. nil discards.
	Logger *slog.Logger
}

// A Journal is a tenant's journal. It is safe for concurrent use. It must be closed before
// its [DB].
type Journal struct {
	writes // Append, Note, Mark, Entries and Runs, of w

	w        *journal.Writer
	db       *DB
	id       string // as an owner; empty when read-only
	readOnly bool
	log      *slog.Logger

	last   journal.Head  // of the one who writes: its last entry
	unsure *journal.Head // or this one: the answer to its commit was lost

	mu     sync.Mutex
	closed bool
	claims map[string]bool
	lost   chan struct{} // closed with the lease
	end    func()        // ends the heartbeat
}

type writes = journal.Writes

var _ journal.Store = (*Journal)(nil)

// OpenJournal opens the journal of a database, and makes its tables if need be. It fails
// where the database was begun with another key. ctx bounds the opening only.
func OpenJournal(ctx context.Context, db *DB, opts JournalOptions) (_ *Journal, err error) {
	j := &Journal{db: db, readOnly: opts.ReadOnly, log: opts.Logger, claims: map[string]bool{}, lost: make(chan struct{}), end: func() {}}
	if j.log == nil {
		j.log = slog.New(slog.DiscardHandler)
	}
	if j.w, err = journal.NewWriter(medium{j}, opts.Longest, opts.Logger); err != nil {
		return nil, err
	}
	j.writes = j.w
	if opts.ReadOnly {
		v, err := db.version(ctx, db.pool, "journal", len(steps()))
		switch {
		case err != nil:
			return nil, err
		case v == 0:
			return nil, fmt.Errorf("journal: %s: %w", db.Where(), journal.ErrNotFound)
		case v < len(steps()):
			return nil, fmt.Errorf("journal: %s: %w", db.Where(), journal.ErrOlder)
		}
		return j, j.checkKey(ctx)
	}
	if err := db.Upgrade(ctx, "journal", steps()...); err != nil {
		return nil, err
	}
	sign := db.keys.Sign([]byte(db.schema))
	if _, err := db.pool.Exec(ctx, "INSERT INTO keys VALUES (true, $1) ON CONFLICT DO NOTHING", sign[:]); err != nil {
		return nil, fault(err)
	}
	if err := j.checkKey(ctx); err != nil {
		return nil, err
	}
	return j, j.register(ctx)
}

// checkKey fails unless the key is the one that the database was begun with.
func (j *Journal) checkKey(ctx context.Context) error {
	var there []byte
	err := j.db.pool.QueryRow(ctx, "SELECT sign FROM keys").Scan(&there)
	if want := j.db.keys.Sign([]byte(j.db.schema)); err == nil && !bytes.Equal(there, want[:]) || errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("postgres: %w that %s was begun with", ErrKey, j.db.Where())
	}
	return failed(err)
}

// register makes this journal an owner, and keeps it one.
func (j *Journal) register(ctx context.Context) error {
	j.id = rand.Text()
	_, err := j.db.pool.Exec(ctx, "INSERT INTO owners (id, until, hash, seal, anchor) VALUES ($1, clock_timestamp() + interval '10 s', $2, $3, $2)",
		j.id, make([]byte, 32), j.db.seal(j.id, journal.Head{}))
	if err != nil {
		return fault(err)
	}
	beating, stop := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		j.beat(beating)
	}()
	j.end = func() { stop(); <-over }
	return nil
}

// seal returns what marks the record of an owner's last entry as this journal's own.
func (d *DB) seal(owner string, head journal.Head) []byte {
	sum := d.keys.Sign([]byte(owner + " " + head.String()))
	return sum[:]
}

// Owner implements [journal.Store].
func (j *Journal) Owner() string { return j.id }

// TokenHashKey implements [journal.Store]: the tokens of another tenant have another.
func (j *Journal) TokenHashKey() secret.String { return j.db.keys.Tokens }

// Lost implements [journal.Store].
func (j *Journal) Lost() <-chan struct{} { return j.lost }

// lose notes that another process has the tasks of this one.
func (j *Journal) lose() {
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case <-j.lost:
	default:
		close(j.lost)
	}
}

// Close implements [journal.Store].
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	j.mu.Unlock()
	j.w.Finish()
	j.end()
	if j.id == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := pause.Retry(ctx, patience, away, func() error {
		var batch pgx.Batch
		batch.Queue("UPDATE owners SET claimer = '' WHERE claimer = $1", j.id)
		batch.Queue("DELETE FROM owners WHERE id = $1 AND seq = 0", j.id)
		batch.Queue("UPDATE owners SET until = '-infinity' WHERE id = $1", j.id)
		return fault(j.db.pool.SendBatch(ctx, &batch).Close())
	}); err != nil {
		return fmt.Errorf("journal: close: %w", err)
	}
	return nil
}

// parseHead returns the head of two columns.
func parseHead(seq int64, hash []byte) (journal.Head, error) {
	if len(hash) != 32 {
		return journal.Head{}, fmt.Errorf("journal: the hash %s of entry %d is %w", hex.EncodeToString(hash[:min(8, len(hash))]), seq, journal.ErrDamaged)
	}
	return journal.Head{Seq: seq, Hash: [32]byte(hash)}, nil
}
