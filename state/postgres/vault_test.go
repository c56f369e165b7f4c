package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"testing"

	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/state/postgres"
)

// What one process puts into the vault another opens, and nobody without the key: not from
// another tenant's rows either.
func TestVault(t *testing.T) {
	address := pgtest.Shared(t).URL(t)
	vaultOf := func(opts postgres.Options) (*postgres.DB, interface {
		Put(ctx context.Context, task, name string, record []byte) error
		Load(ctx context.Context, task string) (map[string][]byte, error)
		Drop(ctx context.Context, task string) error
	}) {
		db := connect(t, opts)
		j, err := postgres.OpenJournal(t.Context(), db, postgres.JournalOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = j.Close() })
		v, err := db.Vault()
		if err != nil {
			t.Fatal(err)
		}
		return db, v
	}
	const canary = "token-canary"
	db, a := vaultOf(options(address))
	if _, err := a.Load(t.Context(), "task"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load() of nothing: %v", err)
	}
	for _, text := range []string{"earlier", canary} {
		if err := a.Put(t.Context(), "task", "a", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	_, b := vaultOf(options(address))
	if got, err := b.Load(t.Context(), "task"); err != nil || string(got["a"]) != canary || len(got) != 1 {
		t.Errorf("Load() = %q, %v", got, err)
	}
	var sealed []byte
	if err := db.Pool().QueryRow(t.Context(), "SELECT sealed FROM vault").Scan(&sealed); err != nil || bytes.Contains(sealed, []byte(canary)) {
		t.Errorf("it lies open: %q, %v", sealed, err)
	}
	opts := options(address)
	opts.Tenant = "other"
	odb, other := vaultOf(opts)
	if _, err := other.Load(t.Context(), "task"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another tenant's Load(): %v", err)
	}
	if err := other.Put(t.Context(), "task", "a", nil); err != nil {
		t.Fatal(err)
	}
	exec(t, odb.Pool(), "UPDATE vault SET sealed = $1", sealed)
	if got, err := other.Load(t.Context(), "task"); err == nil {
		t.Errorf("another tenant's record opens: %q", got)
	}
	if err := a.Drop(t.Context(), "task"); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Load(t.Context(), "task"); err != nil || len(got) != 0 {
		t.Errorf("Load() after Drop() = %q, %v", got, err)
	}
}
