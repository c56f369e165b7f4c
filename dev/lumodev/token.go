package lumodev

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	signing "github.com/golang-jwt/jwt/v5"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/internal/es256"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// tokenUse says what a token is for. A verifier must not take one for the other.
const (
	useAccess = "access" // agents' base and delegated tokens, users' and clients' tokens
	useJIT    = "jit"
)

// maxToken bounds the tokens that are parsed at all.
const maxToken = 16 << 10

// registered are claims of RFC 7519, section 4.1. Times are whole seconds.
type registered struct {
	Issuer    string       `json:"iss,omitempty"`
	Subject   string       `json:"sub,omitempty"`
	Audience  jwt.Audience `json:"aud,omitempty"`
	Expiry    int64        `json:"exp,omitempty"`
	NotBefore int64        `json:"nbf,omitempty"`
	IssuedAt  int64        `json:"iat,omitempty"`
	ID        string       `json:"jti,omitempty"`
}

// claims are the members of all tokens beside the registered ones of RFC 7519.
// parent_task_id is null, not absent, in a JIT token of a task without a parent.
type claims struct {
	ClientID     string   `json:"client_id"`
	TokenUse     string   `json:"token_use"`
	Organization string   `json:"organization"`
	Scope        string   `json:"scope,omitempty"`
	AgentID      string   `json:"agent_id,omitempty"`
	UserID       int      `json:"user_id,omitempty"`
	Email        string   `json:"email,omitempty"`
	Permissions  []string `json:"permissions,omitempty"`
	Act          *actor   `json:"act,omitempty"`
	Bound        bound    `json:"cnf,omitzero"` // zero for a bearer token
}

// bound is the key that a token is bound to (RFC 9449, section 6.1).
type bound struct {
	Thumbprint string `json:"jkt"`
}

// kind is token_type.
func (c claims) kind() string {
	if c.Bound != (bound{}) {
		return dpop.Scheme
	}
	return "Bearer"
}

// jitClaims are the further members of a JIT token.
type jitClaims struct {
	JIT                  bool         `json:"jit"`
	TaskID               string       `json:"task_id"`
	ParentTaskID         *string      `json:"parent_task_id"`
	JITRequestID         string       `json:"jit_request_id"`
	CAEPSessionID        string       `json:"caep_session_id"`
	AuthorizationDetails []rar.Detail `json:"authorization_details"`
	OnBehalfOf           string       `json:"on_behalf_of,omitempty"`
}

// actor is the act claim of RFC 8693, section 4.1: the outermost is the current
// actor, those within came before.
type actor struct {
	Sub      string `json:"sub"`
	ClientID string `json:"client_id,omitempty"`
	Act      *actor `json:"act,omitempty"`
}

// depth returns the number of actors in the chain.
func (a *actor) depth() int {
	n := 0
	for ; a != nil; a = a.Act {
		n++
	}
	return n
}

// includes reports whether the agent with this client id is in the chain.
func (a *actor) includes(clientID string) bool {
	for ; a != nil; a = a.Act {
		if a.ClientID == clientID {
			return true
		}
	}
	return false
}

// members are what a token is made of.
type members struct {
	registered
	claims
	*jitClaims // nil but of a JIT token
}

// verified is a token whose signature, issuer and times hold. Revocation is not
// looked at: see state.live.
type verified struct {
	registered
	claims
	jitClaims
}

func (v *verified) expires() time.Time { return time.Unix(v.Expiry, 0) }

// keys signs and verifies tokens with one ES256 key. It is safe for concurrent
// use.
type keys struct {
	issuer  string
	key     jose.JSONWebKey   // private
	private *ecdsa.PrivateKey // of key
	header  string            // of every token, encoded, with the dot behind it
}

// newKey returns a fresh signing key. Its kid is the key's thumbprint (RFC 7638).
func newKey() (jose.JSONWebKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	key := jose.JSONWebKey{Key: private, Algorithm: string(jose.ES256), Use: "sig"}
	sum, err := key.Thumbprint(crypto.SHA256)
	key.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	return key, err
}

func newKeys(issuer string, key jose.JSONWebKey) (*keys, error) {
	private, ok := key.Key.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, errors.New("not a private key on P-256")
	}
	header, err := es256.Header(map[string]any{"alg": jose.ES256, "kid": key.KeyID, "typ": "at+jwt"}) // RFC 9068, section 2.1
	return &keys{issuer, key, private, header}, err
}

// public returns the JWK set to publish.
func (k *keys) public() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k.key.Public()}}
}

// sign returns a token that says this, and who issued it.
func (k *keys) sign(says members) (secret.String, error) {
	says.Issuer = k.issuer
	text, err := es256.Sign(k.header, says, k.private)
	if err != nil {
		return secret.String{}, fmt.Errorf("lumodev: sign a token: %w", err)
	}
	return secret.New(text), nil
}

// errToken is the only thing that verify says about a bad token.
var errToken = errors.New("lumodev: token is not valid")

// verify checks form, key, signature, issuer and times of a token. Its header is the one
// that all have, to the letter, so nothing is read of it. What was signed is the text before the
// signature, which itself has one spelling: another would be a token that nobody can revoke.
func (k *keys) verify(raw string, now time.Time) (*verified, error) {
	end := strings.LastIndexByte(raw, '.')
	if len(raw) > maxToken || !strings.HasPrefix(raw, k.header) || end < len(k.header) {
		return nil, errToken
	}
	signature, _ := base64.RawURLEncoding.DecodeString(raw[end+1:])
	if base64.RawURLEncoding.EncodeToString(signature) != raw[end+1:] || signing.SigningMethodES256.Verify(raw[:end], signature, &k.private.PublicKey) != nil {
		return nil, errToken
	}
	var v verified
	payload, _ := base64.RawURLEncoding.DecodeString(raw[len(k.header):end]) // as it was signed
	if strictjson.Unmarshal(payload, &v) != nil {
		return nil, errToken
	}
	at := now.Unix()
	if v.Issuer != k.issuer || v.ID == "" || v.ClientID == "" || v.IssuedAt == 0 || at < max(v.IssuedAt, v.NotBefore) || at >= v.Expiry {
		return nil, errToken
	}
	return &v, nil
}

// lifetime returns std with an id, a start at now, and an end ttl later.
func lifetime(std registered, now time.Time, ttl time.Duration) registered {
	std.ID = newID("")
	std.IssuedAt, std.NotBefore, std.Expiry = now.Unix(), now.Unix(), now.Unix()+int64(seconds(ttl))
	return std
}
