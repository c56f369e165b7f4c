package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/secret"
)

const (
	folder    = "vault"       // of the records, in the state directory
	ownKey    = "journal.key" // in the state directory, whose other keys are derived from it too
	leastKey  = 32            // bytes
	mostKey   = 4 << 10
	maxRecord = 1 << 20

	// keep is how long it is known of a task that there was one, when all about it is
	// dropped.
	keep = 90 * 24 * time.Hour
)

// Open opens the vault of a state directory that holds a journal. keyFile holds the key,
// see [ReadKey]; "" is the directory's own, beside the records: then whoever has a copy of
// the directory can open it.
func Open(dir, keyFile string) (*Vault, error) {
	key, err := ReadKey(cmp.Or(keyFile, filepath.Join(dir, ownKey)))
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	f := files(filepath.Join(dir, folder))
	if err = os.MkdirAll(string(f), 0o700); err == nil {
		err = f.prune()
	}
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return New(key, "", f)
}

// ReadKey reads a key: a file of at least 32 bytes, which other users may not read, or a
// link to one.
func ReadKey(file string) (secret.String, error) {
	key, err := disk.ReadFile(file, mostKey, disk.Secret)
	if err == nil && len(key) < leastKey {
		err = fmt.Errorf("%s holds no key: it takes at least %d bytes", file, leastKey)
	}
	return secret.New(string(key)), err
}

// content reads a file that was opened, or was not, and closes it.
func content(f *os.File, err error, most int64, check func(string, fs.FileInfo) error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err == nil {
		err = check(f.Name(), info)
	}
	if err != nil {
		return nil, err
	}
	return strictjson.ReadAll(f, most)
}

// files are records in a folder: each a file of its own, whole or not there, in the folder
// of its task.
type files string

// prune forgets tasks of which nothing was left long ago.
func (f files) prune() error {
	tasks, err := os.ReadDir(string(f))
	for _, t := range tasks {
		if info, err := t.Info(); err == nil && time.Since(info.ModTime()) > keep {
			_ = os.Remove(filepath.Join(string(f), t.Name())) // fails while records are in it
		}
	}
	return err
}

// Put implements [Records].
func (f files) Put(_ context.Context, task, name string, sealed []byte) error {
	dir := filepath.Join(string(f), task)
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = disk.SyncDir(string(f))
	}
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = disk.Replace(filepath.Join(dir, name), sealed, 0o600)
	}
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	return nil
}

// Load implements [Records].
func (f files) Load(_ context.Context, task string) (map[string][]byte, error) {
	dir := filepath.Join(string(f), task)
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	records := map[string][]byte{}
	for _, file := range found {
		if check(file.Name()) != nil {
			continue // what a writer left that died
		}
		record, err := disk.Open(filepath.Join(dir, file.Name()), os.O_RDONLY)
		if records[file.Name()], err = content(record, err, maxRecord, disk.Private); err != nil {
			return nil, fmt.Errorf("vault: %w", err)
		}
	}
	return records, nil
}

// Drop implements [Records].
func (f files) Drop(_ context.Context, task string) error {
	dir := filepath.Join(string(f), task)
	found, err := os.ReadDir(dir)
	for _, file := range found {
		err = errors.Join(err, os.Remove(filepath.Join(dir, file.Name())))
	}
	if err == nil {
		err = disk.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	return nil
}
