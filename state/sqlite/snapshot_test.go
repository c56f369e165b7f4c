package sqlite_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// snapshot returns what the files of a journal hold. The -shm file is left out: it
// is SQLite's index of the WAL, made anew from it. Lock files are empty.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "-shm") || strings.HasSuffix(path, "lock") {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			files[path], err = os.Readlink(path)
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// unchanged fails if a directory is not as it was. A WAL without content is none.
func unchanged(t testing.TB, dir string, before map[string]string) {
	t.Helper()
	after := snapshot(t, dir)
	for _, files := range []map[string]string{before, after} {
		for path, data := range files {
			if data == "" && strings.HasSuffix(path, "-wal") {
				delete(files, path)
			}
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the files were changed (-before +after):\n%.500s", diff)
	}
}
