package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/strictjson"
)

const (
	maxKeys    = 64
	minRSABits = 2048
)

// Keys are public keys that signatures are checked with.
type Keys []jose.JSONWebKey

// ParseKeys decodes a JWK set. Keys of kinds that it does not know are skipped (RFC 7517,
// section 5), and so are private and symmetric ones, those without a name, and those that
// are for something else than checking signatures (use, key_ops; sections 4.2 and 4.3).
func ParseKeys(set []byte) (Keys, error) {
	o, err := strictjson.Object(set)
	if err != nil {
		return nil, errors.New("key set is not strict JSON")
	}
	var all []jsontext.Value
	if strictjson.Unmarshal(o["keys"], &all) != nil {
		return nil, errors.New("key set has no list of keys")
	}
	if len(all) > maxKeys {
		return nil, errors.New("key set holds too many keys")
	}
	keys := make(Keys, 0, len(all))
	for _, raw := range all {
		var k jose.JSONWebKey
		o, err := Decode(raw)
		if err != nil || k.UnmarshalJSON(raw) != nil || !k.Valid() || !k.IsPublic() || k.KeyID == "" {
			continue
		}
		if o.Has("use") && k.Use != "sig" || o.Has("key_ops") && !slices.Contains(o.Texts("key_ops"), "verify") {
			continue
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// A Signed is a JWS in compact form (RFC 7515, section 3.1) whose signature is not checked
// yet.
type Signed struct {
	Type  string // typ; "" when there is none
	KeyID string // kid
	alg   jose.SignatureAlgorithm
	text  string
	jws   *jose.JSONWebSignature
}

// ParseSigned decodes a JWS that is signed with ES256, RS256 or PS256 and written as
// [Canonical] has it, and reads nothing of what it holds.
func ParseSigned(text string) (Signed, error) {
	// Another spelling of a token is another token.
	if !Canonical(text) {
		return Signed{}, errors.New("not a JWT in canonical base64url")
	}
	jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.PS256})
	if err != nil {
		return Signed{}, errors.New("not a JWT signed with ES256, RS256 or PS256")
	}
	h := jws.Signatures[0].Protected
	s := Signed{KeyID: h.KeyID, alg: jose.SignatureAlgorithm(h.Algorithm), text: text, jws: jws}
	switch typ := h.ExtraHeaders[jose.HeaderType].(type) {
	case nil:
	case string:
		s.Type = typ
	default:
		return Signed{}, errors.New("typ is no text")
	}
	if s.KeyID == "" {
		return Signed{}, errors.New("no kid")
	}
	return s, nil
}

// Find returns the keys that may have signed s: by name, kind and algorithm.
func (k Keys) Find(s Signed) (found Keys) {
	for _, key := range k {
		if key.KeyID == s.KeyID && fits(key, s.alg) {
			found = append(found, key)
		}
	}
	return found
}

// Verify returns what s holds, if one of these keys signed it.
func (k Keys) Verify(s Signed) (payload []byte, ok bool) {
	for _, key := range k.Find(s) {
		if payload, err := s.jws.Verify(key.Key); err == nil && s.salted(key) {
			return payload, true
		}
	}
	return nil, false
}

// salted holds PS256 to a salt as long as the hash (RFC 7518, section 3.5), since the
// library takes any.
func (s Signed) salted(key jose.JSONWebKey) bool {
	public, ok := key.Key.(*rsa.PublicKey)
	if s.alg != jose.PS256 || !ok {
		return true
	}
	sum := sha256.Sum256([]byte(s.text[:strings.LastIndexByte(s.text, '.')]))
	return rsa.VerifyPSS(public, crypto.SHA256, sum[:], s.jws.Signatures[0].Signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}

// fits reports whether k may verify alg. A key that names another algorithm does not,
// whatever its kind.
func fits(k jose.JSONWebKey, alg jose.SignatureAlgorithm) bool {
	if k.Algorithm != "" && k.Algorithm != string(alg) {
		return false
	}
	switch key := k.Key.(type) {
	case *ecdsa.PublicKey:
		return alg == jose.ES256 && key.Curve == elliptic.P256()
	case *rsa.PublicKey:
		return (alg == jose.RS256 || alg == jose.PS256) && key.N.BitLen() >= minRSABits
	}
	return false
}
