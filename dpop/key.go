package dpop

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/jitagent/jitagent/internal/es256"
	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/secret"
)

const (
	maxResend  = 2               // of a request whose proof was refused for want of a nonce or the time, or never answered
	maxServers = 64              // whose nonces are remembered
	maxAhead   = 24 * time.Hour  // that a server's clock may differ
	maxAnswer  = 64 << 10        // bytes of a refusal that are looked at
	maxWait    = 5 * time.Second // for that
)

// A Client makes keys, and remembers for all of them what servers say about proofs:
// their nonces and their clocks. The zero Client is ready for use; it is safe for
// concurrent use and must not be copied.
type Client struct {
	mu      sync.Mutex
	servers map[string]server // by origin
}

// A server is what is known of one.
type server struct {
	nonce string        // for the next proof; "" where it wants none
	ahead time.Duration // of its clock before ours, where it refused a proof for that
}

// A Key is a private key on P-256, whose thumbprint tokens are bound to. It is safe for
// concurrent use. Printed, it is its thumbprint.
type Key struct {
	client     *Client
	thumbprint string
	sign       func(claims) (string, error) // a func holds the key, since fmt prints unexported fields
}

// NewKey returns a new key, which nobody else has.
func (c *Client) NewKey() (*Key, error) {
	k := &Key{client: c}
	if err := k.make(); err != nil {
		return nil, fmt.Errorf("dpop: make a key: %w", err)
	}
	return k, nil
}

func (k *Key) make() error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public := jose.JSONWebKey{Key: private.Public()}
	sum, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return err
	}
	k.thumbprint = base64.RawURLEncoding.EncodeToString(sum)
	jwk, err := public.MarshalJSON()
	if err != nil {
		return err
	}
	header, err := es256.Header(map[string]any{"alg": jose.ES256, "typ": typ, "jwk": json.RawMessage(jwk)}) // once: it costs as much as the rest beside the signature
	k.sign = func(c claims) (string, error) { return es256.Sign(header, c, private) }
	return err
}

// Thumbprint names the key, as cnf.jkt of a token that is bound to it does (RFC 7638;
// section 6.1).
func (k *Key) Thumbprint() string { return k.thumbprint }

// Format implements [fmt.Formatter]: every verb prints the thumbprint.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "dpop.Key("+k.thumbprint+")") }

// RoundTrip sends req through base with a fresh proof, and under token, which must be
// bound to the key; the zero String sends it under none, as to a token endpoint. A
// request whose proof is refused for want of a nonce, or since the clocks differ, is sent
// again with what the server says, twice at most and only with a replayable body: such
// a refusal says that nothing was done. So is an idempotent one that a connection which
// was kept open lost before any answer: a [http.Transport] repeats it by itself, with the
// same proof, which must count once, and is kept from that. The answer after that is
// returned as it is, see [Refused]; its Request is req, which holds neither token nor proof.
func (k *Key) RoundTrip(base http.RoundTripper, req *http.Request, token secret.String) (*http.Response, error) {
	place := req.URL.Scheme + "://" + req.URL.Host
	now := k.client.known(place)
	body := req.Body
	for tries := 0; ; tries++ {
		proof, err := k.proof(req, token, now)
		if err != nil {
			if body != nil {
				_ = body.Close()
			}
			return nil, fmt.Errorf("dpop: sign a proof: %w", err)
		}
		var reused, answered atomic.Bool
		out := req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			GotConn:              func(c httptrace.GotConnInfo) { reused.Store(c.Reused) },
			GotFirstResponseByte: func() { answered.Store(true) },
		}))
		out.Header, out.Body = req.Header.Clone(), body
		if out.Header == nil {
			out.Header = http.Header{}
		}
		if idempotent(req) {
			if out.GetBody = nil; body == nil || body == http.NoBody {
				out.Body = io.NopCloser(http.NoBody) // what has a body that cannot be had again is not repeated
			}
		}
		out.Header.Set(Header, proof)
		if !token.IsZero() {
			out.Header.Set("Authorization", Scheme+" "+token.Reveal())
		}
		resp, err := base.RoundTrip(out)
		next, again := now, false
		if err == nil && resp != nil {
			if resp.Request = req; resp.Body == nil {
				resp.Body = http.NoBody
			}
			next, again = k.client.learn(place, now, resp, token.IsZero())
		} else if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
			again = idempotent(req) && reused.Load() && !answered.Load() && req.Context().Err() == nil
		}
		if !again || tries == maxResend {
			return resp, err
		}
		if body != nil && body != http.NoBody {
			if req.GetBody == nil {
				return resp, err
			}
			fresh, failed := req.GetBody()
			if failed != nil {
				return resp, err // which says more
			}
			body = fresh
		}
		if resp != nil {
			peer.Drain(resp)
		}
		now = next
	}
}

// idempotent reports whether a [http.Transport] takes a request for one that may be
// repeated: by its method (RFC 9110, section 9.2.2), or by its key.
func idempotent(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return req.Header["Idempotency-Key"] != nil || req.Header["X-Idempotency-Key"] != nil
}

// proof makes the proof for one sending (section 4.2).
func (k *Key) proof(req *http.Request, token secret.String, to server) (string, error) {
	c := claims{
		ID: rand.Text(), Method: cmp.Or(req.Method, http.MethodGet), URL: target(req.URL), Nonce: to.nonce,
		Made: float64(time.Now().Add(to.ahead).Unix()),
	}
	if !token.IsZero() {
		c.Token = hashOf(token)
	}
	return k.sign(c)
}

// target is a URL without query and fragment, as it goes over the wire.
func target(u *url.URL) string {
	return strings.ToLower(u.Scheme+"://"+u.Host) + cmp.Or(u.EscapedPath(), "/")
}

// hashOf is ath (section 4.2).
func hashOf(token secret.String) string {
	sum := sha256.Sum256([]byte(token.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (c *Client) known(place string) server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.servers[place]
}

// learn keeps what an answer to a proof made for used says: a nonce comes with success
// too (section 8.2). again says that it was refused for what is known by now.
func (c *Client) learn(place string, used server, resp *http.Response, tokenEndpoint bool) (now server, again bool) {
	now = used
	if nonce := header(resp.Header, HeaderNonce); validNonce(nonce) {
		now.nonce = nonce
	}
	switch refusal(resp, tokenEndpoint) {
	case CodeNonce:
		again = now.nonce != used.nonce
	case CodeProof:
		// The server's clock has one second's resolution, and the answer was under way.
		if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			if ahead := time.Until(date).Round(time.Second); ahead.Abs() <= maxAhead {
				now.ahead = ahead
			}
		}
		again = now.nonce != used.nonce || (now.ahead-used.ahead).Abs() > time.Second
	}
	if now == used {
		return now, again
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.servers[place]; c.servers == nil || !known && len(c.servers) >= maxServers {
		c.servers = map[string]server{}
	}
	c.servers[place] = now
	return now, again
}

// validNonce reports whether a nonce can stand in a proof (section 8.1).
func validNonce(nonce string) bool {
	return nonce != "" && len(nonce) <= maxNonce && !strings.ContainsFunc(nonce, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '"' || r == '\\'
	})
}

// Refused returns the error code by which an API's answer refuses the proof of a request,
// [CodeProof] or [CodeNonce], which says nothing about its token (section 7.1); "" for none.
func Refused(resp *http.Response) string { return refusal(resp, false) }

// errorParam finds the code in a challenge, wherever it stands: what comes of it is
// another proof, which the server could have asked for anyhow.
var errorParam = regexp.MustCompile(`(?i)\berror\s*=\s*"?(` + CodeNonce + `|` + CodeProof + `)\b`)

// refusal returns the code for which a proof was refused: an API says it in its challenge
// (section 7.1), and a token endpoint in the body, which is put back (sections 5 and 8).
func refusal(resp *http.Response, tokenEndpoint bool) string {
	if resp.StatusCode != http.StatusUnauthorized && (resp.StatusCode != http.StatusBadRequest || !tokenEndpoint) {
		return ""
	}
	for _, line := range resp.Header.Values("WWW-Authenticate") {
		if found := errorParam.FindStringSubmatch(line); found != nil {
			return strings.ToLower(found[1])
		}
	}
	if !tokenEndpoint {
		return ""
	}
	body, _ := peer.Peek(resp, maxAnswer, maxWait) // a body that breaks off is the reader's to find
	var answer struct {
		Error string `json:"error"`
	}
	if strictjson.Unmarshal(body, &answer) == nil && (answer.Error == CodeNonce || answer.Error == CodeProof) {
		return answer.Error
	}
	return ""
}
