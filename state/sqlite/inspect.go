package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/state/journal"
)

const withoutKey = "it is gone, and without it the journal cannot be checked"

// inspect looks at a state directory before anything is changed in it. It returns the
// keys, if there are any, and fails if the database ends before the entry that the head
// file names.
//
// It reads through a connection that cannot write. A writing one would, when it is
// closed, move what is left of a damaged WAL into the database and delete it, and
// with it the traces.
func inspect(ctx context.Context, dir string) (journal.Keys, error) {
	path := filepath.Join(dir, databaseFile)
	k, err := readKeys(dir)
	noKey := errors.Is(err, journal.ErrNotFound)
	if err != nil && !noKey {
		return journal.Keys{}, err
	}
	if _, err := os.Lstat(filepath.Join(dir, headFileName)); noKey && err == nil {
		return journal.Keys{}, damaged(filepath.Join(dir, keyFile), withoutKey)
	}
	var head journal.Head
	var hasHead bool
	if !noKey {
		if head, hasHead, err = knownHead(ctx, dir, k); err != nil { // before the database, which may grow meanwhile
			return journal.Keys{}, err
		}
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && head.Seq > 0 {
		return journal.Keys{}, damaged(path, fmt.Sprintf("it is gone, and it had %d entries", head.Seq))
	} else if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	// Whoever died while it made the database left a change of its first page behind,
	// which only one that may write can undo.
	_, err = os.Lstat(path + "-journal")
	c, err := sqldb.Connect(path, err == nil && head.Seq == 0)
	if err != nil {
		return journal.Keys{}, failure(path, err, false)
	}
	v, err := version(c, path, len(migrations()))
	switch {
	case err != nil:
	case v == 0 && head.Seq > 0:
		err = damaged(path, fmt.Sprintf("it is empty, and it had %d entries", head.Seq))
	case v > 0 && noKey:
		err = damaged(filepath.Join(dir, keyFile), withoutKey)
	case v == len(migrations()):
		if err = sameSchema(c, path); err == nil {
			err = compare(c, path, k, head, hasHead)
		}
	}
	return k, errors.Join(failure(path, err, false), c.Close())
}

// compare checks the end of the chain against the head file.
func compare(c *sqldb.Conn, path string, k journal.Keys, head journal.Head, hasHead bool) error {
	anchor, err := readAnchor(c)
	if err != nil {
		return err
	}
	last, err := readLast(c)
	switch {
	case err != nil:
		return err
	case !hasHead && last.Seq > 0:
		return damaged(filepath.Join(filepath.Dir(path), headFileName), "it is gone, and without it nobody sees whether entries are missing")
	case head.Seq > last.Seq:
		return damaged(path, fmt.Sprintf("entries up to %d were acknowledged and are gone", head.Seq))
	case head.Seq < anchor.Seq: // it was pruned since
		return nil
	}
	there, prev := anchor, anchor
	if head.Seq > anchor.Seq {
		there, err = headAt(c, head.Seq)
	}
	if err == nil && there != head {
		err = damaged(path, fmt.Sprintf("entry %d is not the one that was acknowledged", head.Seq))
	}
	if err != nil || last == anchor {
		return err
	}
	// The next one will be chained to the last.
	if last.Seq > anchor.Seq+1 {
		prev, err = headAt(c, last.Seq-1)
	}
	if err != nil {
		return err
	}
	r, err := entry(c, last.Seq)
	if err != nil {
		return err
	}
	if _, err := journal.NewChain(k.Chain, map[string]journal.Head{"": prev}, nil).Add("", last.Seq, r.data, r.hash); err != nil {
		return damaged(path, fmt.Sprintf("its last entry, %d, was changed", last.Seq))
	}
	return nil
}
