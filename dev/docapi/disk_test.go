package docapi

import (
	"errors"
	"strings"
)

var errDies = errors.New("the process dies here")

// failing puts hook between the server and its disk. It is asked before each
// step ("open", "exists", "create", "write", "sync", "close", "rename",
// "syncdir") and after two of them ("renamed", "synced"), and its error becomes
// the step's. With errDies nothing that follows reaches the disk either.
func (f *fixture) failing(hook func(step, name string) error) {
	if hook == nil {
		hook = func(string, string) error { return nil }
	}
	dead := false
	ask := func(step, name string) error {
		if dead {
			return errDies
		}
		err := hook(step, name)
		dead = errors.Is(err, errDies)
		return err
	}
	f.server.reports.open = func(create bool) (directory, error) {
		if err := ask("open", ""); err != nil {
			return nil, err
		}
		dir, err := openDir(f.reports, create)
		if err != nil {
			return nil, err
		}
		return failingDir{dir, ask}, nil
	}
}

type failingDir struct {
	directory
	ask func(step, name string) error
}

func (d failingDir) Exists(name string) (bool, error) {
	if err := d.ask("exists", name); err != nil {
		return false, err
	}
	return d.directory.Exists(name)
}

func (d failingDir) Create(name string) (file, error) {
	if err := d.ask("create", name); err != nil {
		return nil, err
	}
	f, err := d.directory.Create(name)
	if err != nil {
		return nil, err
	}
	return failingFile{f, d.ask}, nil
}

func (d failingDir) Rename(from, to string) error {
	if err := d.ask("rename", to); err != nil {
		return err
	}
	if err := d.directory.Rename(from, to); err != nil {
		return err
	}
	return d.ask("renamed", to)
}

func (d failingDir) Remove(name string) error {
	if err := d.ask("remove", name); err != nil {
		return err
	}
	return d.directory.Remove(name)
}

func (d failingDir) Sync() error {
	if err := d.ask("syncdir", ""); err != nil {
		return err
	}
	if err := d.directory.Sync(); err != nil {
		return err
	}
	return d.ask("synced", "")
}

type failingFile struct {
	file
	ask func(step, name string) error
}

// Write writes half and then fails.
func (f failingFile) Write(b []byte) (int, error) {
	if err := f.ask("write", ""); err != nil {
		n, _ := f.file.Write(b[:len(b)/2])
		return n, err
	}
	return f.file.Write(b)
}

func (f failingFile) Sync() error {
	if err := f.ask("sync", ""); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f failingFile) Close() error {
	err := f.file.Close()
	if hookErr := f.ask("close", ""); hookErr != nil {
		return hookErr
	}
	return err
}

// visible drops hidden names: a process that died may leave a temporary file.
func visible(names []string) []string {
	var out []string
	for _, name := range names {
		if !strings.HasPrefix(name, ".") {
			out = append(out, name)
		}
	}
	return out
}
