package sqlite_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/state/journal/journaltest"
	"github.com/jitagent/jitagent/state/sqlite"
)

func TestDir(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("paths of Unix")
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		env  map[string]string
		want string
	}{
		"nothing set":           {nil, ""},
		"relative home":         {map[string]string{"HOME": "home"}, ""},
		"relative XDG, no home": {map[string]string{"XDG_STATE_HOME": "state"}, ""},
		"home":                  {map[string]string{"HOME": "/home/u"}, "/home/u/.local/state/analyst"},
		"XDG":                   {map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "/x"}, "/x/analyst"},
		"relative XDG":          {map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "x"}, "/home/u/.local/state/analyst"},
		"its own":               {map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "/x", "ANALYST_STATE_DIR": "/y"}, "/y"},
		"its own, relative":     {map[string]string{"ANALYST_STATE_DIR": "y"}, filepath.Join(wd, "y")},
	} {
		got, err := sqlite.Dir(func(key string) string { return tt.env[key] })
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: Dir() = %q, %v, want %q", name, got, err, tt.want)
		}
		if err != nil && !strings.Contains(err.Error(), "ANALYST_STATE_DIR") {
			t.Errorf("%s: error %q does not say what to set", name, err)
		}
	}
}

// Each row makes a directory that must be refused, and untouched.
func TestOpenRefusesWhatIsNotPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes of Unix")
	}
	made := func(t *testing.T) string {
		dir := stateDir(t)
		j := open(t, sqlite.Options{Dir: dir})
		journaltest.Add(t, j, journaltest.Life("a")...)
		journaltest.Close(t, j)
		return dir
	}
	chmod := func(mode fs.FileMode, names ...string) func(*testing.T) string {
		return func(t *testing.T) string {
			dir := made(t)
			if err := os.Chmod(filepath.Join(append([]string{dir}, names...)...), mode); err != nil {
				t.Fatal(err)
			}
			return dir
		}
	}
	replace := func(name string, by func(path string) error) func(*testing.T) string {
		return func(t *testing.T) string {
			dir := made(t)
			path := filepath.Join(dir, name)
			if err := errors.Join(os.Rename(path, filepath.Join(t.TempDir(), "moved")), by(path)); err != nil {
				t.Fatal(err)
			}
			return dir
		}
	}
	foreign := func(names ...string) func(*testing.T) string {
		return func(t *testing.T) string {
			if os.Geteuid() != 0 {
				t.Skip("only root gives files away")
			}
			dir := made(t)
			if err := os.Chown(filepath.Join(append([]string{dir}, names...)...), 12345, -1); err != nil {
				t.Fatal(err)
			}
			return dir
		}
	}
	for name, make := range map[string]func(*testing.T) string{
		"directory for the group":    chmod(0o750),
		"directory for all to write": chmod(0o702),
		"database readable":          chmod(0o644, "journal.db"),
		"key readable":               chmod(0o604, "journal.key"),
		"head for the group":         chmod(0o620, "journal.head"),
		"owners for all":             chmod(0o755, "owners"),
		"directory of another user":  foreign(),
		"database of another user":   foreign("journal.db"),
		"key of another user":        foreign("journal.key"),
		"database is a link":         replace("journal.db", func(path string) error { return os.Symlink("/dev/null", path) }),
		"key is a link":              replace("journal.key", func(path string) error { return os.Symlink("/etc/hostname", path) }),
		"key is a dangling link":     replace("journal.key", func(path string) error { return os.Symlink("nowhere", path) }),
		"WAL is a link": func(t *testing.T) string {
			dir := made(t)
			if err := os.Symlink("/dev/null", filepath.Join(dir, "journal.db-wal")); err != nil {
				t.Fatal(err)
			}
			return dir
		},
		"database is a directory": replace("journal.db", func(path string) error { return os.Mkdir(path, 0o700) }),
		"owners is a link": func(t *testing.T) string {
			dir := made(t)
			path := filepath.Join(dir, "owners")
			if err := errors.Join(os.RemoveAll(path), os.Symlink(t.TempDir(), path)); err != nil {
				t.Fatal(err)
			}
			return dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := make(t)
			before := snapshot(t, dir)
			j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
			if !errors.Is(err, disk.ErrShared) {
				if err == nil {
					_ = j.Close()
				}
				t.Fatalf("Open() = %v, want ErrShared", err)
			}
			real, _ := filepath.EvalSymlinks(dir)
			if !strings.Contains(err.Error(), real) {
				t.Errorf("error %q does not name the path", err)
			}
			unchanged(t, dir, before)
		})
	}
}

func TestOpenMakesEverythingPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes of Unix")
	}
	base := t.TempDir()
	link := filepath.Join(base, "link")
	if err := os.Symlink(filepath.Join(base, "real"), link); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(base, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(link, "deep", "state") // a link on the way is the operator's business
	j := open(t, sqlite.Options{Dir: dir})
	journaltest.Add(t, j, journaltest.Life("a")...)
	seen := 0
	err := filepath.WalkDir(filepath.Join(base, "real"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		seen++
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %#o, want %#o", path, got, want)
		}
		return nil
	})
	if err != nil || seen < 11 { // real, deep, state, owners and what is in them
		t.Errorf("%d files seen, %v", seen, err)
	}
	if got := filepath.Dir(j.Path()); got != filepath.Join(base, "real", "deep", "state") {
		if resolved, _ := filepath.EvalSymlinks(base); got != filepath.Join(resolved, "real", "deep", "state") {
			t.Errorf("Path() lies in %s, want the path without links", got)
		}
	}
}
