package challenge_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/oauth"
)

// signedReader returns a reader of signed challenges, and what signs them.
func signedReader(t testing.TB) (challenge.Transactions, func(payload []byte) string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{}).WithType("txn-authz-challenge+jwt").WithHeader("kid", "k"))
	if err != nil {
		t.Fatal(err)
	}
	return challenge.Transactions{Keys: oauth.Keys{{Key: key.Public(), KeyID: "k"}}, Issuer: "api", Audience: "as"}, func(payload []byte) string {
		jws, err := signer.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		text, err := jws.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

// The vectors have what stands in a challenge; this is about when it is read, and by whom.
func TestTransactionsRefuse(t *testing.T) {
	now := time.Now().Unix()
	for name, tt := range map[string]struct {
		claims map[string]any
		change func(*challenge.Transactions)
		good   bool
	}{
		"nothing":                     {good: true},
		"valid by now":                {claims: map[string]any{"nbf": now}, good: true},
		"valid later":                 {claims: map[string]any{"nbf": now + 30}},
		"no issuer is known":          {change: func(r *challenge.Transactions) { r.Issuer = "" }},
		"no issuer on either side":    {claims: map[string]any{"iss": ""}, change: func(r *challenge.Transactions) { r.Issuer = "" }},
		"no server is known":          {change: func(r *challenge.Transactions) { r.Audience = "" }},
		"no server on either side":    {claims: map[string]any{"aud": []string{""}}, change: func(r *challenge.Transactions) { r.Audience = "" }},
		"for a client, none is known": {claims: map[string]any{"client_id": "analyst"}},
	} {
		reader, sign := signedReader(t)
		if tt.change != nil {
			tt.change(&reader)
		}
		claims := map[string]any{
			"iss": "api", "aud": "as", "iat": now, "exp": now + 60, "jti": "j", "txn": "t", "authorization_details": json.RawMessage("[" + object + "]"),
		}
		maps.Copy(claims, tt.claims)
		payload, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		got, err := reader.Parse(http.StatusUnauthorized, lines(`Bearer error="transaction_authorization_required", transaction_challenge="`+sign(payload)+`"`), nil, "")
		if bad, malformed := errors.AsType[*challenge.MalformedError](err); malformed == tt.good || !malformed && err != nil || malformed && bad.Source != challenge.SourceHeader {
			t.Errorf("%s: Parse = %v, %v", name, got, err)
		}
	}
}
