package sqlite

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/journal"
)

// keys are derived from the one key of a state directory, each for one use.
type keys struct {
	chain  secret.String // of the entries' hashes
	head   secret.String // of the head record
	tokens secret.String // of the hashes that name tokens
}

const keyBytes = 32

func deriveKeys(root []byte) (keys, error) {
	var k keys
	for label, to := range map[string]*secret.String{"chain": &k.chain, "head": &k.head, "token hash": &k.tokens} {
		derived, err := hkdf.Key(sha256.New, root, nil, "jitagent journal "+label, keyBytes)
		if err != nil {
			return keys{}, fmt.Errorf("journal: derive keys: %w", err)
		}
		*to = secret.New(string(derived))
	}
	return k, nil
}

// readKeys returns the keys of a state directory; [journal.ErrNotFound] if it has none.
func readKeys(dir string) (keys, error) {
	path := filepath.Join(dir, keyFile)
	f, err := disk.Open(path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return keys{}, fmt.Errorf("journal: %s: %w", path, journal.ErrNotFound)
	}
	if err != nil {
		return keys{}, fmt.Errorf("journal: key: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := strictjson.ReadAll(f, 1<<10)
	if err != nil {
		return keys{}, fmt.Errorf("journal: key %s: %w", path, err)
	}
	root, err := hex.DecodeString(strings.TrimSuffix(string(text), "\n"))
	if err != nil || len(root) != keyBytes { // the cause quotes the key
		return keys{}, damaged(path, "it does not hold a key")
	}
	return deriveKeys(root)
}

// createKeys makes the key of a state directory, "" for one in memory. It is on disk
// before anything depends on it.
func createKeys(dir string) (keys, error) {
	root := make([]byte, keyBytes)
	_, _ = rand.Read(root) // never fails, see crypto/rand
	if path := filepath.Join(dir, keyFile); dir != "" {
		if err := disk.Replace(path, []byte(hex.EncodeToString(root)+"\n"), 0o600); err != nil {
			return keys{}, failure(path, err, true)
		}
	}
	return deriveKeys(root)
}

// mac returns the HMAC-SHA-256 of the parts, one after the other. All but the last
// have a length that is fixed for the key, so no two lists of parts read alike.
func mac(key secret.String, parts ...[]byte) [sha256.Size]byte {
	m := hmac.New(sha256.New, []byte(key.Reveal()))
	for _, p := range parts {
		_, _ = m.Write(p) // never fails
	}
	return [sha256.Size]byte(m.Sum(nil))
}
