package sqlite

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/state/journal"
)

const keyBytes = 32

// readKeys returns the keys of a state directory; [journal.ErrNotFound] if it has none.
func readKeys(dir string) (journal.Keys, error) {
	path := filepath.Join(dir, keyFile)
	f, err := disk.Open(path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return journal.Keys{}, fmt.Errorf("journal: %s: %w", path, journal.ErrNotFound)
	}
	if err != nil {
		return journal.Keys{}, fmt.Errorf("journal: key: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := strictjson.ReadAll(f, 1<<10)
	if err != nil {
		return journal.Keys{}, fmt.Errorf("journal: key %s: %w", path, err)
	}
	root, err := hex.DecodeString(strings.TrimSuffix(string(text), "\n"))
	if err != nil || len(root) != keyBytes { // the cause quotes the key
		return journal.Keys{}, damaged(path, "it does not hold a key")
	}
	return journal.DeriveKeys(root, "")
}

// createKeys makes the key of a state directory, "" for one in memory. It is on disk
// before anything depends on it.
func createKeys(dir string) (journal.Keys, error) {
	root := make([]byte, keyBytes)
	_, _ = rand.Read(root) // never fails, see crypto/rand
	if path := filepath.Join(dir, keyFile); dir != "" {
		if err := disk.Replace(path, []byte(hex.EncodeToString(root)+"\n"), 0o600); err != nil {
			return journal.Keys{}, failure(path, err, true)
		}
	}
	return journal.DeriveKeys(root, "")
}
