package vault_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/oauthz"
	"github.com/jitagent/jitagent/state/vault"
)

var _ oauthz.Vault = (*vault.Vault)(nil)

func stateDir(t *testing.T) string {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "journal.key"), strings.Repeat("0a", 32)+"\n")
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir, key string) *vault.Vault {
	t.Helper()
	v, err := vault.Open(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRecordsSurviveAndAreSealed(t *testing.T) {
	dir, ctx := stateDir(t), t.Context()
	v := open(t, dir, "")
	for _, record := range []string{"token-canary-1", "token-canary-2"} {
		if err := v.Put(ctx, "task", "a", []byte(record)); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Put(ctx, "task", "b", []byte("token-canary-3")); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir, "")
	got, err := again.Load(ctx, "task")
	if err != nil || len(got) != 2 || string(got["a"]) != "token-canary-2" || string(got["b"]) != "token-canary-3" {
		t.Errorf("Load() = %q, %v", got, err)
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte("canary")) {
			t.Errorf("%s holds a record in clear", path)
		}
		if info, err := d.Info(); err == nil && path != dir && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	// A task that was dropped is none that nobody ever knew.
	if err := again.Drop(ctx, "task"); err != nil {
		t.Fatal(err)
	}
	if got, err := v.Load(ctx, "task"); err != nil || len(got) != 0 {
		t.Errorf("Load() after Drop = %q, %v", got, err)
	}
	if _, err := v.Load(ctx, "other"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load() of an unknown task = %v", err)
	}
}

// Only the key opens a record, and only in its place.
func TestRecordsOpenWithTheirKeyInTheirPlace(t *testing.T) {
	dir, ctx := stateDir(t), t.Context()
	key, other := filepath.Join(t.TempDir(), "key"), filepath.Join(t.TempDir(), "other")
	write(t, key, strings.Repeat("k", 32))
	write(t, other, strings.Repeat("o", 32))
	v := open(t, dir, key)
	for _, task := range []string{"task", "moved"} {
		if err := v.Put(ctx, task, "a", []byte(task)); err != nil {
			t.Fatal(err)
		}
	}
	for name, k := range map[string]string{"the directory's own": "", "another": other} {
		if _, err := open(t, dir, k).Load(ctx, "task"); err == nil {
			t.Errorf("%s key opens a record", name)
		}
	}
	if err := os.Rename(filepath.Join(dir, "vault", "task", "a"), filepath.Join(dir, "vault", "moved", "a")); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Load(ctx, "moved"); err == nil {
		t.Error("a record opens in another's place")
	}
	for _, name := range []string{"", ".", "..", "a/b", ".hidden", strings.Repeat("a", 65)} {
		if v.Put(ctx, "task", name, nil) == nil || v.Put(ctx, name, "a", nil) == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
}

func TestKeysThatAreNone(t *testing.T) {
	dir := stateDir(t)
	short, public := filepath.Join(t.TempDir(), "short"), filepath.Join(t.TempDir(), "public")
	write(t, short, "0123456789")
	write(t, public, strings.Repeat("k", 32))
	if err := os.Chmod(public, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{short, public, filepath.Join(dir, "missing")} {
		if _, err := vault.Open(dir, key); err == nil {
			t.Errorf("the key %s is taken", filepath.Base(key))
		}
		if _, err := vault.ReadKey(key); err == nil {
			t.Errorf("the key %s is read", filepath.Base(key))
		}
	}
}
