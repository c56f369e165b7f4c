// Package vault keeps on disk, sealed, what a process must leave to the next one so that
// authority can be given back: tokens, and what redeems to one. It is the vault of
// package oauthz.
//
// A record is a file of its own, whole or not there, sealed with AES-256-GCM to its task
// and name: one that is changed, or put in another's place, does not open. The key is
// the state directory's own, beside the records, or one from a file elsewhere: then
// nobody opens a copy of the directory.
package vault

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/internal/strictjson"
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

// A Vault is safe for concurrent use, by several processes as well.
type Vault struct {
	dir  string
	seal cipher.AEAD
}

// Open opens the vault of a state directory that holds a journal. keyFile holds the key:
// at least 32 bytes, which other users may not read; "" is the directory's own.
func Open(dir, keyFile string) (*Vault, error) {
	v, err := open(dir, keyFile)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return v, nil
}

func open(dir, keyFile string) (*Vault, error) {
	secret, err := readKey(cmp.Or(keyFile, filepath.Join(dir, ownKey)))
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "jitagent vault", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	v := &Vault{dir: filepath.Join(dir, folder)}
	if v.seal, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return nil, err
	}
	return v, v.prune()
}

// CheckKey fails where [Open] would not take a file for a key.
func CheckKey(file string) error {
	_, err := readKey(file)
	return err
}

func readKey(path string) ([]byte, error) {
	secret, err := read(path, mostKey)
	if err == nil && len(secret) < leastKey {
		err = fmt.Errorf("%s holds no key: it takes at least %d bytes", path, leastKey)
	}
	return secret, err
}

// read reads a file that is private to the user.
func read(path string, most int64) ([]byte, error) {
	f, err := disk.Open(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err == nil {
		err = disk.Private(path, info)
	}
	if err != nil {
		return nil, err
	}
	return strictjson.ReadAll(f, most)
}

// prune forgets tasks of which nothing was left long ago.
func (v *Vault) prune() error {
	tasks, err := os.ReadDir(v.dir)
	for _, t := range tasks {
		if info, err := t.Info(); err == nil && time.Since(info.ModTime()) > keep {
			_ = os.Remove(filepath.Join(v.dir, t.Name())) // fails while records are in it
		}
	}
	return err
}

var valid = lazy.Regexp(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

func (v *Vault) place(names ...string) (string, error) {
	path := v.dir
	for _, n := range names {
		if !valid().MatchString(n) {
			return "", fmt.Errorf("vault: %q is no name", n)
		}
		path = filepath.Join(path, n)
	}
	return path, nil
}

// Put keeps a record in place of an earlier one of that name. It is on disk when Put
// returns.
func (v *Vault) Put(_ context.Context, task, name string, record []byte) error {
	path, err := v.place(task, name)
	if err != nil {
		return err
	}
	if err = os.Mkdir(filepath.Dir(path), 0o700); err == nil {
		err = disk.SyncDir(v.dir)
	}
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = disk.Replace(path, v.seal.Seal(nil, nil, record, []byte(task+"/"+name)), 0o600)
	}
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	return nil
}

// Load returns the records of a task, none of one that was dropped. A task of which
// nothing was ever kept is an error that wraps [fs.ErrNotExist].
func (v *Vault) Load(_ context.Context, task string) (map[string][]byte, error) {
	dir, err := v.place(task)
	if err != nil {
		return nil, err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	records := map[string][]byte{}
	for _, f := range files {
		if !valid().MatchString(f.Name()) {
			continue // what a writer left that died
		}
		sealed, err := read(filepath.Join(dir, f.Name()), maxRecord)
		if err == nil {
			records[f.Name()], err = v.seal.Open(nil, nil, sealed, []byte(task+"/"+f.Name()))
		}
		if err != nil {
			return nil, fmt.Errorf("vault: %s of task %s cannot be opened, with this key: %w", f.Name(), task, err)
		}
	}
	return records, nil
}

// Drop forgets the records of a task, though not that there was one.
func (v *Vault) Drop(_ context.Context, task string) error {
	dir, err := v.place(task)
	if err != nil {
		return err
	}
	files, err := os.ReadDir(dir)
	for _, f := range files {
		err = errors.Join(err, os.Remove(filepath.Join(dir, f.Name())))
	}
	if err == nil {
		err = disk.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	return nil
}
