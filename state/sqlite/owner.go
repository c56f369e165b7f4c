package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/state/journal"
)

// owners are the lock files of the processes that share a state directory. A
// process is alive as long as its file is locked; a file that is missing belongs
// to nobody alive.
//
// Files are opened, locked and removed only while the lock of the directory is
// held. So nobody locks a file that was just removed, and nobody who only looks is
// taken for an owner.
type owners struct{ dir string }

func (o owners) path(id string) string { return filepath.Join(o.dir, id+".lock") }

// under runs do while it holds the lock of the directory.
func (o owners) under(ctx context.Context, do func() error) error {
	return locked(ctx, filepath.Join(o.dir, "lock"), do)
}

// prepare makes the directory.
func (o owners) prepare() error {
	if err := os.Mkdir(o.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return failure(o.dir, err, true)
	}
	info, err := os.Lstat(o.dir)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("journal: %s is %w: it is not a directory: remove it", o.dir, disk.ErrShared)
	}
	return checkPrivate(o.dir, info)
}

// isOwnerID reports whether id can be one that this package made. Others may come
// from a database that was tampered with, and would name files elsewhere.
func isOwnerID(id string) bool {
	return len(id) == len(rand.Text()) && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// take locks the file of an owner, and creates it if need be. It returns nil if
// somebody else holds it. The caller holds the directory.
func (o owners) take(id string) (*os.File, error) {
	f, err := disk.Open(o.path(id), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	if ok, err := disk.TryLock(f); !ok {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// alive reports whether somebody holds the file of an owner. The caller holds the
// directory.
func (o owners) alive(id string) (bool, error) {
	f, err := disk.Open(o.path(id), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	free, err := disk.TryLock(f)
	return !free, errors.Join(err, f.Close())
}

// Claim implements [journal.Store]. An owner is alive as long as it holds its lock.
func (j *Journal) Claim(ctx context.Context, owner string) (release func() error, err error) {
	if err := (medium{j}).Writable(); err != nil {
		return nil, err
	}
	if !isOwnerID(owner) {
		return nil, fmt.Errorf("journal: owner %q is not the name of one: %w", plain.Line(owner, 100), journal.ErrDamaged)
	}
	if j.dir == "" { // nobody but this process ever sees it
		return nil, fmt.Errorf("journal: owner %s: %w", owner, journal.ErrOwned)
	}
	var lock *os.File
	err = j.owners().under(ctx, func() (err error) {
		lock, err = j.owners().take(owner)
		return err
	})
	if err != nil {
		return nil, failure(j.owners().path(owner), err, true)
	}
	if lock == nil {
		return nil, fmt.Errorf("journal: owner %s: %w", owner, journal.ErrOwned)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.claims[owner] = lock
	return func() error { return j.release(owner, lock) }, nil
}

// release gives a claim up, unless that was done.
func (j *Journal) release(owner string, lock *os.File) error {
	j.mu.Lock()
	held := j.claims[owner] == lock
	if held {
		delete(j.claims, owner)
	}
	j.mu.Unlock()
	if !held {
		return nil
	}
	if err := j.owners().under(context.Background(), func() error { return disk.RemoveLocked(lock) }); err != nil {
		return fmt.Errorf("journal: release owner %s: %w", owner, err)
	}
	return nil
}

// Orphans implements [journal.Store].
func (j *Journal) Orphans(ctx context.Context, due time.Time) ([]journal.Task, error) {
	if err := j.w.Noted(ctx); err != nil {
		return nil, err
	}
	clause, args := "WHERE "+unsettled+" AND state <> 'unknown'", []any{}
	if !due.IsZero() {
		clause, args = clause+" AND (state <> 'suspended' OR next <= ?)", append(args, micros(due))
	}
	var tasks []journal.Task
	err := j.with(ctx, func(c *sqldb.Conn) (err error) {
		tasks, err = readTasks(c, clause+" ORDER BY first_seq", args...)
		return err
	})
	if err != nil || j.dir == "" || len(tasks) == 0 {
		return nil, err
	}
	var orphans []journal.Task
	alive := map[string]bool{j.id: true}
	err = j.owners().under(ctx, func() error {
		for _, t := range tasks {
			lives, known := alive[t.Owner]
			if !known && isOwnerID(t.Owner) {
				if lives, err = j.owners().alive(t.Owner); err != nil {
					return err
				}
				alive[t.Owner] = lives
			}
			if !lives {
				orphans = append(orphans, t)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("journal: orphans: %w", err)
	}
	return orphans, nil
}

// CleanOwners implements [journal.Store]: it removes the lock files of processes that are
// gone. A missing file belongs to nobody alive.
func (j *Journal) CleanOwners(ctx context.Context) (int, error) {
	if err := (medium{j}).Writable(); err != nil {
		return 0, err
	}
	if j.dir == "" {
		return 0, nil
	}
	removed, o := 0, j.owners()
	err := o.under(ctx, func() error {
		entries, err := os.ReadDir(o.dir)
		for _, e := range entries {
			id, isLock := strings.CutSuffix(e.Name(), ".lock")
			if err != nil || !isLock || !isOwnerID(id) {
				continue
			}
			var f *os.File
			if f, err = o.take(id); f != nil {
				err = disk.RemoveLocked(f)
				removed++
			}
		}
		return err
	})
	if err != nil {
		return removed, fmt.Errorf("journal: clean owners: %w", err)
	}
	return removed, nil
}

func (j *Journal) owners() owners { return owners{filepath.Join(j.dir, ownersDir)} }

// mayChange reports whether this journal may write to the tasks of an owner.
func (j *Journal) mayChange(owner string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, claimed := j.claims[owner]
	return owner == j.id || claimed
}
