package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/jitagent/jitagent/internal/disk"
)

func TestReplacesWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, text := range []string{"a longer first content", "second"} {
		if err := disk.Replace(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Errorf("after Replace(%q): %q, %v", text, got, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	// A directory cannot be replaced: the error leaves it, and nothing else, behind.
	taken := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(taken, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := disk.Replace(taken, []byte("x"), 0o600); err == nil {
		t.Error("Replace over a directory worked")
	}
	if err := disk.Replace(filepath.Join(dir, "no", "such", "dir"), nil, 0o600); err == nil {
		t.Error("Replace into a directory that does not exist worked")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%d entries are left, %v, want the file and the directory", len(entries), err)
	}
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(filepath.Join(dir, ".file.tmp"), []byte("half of what a writer that died"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds it there
		if err := disk.Create(path, []byte("text"), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if entries, _ := os.ReadDir(dir); err != nil || string(got) != "text" || len(entries) != 1 {
			t.Errorf("after Create: %q, %v, and %v", got, err, entries)
		}
		if err := os.WriteFile(path, []byte("text"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, []byte("edited"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := disk.Create(path, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "edited" {
		t.Errorf("Create replaced a file by %q, %v", got, err)
	}
	if err := disk.Create(filepath.Join(path, "below"), nil, 0o644); err == nil {
		t.Error("Create below a file worked")
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := disk.Open(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	second, err := disk.Open(path, os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	take := func(f *os.File, want bool) {
		t.Helper()
		if ok, err := disk.TryLock(f); ok != want || err != nil {
			t.Errorf("TryLock() = %t, %v, want %t", ok, err, want)
		}
	}
	take(first, true)
	take(second, false)
	if err := disk.Unlock(first); err != nil {
		t.Fatal(err)
	}
	take(second, true)
	if err := disk.Unlock(second); err != nil {
		t.Fatal(err)
	}
	take(first, true)
	if err := disk.RemoveLocked(first); err != nil {
		t.Fatal(err)
	}
	take(second, true)
}

func TestPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes mean nothing")
	}
	path := filepath.Join(t.TempDir(), "file")
	for mode, private := range map[os.FileMode]bool{0o600: true, 0o640: false, 0o602: false} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := disk.Private(path, info); private != (err == nil) || !private && !errors.Is(err, disk.ErrShared) {
			t.Errorf("Private(%v) = %v", mode, err)
		}
	}
	if err := os.Symlink(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	if f, err := disk.Open(path+"2", os.O_RDONLY); err == nil {
		t.Errorf("Open followed a link: %v", f.Close())
	}
}
