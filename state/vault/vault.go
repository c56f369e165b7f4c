// Package vault keeps, sealed, what a process must leave to the next one so that authority
// can be given back: tokens, and what redeems to one. It is the vault of package oauthz.
//
// A record is sealed with AES-256-GCM to its task and name: one that is changed, or put in
// another's place, does not open. Where they are kept is for [Records]: in files of a
// state directory ([Open]), whose own key is beside them unless one from a file elsewhere
// is used; or in a database that a cluster shares.
package vault

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/secret"
)

// Records keep what is sealed, by task and name. They are safe for concurrent use, by
// several processes as well.
type Records interface {
	// Put keeps a record in place of an earlier one of that name. It is on disk when Put
	// returns.
	Put(ctx context.Context, task, name string, sealed []byte) error

	// Load returns the records of a task, none of one that was dropped. A task of which
	// nothing was ever kept is an error that wraps [fs.ErrNotExist].
	Load(ctx context.Context, task string) (map[string][]byte, error)

	// Drop forgets the records of a task, though not that there was one.
	Drop(ctx context.Context, task string) error
}

// A Vault is safe for concurrent use, by several processes as well.
type Vault struct {
	records Records
	seal    cipher.AEAD
}

// New returns a vault. The key has at least 32 bytes; tenants have different ones by one
// key, "" is the only tenant.
func New(key secret.String, tenant string, records Records) (*Vault, error) {
	info := "jitagent vault"
	if tenant != "" {
		info += " of " + tenant
	}
	derived, err := hkdf.Key(sha256.New, []byte(key.Reveal()), nil, info, 32)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	v := &Vault{records: records}
	if v.seal, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return v, nil
}

var valid = lazy.Regexp(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

func check(names ...string) error {
	for _, n := range names {
		if !valid().MatchString(n) {
			return fmt.Errorf("vault: %q is no name", n)
		}
	}
	return nil
}

// Put is [Records.Put].
func (v *Vault) Put(ctx context.Context, task, name string, record []byte) error {
	err := check(task, name)
	if err == nil {
		err = v.records.Put(ctx, task, name, v.seal.Seal(nil, nil, record, []byte(task+"/"+name)))
	}
	return err
}

// Load is [Records.Load].
func (v *Vault) Load(ctx context.Context, task string) (map[string][]byte, error) {
	if err := check(task); err != nil {
		return nil, err
	}
	records, err := v.records.Load(ctx, task)
	for name, sealed := range records {
		if records[name], err = v.seal.Open(nil, nil, sealed, []byte(task+"/"+name)); err != nil {
			return nil, fmt.Errorf("vault: %s of task %s cannot be opened, with this key: %w", name, task, err)
		}
	}
	return records, err
}

// Drop is [Records.Drop].
func (v *Vault) Drop(ctx context.Context, task string) error {
	err := check(task)
	if err == nil {
		err = v.records.Drop(ctx, task)
	}
	return err
}
