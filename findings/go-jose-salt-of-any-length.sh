#!/usr/bin/env bash
# A JWS of algorithm PS256 whose salt is not as long as the hash, checked with go-jose.
#
# github.com/go-jose/go-jose/v4 v4.1.9.
#
# One would guess that it is refused: RFC 7518, section 3.5, has the salt as long as the
# output of the hash.
# Seen: any length is taken. Only who has the key can sign either way, but two readers of
# one token may differ about it, so a reader that wants what the RFC says looks itself.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > go.mod <<'M'
module finding

go 1.26

require github.com/go-jose/go-jose/v4 v4.1.9
M
cat > main.go <<'M'
package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"

	"github.com/go-jose/go-jose/v4"
)

func main() {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	b64 := base64.RawURLEncoding
	for _, salt := range []int{32, 20, 64} {
		input := b64.EncodeToString([]byte(`{"alg":"PS256"}`)) + "." + b64.EncodeToString([]byte("{}"))
		sum := sha256.Sum256([]byte(input))
		signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			panic(err)
		}
		jws, err := jose.ParseSignedCompact(input+"."+b64.EncodeToString(signature), []jose.SignatureAlgorithm{jose.PS256})
		if err != nil {
			panic(err)
		}
		_, err = jws.Verify(key.Public())
		fmt.Printf("salt of %d bytes: %v\n", salt, err)
		if err != nil {
			os.Exit(1)
		}
	}
}
M
go mod tidy 2>/dev/null
go run .
