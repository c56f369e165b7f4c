package journal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"

	"github.com/jitagent/jitagent/secret"
)

// Keys are derived from the one key of a journal, each for one use.
type Keys struct {
	Chain  secret.String // of the entries' hashes
	Head   secret.String // of the record of the last entry
	Tokens secret.String // of the hashes that name tokens
}

// DeriveKeys returns the keys of a tenant; "" is the only one.
func DeriveKeys(root []byte, tenant string) (Keys, error) {
	var k Keys
	if tenant != "" {
		tenant = " of " + tenant
	}
	for label, to := range map[string]*secret.String{"chain": &k.Chain, "head": &k.Head, "token hash": &k.Tokens} {
		derived, err := hkdf.Key(sha256.New, root, nil, "jitagent journal "+label+tenant, 32)
		if err != nil {
			return Keys{}, fmt.Errorf("journal: derive keys: %w", err)
		}
		*to = secret.New(string(derived))
	}
	return k, nil
}

// newMAC returns the HMAC-SHA-256 of a key. To use it again costs half of what a new one does.
func newMAC(key secret.String) hash.Hash { return hmac.New(sha256.New, []byte(key.Reveal())) }

// Sign returns the HMAC-SHA-256 by which the record of a last entry is known as a
// journal's own.
func (k Keys) Sign(text []byte) [sha256.Size]byte {
	m := newMAC(k.Head)
	_, _ = m.Write(text) // never fails
	return [sha256.Size]byte(m.Sum(nil))
}
