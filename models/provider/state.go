package provider

import (
	"bytes"
	"crypto/sha256"
	"fmt"
)

// Providers put state into their answers that must come back with the next request:
// signatures, encrypted thoughts. It travels in [genai.Part.ThoughtSignature], which
// sessions keep and nobody is shown.

// Seal marks state as that of the server at base, an address. Empty state stays
// empty.
func Seal(base string, state []byte) []byte {
	if len(state) == 0 {
		return nil
	}
	return append(seal(base), state...)
}

// Unseal returns what [Seal] was given, and false for state of another server, or of
// nobody's: it must not be sent to this one.
func Unseal(base string, sealed []byte) ([]byte, bool) {
	if len(sealed) == 0 {
		return nil, false
	}
	if state, ours := bytes.CutPrefix(sealed, seal(base)); ours {
		return state, true
	}
	return nil, false
}

func seal(base string) []byte {
	sum := sha256.Sum256([]byte(base))
	return fmt.Appendf(nil, "state of %x:", sum[:8])
}
