package oauth_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/jitagent/jitagent/oauth"
)

// The rules of signatures that the library leaves to its callers.
func TestKeys(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	var jwk map[string]any
	text, _ := jose.JSONWebKey{Key: &key.PublicKey, KeyID: "k"}.MarshalJSON()
	if err := json.Unmarshal(text, &jwk); err != nil {
		t.Fatal(err)
	}
	sign := func(salt int) string {
		b64 := base64.RawURLEncoding
		input := b64.EncodeToString([]byte(`{"alg":"PS256","kid":"k"}`)) + "." + b64.EncodeToString([]byte("{}"))
		sum := sha256.Sum256([]byte(input))
		signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		return input + "." + b64.EncodeToString(signature)
	}
	for name, tt := range map[string]struct {
		salt  int
		more  map[string]any
		valid bool
	}{
		"as it should be":        {32, nil, true},
		"the longest salt":       {rsa.PSSSaltLengthAuto, nil, false},
		"a salt as SHA-1's":      {20, nil, false},
		"a salt of one byte":     {1, nil, false},
		"a longer salt":          {33, nil, false},
		"to verify":              {32, map[string]any{"key_ops": []string{"verify"}}, true},
		"to verify, and more":    {32, map[string]any{"key_ops": []string{"sign", "verify"}}, true},
		"for something else":     {32, map[string]any{"key_ops": []string{"sign"}}, false},
		"for nothing":            {32, map[string]any{"key_ops": []string{}}, false},
		"operations are no list": {32, map[string]any{"key_ops": 7}, false},
		"an operation by halves": {32, map[string]any{"key_ops": []string{"Verify"}}, false},
		"to encrypt":             {32, map[string]any{"use": "enc"}, false},
		"use is no text":         {32, map[string]any{"use": 7}, false},
		"for another algorithm":  {32, map[string]any{"alg": "RS256"}, false},
		"for this algorithm":     {32, map[string]any{"alg": "PS256", "use": "sig"}, true},
	} {
		one := map[string]any{}
		for _, members := range []map[string]any{jwk, tt.more} {
			for name, value := range members {
				one[name] = value
			}
		}
		set, err := json.Marshal(map[string]any{"keys": []any{one}})
		if err != nil {
			t.Fatal(err)
		}
		keys, err := oauth.ParseKeys(set)
		if err != nil {
			t.Fatal(err)
		}
		jws, err := oauth.ParseSigned(sign(tt.salt))
		if err != nil {
			t.Fatal(err)
		}
		if payload, ok := keys.Verify(jws); ok != tt.valid || ok && string(payload) != "{}" {
			t.Errorf("%s: Verify() = %s, %t, want %t", name, payload, ok, tt.valid)
		}
	}
	for _, set := range []string{"", "[]", "{}", `{"keys":{}}`, `{"keys":[],"keys":[]}`, `{"keys":[` + strings.Repeat("1,", 64) + "1]}"} {
		if keys, err := oauth.ParseKeys([]byte(set)); err == nil {
			t.Errorf("ParseKeys(%.20s) = %v", set, keys)
		}
	}
}
