package sqlite

import (
	"compress/flate"
	"context"
	"crypto/rand"
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
	writes // Append, Note, Mark, Entries and Runs, of w

	w         *journal.Writer
	dir, path string // of the directory and the database; empty in memory
	id        string // of this journal as an owner; empty when read-only
	readOnly  bool
	keys      journal.Keys

	write   *sqldb.Conn   // of the one who writes; nil when read-only or in memory
	syncing bool          // whether its commits wait for the disk
	packed  int64         // the last entry that is known to be in a pack
	deflate *flate.Writer // of packs; nil before the first
	files   watch         // of the one who writes
	head    *headFile
	lock    *os.File // of this journal as an owner

	readers chan *sqldb.Conn // each nil until it is needed; in memory the only one
	conns   int              // how many there are

	mu     sync.Mutex
	closed bool
	claims map[string]*os.File // the locks of owners that are claimed
	over   chan struct{}       // closed with it
}

var _ journal.Store = (*Journal)(nil)

type writes = journal.Writes

// maxReaders bounds the connections that read.
const maxReaders = 4

func newJournal(opts Options) (_ *Journal, err error) {
	j := &Journal{
		readOnly: opts.ReadOnly, syncing: true, // as sqldb connects
		readers: make(chan *sqldb.Conn, maxReaders), claims: map[string]*os.File{}, over: make(chan struct{}),
	}
	j.w, err = journal.NewWriter(medium{j}, opts.Longest, opts.Logger)
	j.writes = j.w
	return j, err
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
	j.allowReaders()
	return j.with(ctx, func(c *sqldb.Conn) error {
		v, err := version(c, j.path, len(migrations()))
		if err == nil && v < len(migrations()) {
			err = fmt.Errorf("journal: %s was %w: open it for writing once", j.path, journal.ErrOlder)
		}
		return err
	})
}

// allowReaders lets as many connections read as may at once.
func (j *Journal) allowReaders() {
	for range maxReaders {
		j.readers <- nil
	}
	j.conns = maxReaders
}

// with runs do with a connection that only reads, and sees the journal as it is at one
// moment. In memory it is the only connection.
func (j *Journal) with(ctx context.Context, do func(*sqldb.Conn) error) (err error) {
	var c *sqldb.Conn
	select {
	case c = <-j.readers:
	case <-j.over:
		return journal.ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("journal: read %s: %w", j.path, ctx.Err())
	}
	defer func() { j.readers <- c }()
	if c == nil {
		if c, err = sqldb.Connect(j.path, false); err != nil {
			return failure(j.path, err, false)
		}
	}
	if j.dir == "" {
		return do(c)
	}
	c.Interrupt(ctx)
	if err = c.Exec("BEGIN"); err == nil {
		err = do(c)
	}
	c.Interrupt(context.Background())
	_ = c.Exec("ROLLBACK") // it only read
	return failure(j.path, err, false)
}

func (j *Journal) openWriting(ctx context.Context) error {
	if err := checkFiles(j.dir); err != nil {
		return err
	}
	k, err := inspect(ctx, j.dir)
	if err != nil {
		return err
	}
	if j.keys = k; k.Chain.IsZero() {
		if j.keys, err = createKeys(j.dir); err != nil {
			return err
		}
	}
	if j.head, err = openHead(j.dir, j.keys, true); err != nil {
		return err
	}
	if j.write, err = sqldb.Connect(j.path, true); err != nil {
		return failure(j.path, err, true)
	}
	if err := migrate(j.write, j.path, migrations()); err != nil {
		return err
	}
	if err := j.register(ctx); err != nil {
		return err
	}
	j.allowReaders()
	j.files, err = watchFiles(j.path, j.path+"-wal", j.path+"-shm", j.head.f.Name(), j.lock.Name())
	return err
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
func Memory(_ context.Context, opts Options) (*Journal, error) {
	opts.ReadOnly = false
	j, err := newJournal(opts)
	if err != nil {
		return nil, err
	}
	if j.keys, err = createKeys(""); err != nil {
		return nil, err
	}
	j.id = rand.Text()
	c, err := sqldb.ConnectMemory()
	if err != nil {
		return nil, failure("memory", err, true)
	}
	j.readers <- c
	j.conns = 1
	if err := migrate(c, "memory", migrations()); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return j, nil
}

// Owner implements [journal.Store].
func (j *Journal) Owner() string { return j.id }

// Lost implements [journal.Store]: it is nil, since a lock of the kernel says who is alive.
func (*Journal) Lost() <-chan struct{} { return nil }

// Path returns the path of the database; empty in memory.
func (j *Journal) Path() string { return j.path }

// TokenHashKey implements [journal.Store].
func (j *Journal) TokenHashKey() secret.String { return j.keys.Tokens }

// Head returns the last entry. See the package comment for what to do with it.
func (j *Journal) Head(ctx context.Context) (last journal.Head, err error) {
	err = j.with(ctx, func(c *sqldb.Conn) (err error) {
		last, err = readLast(c)
		return err
	})
	return last, err
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

	j.w.Finish()
	var errs []error
	for owner, lock := range claims {
		errs = append(errs, j.release(owner, lock))
	}
	errs = append(errs, j.settle())
	close(j.over)
	for range j.conns {
		if c := <-j.readers; c != nil {
			errs = append(errs, c.Close())
		}
	}
	if j.write != nil {
		errs = append(errs, j.write.Close())
	}
	j.files.close()
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
func (j *Journal) settle() error {
	if j.files == nil || j.syncing || j.files.check() != nil {
		return nil // nothing waits, or what is there is not ours any more
	}
	return j.alone(func(c *sqldb.Conn) error {
		last, err := readLast(c)
		if err != nil {
			return failure(j.path, err, false)
		}
		var done bool
		err = c.Query(func(r sqldb.Row) error {
			done = r.Int(0) == 0 && r.Int(2) >= r.Int(1)
			return nil
		}, "PRAGMA wal_checkpoint(PASSIVE)")
		if err != nil || !done {
			return failure(j.path, err, true) // readers are in the way; whoever is last does it
		}
		return j.head.set(last)
	})
}
