// Package secret holds credentials so that they cannot be printed by accident.
//
// A [String] shows its value to one caller only: whoever calls Reveal. The value
// sits behind a func, so no formatting verb, no logger and no encoder reaches it,
// not even through an unexported field of another struct.
//
// Reveal is called only where bytes leave the process (an Authorization header, a
// form body), so one search for it finds every such place.
//
// The package does not clear memory: a Go string cannot be wiped.
package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what a String prints in place of its value.
const Redacted = "[redacted]"

// A String holds a credential. Formatted, logged or encoded, at any depth, it
// reads [Redacted], or a func's address in its place. The zero String holds "".
// Strings are safe for concurrent use. They are not comparable with ==: use
// [String.Equal].
type String struct{ reveal func() string }

// New returns a String that holds v.
func New(v string) String { return String{func() string { return v }} }

// Reveal returns the value. Call it only where the value leaves the process.
func (s String) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero reports whether s holds the empty string.
func (s String) IsZero() bool { return s.Reveal() == "" }

// Equal reports whether both hold the same value, in time that does not depend
// on where they differ.
func (s String) Equal(t String) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(t.Reveal())) == 1
}

// Fingerprint returns a keyed hash of the value (HMAC-SHA-256, 16 hex digits), by
// which log lines can be joined without holding the credential.
func (s String) Fingerprint(key []byte) string {
	m := hmac.New(sha256.New, key)
	_, _ = io.WriteString(m, s.Reveal())
	return hex.EncodeToString(m.Sum(nil)[:8])
}

// Format implements [fmt.Formatter]: every verb prints [Redacted].
func (String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// LogValue implements [slog.LogValuer].
func (String) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText implements [encoding.TextMarshaler], which every encoder of the
// standard library honors.
func (String) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
