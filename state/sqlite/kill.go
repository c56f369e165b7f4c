package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/state/journal"
)

// killedDir has a file for each task that was killed: whether there is one costs a look at
// the directory, which every step of a task can afford.
const killedDir = "killed"

// Kill implements [journal.Store].
func (j *Journal) Kill(ctx context.Context, run, reason string) error {
	if j.dir == "" || !isOwnerID(run) {
		return fmt.Errorf("journal: run %q cannot be killed from outside: %w", plain.Line(run, 100), journal.ErrNotFound)
	}
	e, err := journal.Killing(ctx, j, run, reason)
	if err != nil {
		return err
	}
	if err := j.Append(ctx, e); err != nil {
		return err
	}
	dir := owners{filepath.Join(j.dir, killedDir)}
	if err := dir.prepare(); err != nil {
		return err
	}
	return failure(dir.dir, disk.Create(filepath.Join(dir.dir, run), []byte(e.Message), 0o600), true) // or somebody else did
}

// Killed implements [jit.Killer].
func (j *Journal) Killed(_ context.Context, run string) (reason string, killed bool, err error) {
	if j.dir == "" || !isOwnerID(run) {
		return "", false, nil
	}
	text, err := os.ReadFile(filepath.Join(j.dir, killedDir, run)) //nolint:gosec // a name of letters and digits, below the state directory
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return plain.Line(string(text), 300), err == nil, err
}

// forgetKilled removes the files of tasks that were removed.
func (j *Journal) forgetKilled(ctx context.Context) error {
	if j.dir == "" {
		return nil
	}
	dir := filepath.Join(j.dir, killedDir)
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, f := range list {
		if _, known := j.Task(ctx, f.Name()); errors.Is(known, journal.ErrNotFound) {
			if gone := os.Remove(filepath.Join(dir, f.Name())); !errors.Is(gone, fs.ErrNotExist) { // by another process
				err = errors.Join(err, gone)
			}
		}
	}
	return failure(dir, err, true)
}
