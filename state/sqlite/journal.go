package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/journal"
)

// Options say which journal to open, and how.
type Options struct {
	// Dir is the state directory, see [Dir]. Required. It is created if need be.
	Dir string

	// ReadOnly opens the journal for reading: nothing is created or changed, nobody
	// is claimed, and a damaged journal opens as far as SQLite can read it. Without
	// a journal in Dir it is an error that wraps [journal.ErrNotFound].
	ReadOnly bool

	// Longest is the longest time that anything can be valid, counted from when it
	// was asked for or, if a person decides, from the last moment for that. See
	// [journal.Task]. 0 means 24 hours, far above the minutes that a token lives.
	Longest time.Duration

	// Logger receives what goes wrong in the background. nil discards.
	Logger *slog.Logger
}

// A Journal is an open journal. It is safe for concurrent use, and so is the same
// state directory by several journals, in one process or many. It must be closed.
type Journal struct {
	dir, path string // of the directory and the database; empty in memory
	id        string // of this journal as an owner; empty when read-only
	readOnly  bool
	longest   time.Duration
	log       *slog.Logger
	keys      keys

	write   *sql.DB // one connection; nil when read-only
	syncing bool    // the writer's: whether its commits wait for the disk
	read    *sql.DB
	own     map[string]journal.Task // the writer's: unfinished tasks that this process began
	files   watch                   // the writer's
	head    *headFile
	lock    *os.File // of this journal as an owner

	queue   *queue
	written chan struct{} // closed when the writer is done

	mu     sync.Mutex
	closed bool
	claims map[string]*os.File // the locks of owners that are claimed
}

func newJournal(opts Options) (*Journal, error) {
	if opts.Longest < 0 {
		return nil, errors.New("journal: options: Longest is negative")
	}
	j := &Journal{
		readOnly: opts.ReadOnly, longest: opts.Longest, log: opts.Logger,
		queue: newQueue(), written: make(chan struct{}), claims: map[string]*os.File{},
	}
	if j.longest == 0 {
		j.longest = 24 * time.Hour
	}
	if j.log == nil {
		j.log = slog.New(slog.DiscardHandler)
	}
	return j, nil
}

// Open opens the journal of a state directory, and makes both if need be. What it
// finds there must be private, of a version that this program knows, and whole at
// its end (only [Journal.Verify] reads it all); otherwise nothing is changed, and
// the error says what to do. ctx bounds the opening only.
func Open(ctx context.Context, opts Options) (*Journal, error) {
	j, err := newJournal(opts)
	if err != nil {
		return nil, err
	}
	if opts.Dir == "" {
		return nil, errors.New("journal: options: no Dir")
	}
	if j.dir, err = prepareDir(opts.Dir, !opts.ReadOnly); err != nil {
		return nil, err
	}
	j.path = filepath.Join(j.dir, databaseFile)
	if opts.ReadOnly {
		err = j.openReading(ctx)
	} else {
		// One process at a time: two that make a key would each believe in their own.
		err = locked(ctx, filepath.Join(j.dir, lockFile), func() error { return j.openWriting(ctx) })
	}
	if err != nil {
		close(j.written) // no writer
		return nil, errors.Join(err, j.Close())
	}
	return j, nil
}

func (j *Journal) openReading(ctx context.Context) error {
	if err := checkFiles(j.dir); err != nil {
		return err
	}
	var err error
	if j.keys, err = readKeys(j.dir); err != nil {
		return err
	}
	if _, err := os.Lstat(j.path); err != nil {
		return fmt.Errorf("journal: %s: %w", j.path, journal.ErrNotFound)
	}
	if j.read, err = sqldb.OpenReading(j.path, 4); err != nil {
		return failure(j.path, err, false)
	}
	v, err := version(ctx, j.read, j.path, len(migrations()))
	if err == nil && v < len(migrations()) {
		err = fmt.Errorf("journal: %s was %w: open it for writing once", j.path, journal.ErrOlder)
	}
	if err == nil {
		close(j.written) // no writer
	}
	return err
}

func (j *Journal) openWriting(ctx context.Context) error {
	if err := checkFiles(j.dir); err != nil {
		return err
	}
	k, err := inspect(ctx, j.dir)
	if err != nil {
		return err
	}
	if j.keys = k; k.chain.IsZero() {
		if j.keys, err = createKeys(j.dir); err != nil {
			return err
		}
	}
	if j.head, err = openHead(j.dir, j.keys, os.O_RDWR); errors.Is(err, os.ErrNotExist) {
		if err = createHead(j.dir, j.keys); err == nil {
			j.head, err = openHead(j.dir, j.keys, os.O_RDWR)
		}
	}
	if err != nil {
		return failure(filepath.Join(j.dir, headFileName), err, true)
	}
	if err := j.openDatabases(ctx); err != nil {
		return err
	}
	if err := j.register(ctx); err != nil {
		return err
	}
	j.files, err = watchFiles(j.path, j.path+"-wal", j.path+"-shm", j.head.f.Name(), j.lock.Name())
	if err != nil {
		return err
	}
	go j.writer()
	return nil
}

// openDatabases opens the database for the writer and for readers.
func (j *Journal) openDatabases(ctx context.Context) error {
	var err error
	if j.write, err = sqldb.Open(j.path, 1); err != nil {
		return failure(j.path, err, true)
	}
	j.syncing = true // as sqldb opens it
	if err := migrate(ctx, j.write, j.path, migrations()); err != nil {
		return err
	}
	j.read, err = sqldb.OpenReading(j.path, 4)
	return failure(j.path, err, false)
}

// register makes this journal an owner.
func (j *Journal) register(ctx context.Context) error {
	o := j.owners()
	if err := o.prepare(); err != nil {
		return err
	}
	j.id = rand.Text()
	err := o.under(ctx, func() (err error) {
		j.lock, err = o.take(j.id)
		if err == nil && j.lock == nil {
			err = errors.New("somebody else holds it")
		}
		return err
	})
	return failure(o.path(j.id), err, true)
}

// Memory returns a journal that lives in memory only: it behaves as one on disk,
// chain and states included, but ends with the process, and nobody else can see or
// recover its tasks. Options.Dir and ReadOnly are not used.
func Memory(ctx context.Context, opts Options) (*Journal, error) {
	opts.ReadOnly = false
	j, err := newJournal(opts)
	if err != nil {
		return nil, err
	}
	if j.keys, err = randomKeys(); err != nil {
		return nil, err
	}
	j.id = rand.Text()
	if j.write, err = sqldb.Memory(); err != nil {
		return nil, failure("memory", err, true)
	}
	j.read = j.write
	if err := migrate(ctx, j.write, "memory", migrations()); err != nil {
		close(j.written)
		return nil, errors.Join(err, j.Close())
	}
	go j.writer()
	return j, nil
}

// Owner returns the id under which this journal owns the tasks that it begins;
// empty when it was opened for reading.
func (j *Journal) Owner() string { return j.id }

// Path returns the path of the database; empty in memory.
func (j *Journal) Path() string { return j.path }

// TokenHashKey returns the key for the hashes by which entries name tokens. It is
// the same for all who share the state directory, so that a token's entries can be
// joined, and of no use elsewhere.
func (j *Journal) TokenHashKey() secret.String { return j.keys.tokens }

// Head returns the last entry. See the package comment for what to do with it.
func (j *Journal) Head(ctx context.Context) (journal.Head, error) {
	last, err := readLast(ctx, j.read)
	if err != nil {
		return journal.Head{}, unreadable(j.path, err)
	}
	return last, nil
}

// writable reports why this journal cannot be written to.
func (j *Journal) writable() error {
	if j.readOnly {
		return fmt.Errorf("journal: %w", journal.ErrReadOnly)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return journal.ErrClosed
	}
	return nil
}

// Close waits for the changes under way, puts the rest on disk, and gives up the
// ownership of unfinished tasks: others may claim them at once. It may be called
// more than once.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	claims := maps.Clone(j.claims)
	j.mu.Unlock()

	j.queue.close()
	<-j.written
	var errs []error
	for owner, lock := range claims {
		errs = append(errs, j.release(owner, lock))
	}
	errs = append(errs, j.settle(context.Background()))
	if j.read != nil && j.read != j.write {
		errs = append(errs, j.read.Close())
	}
	if j.write != nil {
		errs = append(errs, j.write.Close())
	}
	if j.head != nil {
		errs = append(errs, j.head.f.Close())
	}
	if j.lock != nil {
		errs = append(errs, j.owners().under(context.Background(), func() error { return disk.RemoveLocked(j.lock) }))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("journal: close: %w", err)
	}
	return nil
}

// settle puts on disk what was written without waiting, so that the head file may
// name it.
func (j *Journal) settle(ctx context.Context) error {
	if j.files == nil || j.syncing || j.files.check() != nil {
		return nil // nothing waits, or what is there is not ours any more
	}
	last, err := readLast(ctx, j.write)
	if err != nil {
		return unreadable(j.path, err)
	}
	var busy, inLog, moved int
	err = j.write.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &inLog, &moved)
	if err != nil {
		return failure(j.path, err, true)
	}
	if busy != 0 || moved < inLog {
		return nil // readers or writers are in the way; whoever is last does it
	}
	return j.setHead(ctx, last)
}
