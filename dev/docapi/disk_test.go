package docapi

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

var errDies = errors.New("the process dies here")

// What a report's way to the disk can leave behind when it ends early.
var leftovers = map[string]func(path string, data []byte) error{
	"nothing":                func(string, []byte) error { return nil },
	"half a temporary file":  func(path string, data []byte) error { return os.WriteFile(hiddenName(path), data[:len(data)/2], 0o600) },
	"a whole temporary file": func(path string, data []byte) error { return os.WriteFile(hiddenName(path), data, 0o600) },
	"the report":             func(path string, data []byte) error { return os.WriteFile(path, data, 0o600) },
}

func hiddenName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
}

// dies has the next reports end with errDies, and leave something behind.
func (f *fixture) dies(leave func(path string, data []byte) error) {
	f.server.write = func(path string, data []byte, _ fs.FileMode) error {
		return errors.Join(leave(path, data), errDies)
	}
}
