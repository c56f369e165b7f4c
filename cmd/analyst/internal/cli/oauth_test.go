package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/jitagent/jitagent/oauthz"
	"github.com/jitagent/jitagent/secret"
)

// A client's key, as openssl and key generators write it.
func TestKeyFrom(t *testing.T) {
	must := func(text []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	inPEM := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, id string
		text     []byte
		works    bool
	}{
		{"PKCS #8", "", inPEM("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ec))), true},
		{"SEC 1", "", inPEM("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ec))), true},
		{"PKCS #1", "", inPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rs)), true},
		{"JWK", "k1", must(jose.JSONWebKey{Key: ec, KeyID: "k1"}.MarshalJSON()), true},
		{"public JWK", "", must(jose.JSONWebKey{Key: &ec.PublicKey}.MarshalJSON()), false},
		{"public PEM", "", inPEM("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&ec.PublicKey))), false},
		{"symmetric JWK", "", must(jose.JSONWebKey{Key: []byte("canary-canary-canary")}.MarshalJSON()), false},
		{"words", "", []byte("canary"), false},
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, tt.text, 0o600); err != nil {
			t.Fatal(err)
		}
		key, id, err := keyFrom("KEY", path)
		if (err == nil) != tt.works || (key != nil) != tt.works || id != tt.id || err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: keyFrom() = %v, %q, %v", tt.name, key != nil, id, err)
		}
	}
}

// State that is kept has its vault used, also where no directory is to be had beside a
// database: without one, tokens are not found again.
func TestKeptStateHasAVault(t *testing.T) {
	p := &Program{Getenv: func(string) string { return "" }, Stderr: io.Discard}
	s := Settings{OAuth: &oauthz.Config{Issuer: "https://id.example.com", ClientID: "analyst", ClientSecret: secret.New("s"), API: "https://api.example.com", Mode: oauthz.ClientCredentials}}
	if _, err := p.Authority(s, &State{where: "a database"}, nil); err == nil {
		t.Error("a vault that cannot be opened is left out")
	}
	if _, err := p.Authority(s, &State{}, nil); err != nil {
		t.Error(err)
	}
}
