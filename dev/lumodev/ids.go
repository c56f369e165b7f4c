package lumodev

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/secret"
)

// The prefixes of ids. Push approvals have none that is ever logged.
const (
	taskPrefix    = "task_"
	requestPrefix = "jit_"
	sessionPrefix = "caep_"
	auditPrefix   = "aud_"
)

// ownID is the form of a task's or request's id.
var ownID = regexp.MustCompile("^(?:" + taskPrefix + "|" + requestPrefix + ")[A-Z2-7]{20}$")

// newID returns prefix and 20 random characters of A-Z and 2-7 (100 bits).
func newID(prefix string) string { return prefix + rand.Text()[:20] }

// newSecret returns 256 random bits, base64url.
func newSecret() secret.String {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return secret.New(base64.RawURLEncoding.EncodeToString(b))
}

// stableID derives an id from a name, the same in every process.
func stableID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:8])
}

// maxScope bounds the scope parameter.
const maxScope = 2048

// parseScope splits a scope parameter (RFC 6749, section 3.3), dropping repeats.
func parseScope(s string) ([]string, error) {
	if len(s) > maxScope {
		return nil, errors.New("scope is too long")
	}
	var scopes []string
	for _, tok := range strings.FieldsFunc(s, func(r rune) bool { return r == ' ' }) {
		for i := range len(tok) {
			if c := tok[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
				return nil, errors.New("scope holds a character that RFC 6749 does not allow")
			}
		}
		if !slices.Contains(scopes, tok) {
			scopes = append(scopes, tok)
		}
	}
	return scopes, nil
}
