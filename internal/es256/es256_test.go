package es256_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/jitagent/jitagent/internal/es256"
)

// TestSign: a verifier of another house reads what is signed, whatever zeros its numbers
// begin with; and the same text has the same signature, for which no number was drawn.
func TestSign(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	header, err := es256.Header(map[string]any{"alg": "ES256"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 600 { // of which some four begin with a zero
		text, err := es256.Sign(header, map[string]int{"i": i}, key)
		if err != nil {
			t.Fatal(err)
		}
		jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jws.Verify(key.Public()); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if again, err := es256.Sign(header, map[string]int{"i": i}, key); again != text || err != nil {
			t.Errorf("signed again: %q, %v, want %q", again, err, text)
		}
	}
	if text, err := es256.Sign(header, func() {}, key); err == nil {
		t.Errorf("claims that are no JSON: %q", text)
	}
}
