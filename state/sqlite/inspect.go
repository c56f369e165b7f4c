package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/state/journal"
)

// inspect looks at a state directory before anything is changed in it. It returns the
// keys, if there are any, and fails if the database ends before the entry that the head
// file names.
//
// It reads through a connection that cannot write. A writing one would, when it is
// closed, move what is left of a damaged WAL into the database and delete it, and
// with it the traces.
func inspect(ctx context.Context, dir string) (keys, error) {
	path := filepath.Join(dir, databaseFile)
	_, err := os.Lstat(path)
	exists := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return keys{}, fmt.Errorf("journal: %w", err)
	}
	k, err := readKeys(dir)
	if errors.Is(err, journal.ErrNotFound) {
		return keys{}, emptyWithoutKey(ctx, dir, path, exists)
	}
	if err != nil {
		return keys{}, err
	}
	head, hasHead, err := readHead(ctx, dir, k) // before the database, which may grow meanwhile
	switch {
	case err != nil:
		return keys{}, err
	case exists:
		return k, compare(ctx, path, k, head, hasHead)
	case head.Seq > 0:
		return keys{}, damaged(path, fmt.Sprintf("it is gone, and it had %d entries", head.Seq))
	}
	return k, nil
}

// emptyWithoutKey fails unless the database is missing or empty, which it is when
// a process died between making it and making the key.
func emptyWithoutKey(ctx context.Context, dir, path string, exists bool) error {
	if _, err := os.Lstat(filepath.Join(dir, headFileName)); err == nil {
		return damaged(filepath.Join(dir, keyFile), "it is gone, and without it the journal cannot be checked")
	}
	if !exists {
		return nil
	}
	db, err := sqldb.OpenReading(path, 1)
	if err != nil {
		return failure(path, err, false)
	}
	v, err := version(ctx, db, path, len(migrations()))
	if err == nil && v > 0 {
		err = damaged(filepath.Join(dir, keyFile), "it is gone, and without it the journal cannot be checked")
	}
	return errors.Join(err, db.Close())
}

// compare checks the end of the chain against the head file.
func compare(ctx context.Context, path string, k keys, head journal.Head, hasHead bool) (err error) {
	db, err := sqldb.OpenReading(path, 1)
	if err != nil {
		return failure(path, err, false)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	v, err := version(ctx, db, path, len(migrations()))
	if err != nil {
		return err
	}
	if v == 0 {
		if head.Seq > 0 {
			return damaged(path, fmt.Sprintf("it is empty, and it had %d entries", head.Seq))
		}
		return nil
	}
	if v == len(migrations()) {
		if err := sameSchema(ctx, db, path); err != nil {
			return err
		}
	}
	anchor, err := readAnchor(ctx, db)
	if err != nil {
		return unreadable(path, err)
	}
	last, err := readLast(ctx, db)
	if err != nil {
		return unreadable(path, err)
	}
	switch {
	case !hasHead && last.Seq > 0:
		return damaged(filepath.Join(filepath.Dir(path), headFileName), "it is gone, and without it nobody sees whether entries are missing")
	case head.Seq > last.Seq:
		return damaged(path, fmt.Sprintf("entries up to %d were acknowledged and are gone", head.Seq))
	case head.Seq < anchor.Seq: // it was pruned since
		return nil
	}
	there := anchor
	if head.Seq > anchor.Seq {
		there, err = readHash(ctx, db, "SELECT seq, hash FROM entries WHERE seq = ?", head.Seq)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return unreadable(path, err)
		}
	}
	if there != head {
		return damaged(path, fmt.Sprintf("entry %d is not the one that was acknowledged", head.Seq))
	}
	return lastFits(ctx, db, path, k, anchor, last)
}

// lastFits checks the last entry, to which the next one will be chained.
func lastFits(ctx context.Context, db querier, path string, k keys, anchor, last journal.Head) error {
	if last == anchor {
		return nil
	}
	prev := anchor
	var err error
	if last.Seq > anchor.Seq+1 {
		prev, err = readHash(ctx, db, "SELECT seq, hash FROM entries WHERE seq = ?", last.Seq-1)
	}
	var data []byte
	if err == nil {
		err = db.QueryRowContext(ctx, "SELECT data FROM entries WHERE seq = ?", last.Seq).Scan(&data)
	}
	if err != nil {
		return unreadable(path, err)
	}
	if _, err := journal.NewChain(k.chain, prev).Add(last.Seq, data, last.Hash[:]); err != nil {
		return damaged(path, fmt.Sprintf("its last entry, %d, was changed", last.Seq))
	}
	return nil
}

// unreadable returns the error for what a sound journal would have answered.
func unreadable(path string, err error) error {
	if errors.Is(err, sql.ErrNoRows) || errors.Is(err, errHash) {
		return damaged(path, "entries or tables are missing or changed")
	}
	return failure(path, err, false)
}
