#!/usr/bin/env bash
# A proof of possession (RFC 9449) under Go's HTTP client, where the server closes a
# connection that was kept.
#
# Go 1.26's net/http, github.com/go-jose/go-jose/v4 v4.1.9.
#
# One would guess that a RoundTripper which signs a proof for each request, and gives the
# request to http.DefaultTransport, sends each proof once: a server refuses a jti that it
# has seen.
# Seen: http.Transport sends a GET again by itself when the connection that it had kept is
# closed under it, and the second request carries the proof of the first. The server has
# seen both.
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
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// signer gives each request a proof of its own.
type signer struct{ jose.Signer }

func (s signer) RoundTrip(r *http.Request) (*http.Response, error) {
	proof, err := jwt.Signed(s).Claims(map[string]any{
		"jti": rand.Text(), "htm": r.Method, "htu": r.URL.String(), "iat": time.Now().Unix(),
	}).Serialize()
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("DPoP", proof)
	return http.DefaultTransport.RoundTrip(r)
}

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	go func() { // the first connection is closed once its second request was read
		for first := true; ; first = false {
			c, err := l.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(c)
			for n := 1; ; n++ {
				r, err := http.ReadRequest(in)
				if err != nil {
					break
				}
				mu.Lock()
				seen[r.Header.Get("DPoP")]++
				mu.Unlock()
				if first && n == 2 {
					break
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
			_ = c.Close()
		}
	}()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	sign, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: signer{sign}}
	for range 2 {
		answer, err := client.Get("http://" + l.Addr().String() + "/document")
		if err != nil {
			panic(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
	twice := 0
	for _, n := range seen {
		if n > 1 {
			twice++
		}
	}
	fmt.Printf("2 requests, %d proofs, of which the server saw %d twice\n", len(seen), twice)
	if twice != 1 {
		fmt.Println("changed")
		os.Exit(1)
	}
}
M
go mod tidy >/dev/null 2>&1
go run .
