package dpop

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/secret"
)

// What [Verifier.Verify] returns, wrapped with a reason for the log, which holds no
// credential.
var (
	// ErrProof says that there is no proof, or that it is not good here: [CodeProof].
	ErrProof = errors.New("dpop: proof not valid")
	// ErrNonce says that it lacks a nonce of this server's, or has an old one: [CodeNonce].
	ErrNonce = errors.New("dpop: a nonce is wanted")
	// ErrFull says that it could not be known of a proof whether it came before, since its
	// key made too many. It is refused: whoever can fill a memory must not make it forget.
	ErrFull = errors.New("dpop: too many proofs at once")
)

// Config says what a [Verifier] takes.
type Config struct {
	// Origin is the server's own, https://host or https://host:port, as clients see it.
	// Required: the Host of a request is its sender's word, and a proof that was made for
	// another server must not be taken by its word.
	Origin string

	// Window is how far from now a proof may have been made; 0 is a minute.
	Window time.Duration

	// Nonces says that proofs must have a nonce of this Verifier's, which is good for a
	// few minutes: then a proof cannot be made long before it is used (section 8).
	Nonces bool
	// NonceKey makes the nonces of several processes one, at least 32 bytes that they
	// share; nil is a key of this Verifier's own.
	NonceKey []byte

	// Proofs is how many proofs are taken within two Windows; 0 is 100 000, for which
	// some 20 MB are needed. A key may have as many of them as are left to others: alone
	// half, and where n have that many, each one in n+1. So no client shuts out others
	// with the tokens that it can get, but for one that gets them for any number of keys.
	Proofs int

	// Now tells the time; nil is time.Now.
	Now func() time.Time
}

// nonceLife is how long a nonce is good.
const nonceLife = 5 * time.Minute

// A Verifier checks the proofs of a server's callers, and remembers them, so that each
// counts once. It is safe for concurrent use. It knows of none that another process took.
type Verifier struct {
	origin *url.URL
	window time.Duration
	nonces bool
	secret []byte // for nonces
	most   int
	now    func() time.Time

	mu     sync.Mutex
	since  time.Time      // when seen was begun
	of     map[string]int // how many of seen are a key's
	seen   map[[16]byte]struct{}
	before map[[16]byte]struct{}
}

// NewVerifier checks cfg and returns a verifier.
func NewVerifier(cfg Config) (*Verifier, error) {
	origin, err := url.Parse(cfg.Origin)
	switch {
	case err != nil || origin.Host == "" || origin.Scheme != "https" && origin.Scheme != "http" || origin.User != nil || strings.Trim(origin.Path, "/") != "":
		return nil, errors.New("dpop: Origin is no origin: scheme, host and port only")
	case cfg.Window < 0 || cfg.Proofs < 0:
		return nil, errors.New("dpop: Window or Proofs is negative")
	case cfg.NonceKey != nil && len(cfg.NonceKey) < 32:
		return nil, errors.New("dpop: NonceKey is shorter than 32 bytes")
	}
	v := &Verifier{
		origin: origin, window: cmp.Or(cfg.Window, time.Minute), nonces: cfg.Nonces, secret: slices.Clone(cfg.NonceKey),
		most: cmp.Or(cfg.Proofs, 100_000), now: cfg.Now, seen: map[[16]byte]struct{}{},
	}
	if v.now == nil {
		v.now = time.Now
	}
	if v.secret == nil {
		v.secret = make([]byte, 32)
		_, _ = rand.Read(v.secret) // never fails, see crypto/rand
	}
	return v, nil
}

// Verify checks the proof of r (section 4.3) and returns the thumbprint of its key. It
// must be made for r's method and URL, and for token, unless that is the zero String; and
// with the key of that thumbprint, unless bound is "". Check the token first: what is
// refused for its sake is not remembered.
func (v *Verifier) Verify(r *http.Request, token secret.String, bound string) (thumbprint string, err error) {
	thumbprint, id, err := v.check(r, token)
	switch {
	case err != nil:
		return "", err
	case bound != "" && thumbprint != bound:
		return "", invalid("made with another key than the token's")
	}
	if err := v.once(thumbprint, id); err != nil {
		return "", err
	}
	return thumbprint, nil
}

func invalid(reason string) error { return fmt.Errorf("%w: %s", ErrProof, reason) }

// check checks all but whether the proof came before.
func (v *Verifier) check(r *http.Request, token secret.String) (thumbprint, id string, err error) {
	text := header(r.Header, Header)
	if text == "" || len(text) > maxProof {
		return "", "", invalid("not one proof")
	}
	jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA})
	if err != nil {
		return "", "", invalid("not a JWT signed with " + Algorithms)
	}
	head := jws.Signatures[0].Protected
	if head.ExtraHeaders[jose.HeaderType] != typ {
		return "", "", invalid("typ is not " + typ)
	}
	key := head.JSONWebKey
	if key == nil || !fits(key, head.Algorithm) {
		return "", "", invalid("no public key that fits its algorithm")
	}
	payload, err := jws.Verify(key.Key)
	if err != nil {
		return "", "", invalid("wrong signature")
	}
	var c claims
	if err := strictjson.Unmarshal(payload, &c); err != nil {
		return "", "", invalid("claims are not strict JSON of the expected types")
	}
	now := v.now()
	switch made := time.Unix(int64(c.Made), 0); {
	case c.ID == "":
		return "", "", invalid("no jti")
	case c.Method != r.Method:
		return "", "", invalid("made for another method")
	case !v.at(r.URL, c.URL):
		return "", "", invalid("made for another URL")
	case !token.IsZero() && c.Token != hashOf(token):
		return "", "", invalid("made for another token")
	case v.nonces && !v.fresh(c.Nonce, now):
		return "", "", fmt.Errorf("%w: %s", ErrNonce, map[bool]string{true: "none", false: "one that is not good"}[c.Nonce == ""])
	case now.Sub(made).Abs() > v.window:
		return "", "", invalid("not made about now")
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", "", invalid("the key has no thumbprint")
	}
	return base64.RawURLEncoding.EncodeToString(sum), c.ID, nil
}

// fits reports whether a key may verify alg, and is public.
func fits(k *jose.JSONWebKey, alg string) bool {
	switch key := k.Key.(type) {
	case *ecdsa.PublicKey:
		return k.Valid() && alg == string(jose.ES256) && key.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return k.Valid() && alg == string(jose.EdDSA)
	}
	return false
}

// at reports whether a proof's URL is that of a request to this server, query and
// fragment aside: equal by syntax and scheme (RFC 3986, sections 6.2.2 and 6.2.3).
func (v *Verifier) at(r *url.URL, made string) bool {
	u, err := url.Parse(made)
	return err == nil && u.User == nil && u.Opaque == "" && strings.EqualFold(u.Scheme, v.origin.Scheme) &&
		strings.EqualFold(hostOf(u), hostOf(v.origin)) && slices.Equal(segments(u), segments(r))
}

// hostOf is a host with its port, if that is not the scheme's own.
func hostOf(u *url.URL) string {
	return strings.TrimSuffix(u.Host, map[string]string{"https": ":443", "http": ":80"}[strings.ToLower(u.Scheme)])
}

// segments are those of a path, however they are escaped.
func segments(u *url.URL) []string {
	all := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	for i, s := range all {
		if plain, err := url.PathUnescape(s); err == nil {
			all[i] = plain
		}
	}
	return all
}

// Nonce returns a nonce to be sent in [HeaderNonce] with an answer, whatever it is; ""
// where none is wanted.
func (v *Verifier) Nonce() string {
	if !v.nonces {
		return ""
	}
	return v.nonceOf(v.now())
}

func (v *Verifier) nonceOf(at time.Time) string {
	stamp := binary.BigEndian.AppendUint64(nil, uint64(at.Unix())) //nolint:gosec // the bits are what counts
	mac := hmac.New(sha256.New, v.secret)
	_, _ = mac.Write(stamp)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(stamp)[:8+16])
}

// fresh reports whether a nonce is of this verifier and not too old.
func (v *Verifier) fresh(nonce string, now time.Time) bool {
	text, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(text) < 8 {
		return false
	}
	at := time.Unix(int64(binary.BigEndian.Uint64(text)), 0) //nolint:gosec // as it was written
	return hmac.Equal([]byte(nonce), []byte(v.nonceOf(at))) && now.Sub(at).Abs() < nonceLife
}

// once remembers a proof for as long as it could be sent again: two windows, since it may
// have been made one ahead of now.
func (v *Verifier) once(key, jti string) error {
	sum := sha256.Sum256([]byte(key + " " + jti))
	id := [16]byte(sum[:])
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := v.now(); now.Sub(v.since) > 2*v.window {
		if now.Sub(v.since) > 4*v.window {
			clear(v.seen)
		}
		v.before, v.seen, v.of, v.since = v.seen, map[[16]byte]struct{}{}, map[string]int{}, now
	}
	_, seen := v.seen[id]
	_, before := v.before[id]
	switch {
	case seen || before:
		return invalid("it was sent before")
	case v.of[key] >= v.most-len(v.seen):
		return ErrFull
	}
	v.seen[id] = struct{}{}
	v.of[key]++
	return nil
}
