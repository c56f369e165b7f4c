package resource

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/singleflight"

	"github.com/jitagent/jitagent/internal/strictjson"
)

const (
	// keyAge is how long fetched keys are trusted, so that a withdrawn key
	// stops. It is the max-age that LumoAuth sends with its keys.
	keyAge = time.Hour
	// keyGap is the least time between two fetches for keys not yet known:
	// anyone can make up key ids.
	keyGap = 10 * time.Second
	// keyRetry is the least time between a fetch that failed and the next.
	keyRetry = time.Second

	maxKeys    = 64
	minRSABits = 2048
)

// A keySet holds the authorization server's public keys.
type keySet struct {
	client *http.Client
	url    string
	now    func() time.Time
	flight singleflight.Group

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time // zero: never
	failed  time.Time // last failed fetch since then; zero: none
}

func newKeySet(client *http.Client, url string, now func() time.Time) *keySet {
	return &keySet{client: client, url: url, now: now}
}

// find returns the keys that are named kid and fit alg. It fetches when it holds
// none or they are old, and when kid is not among them, as after a rotation.
// None is no error: the server does not know the key either.
func (s *keySet) find(ctx context.Context, kid string, alg jose.SignatureAlgorithm) ([]jose.JSONWebKey, error) {
	found, state := s.look(kid, alg)
	if state == settled {
		return found, nil
	}
	if state == backingOff {
		return nil, unavailable(errors.New("the keys could not be fetched a moment ago"))
	}
	// One fetch serves all waiters, so none of them may cancel it; each may leave.
	wait := s.flight.DoChan("", func() (any, error) {
		if _, state := s.look(kid, alg); state != wanted {
			return nil, nil // another flight landed in between
		}
		return nil, s.fetch(context.WithoutCancel(ctx))
	})
	select {
	case r := <-wait:
		if r.Err != nil {
			return nil, unavailable(r.Err)
		}
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
	found, state = s.look(kid, alg)
	if state == backingOff {
		return nil, unavailable(errors.New("the keys could not be fetched"))
	}
	return found, nil
}

type lookState uint8

const (
	wanted     lookState = iota // a fetch may help
	settled                     // the answer stands
	backingOff                  // a fetch failed just now
)

func (s *keySet) look(kid string, alg jose.SignatureAlgorithm) ([]jose.JSONWebKey, lookState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	age := now.Sub(s.fetched)
	fresh := !s.fetched.IsZero() && age < keyAge
	var found []jose.JSONWebKey
	if fresh {
		for _, k := range s.keys {
			if k.KeyID == kid && fits(k, alg) {
				found = append(found, k)
			}
		}
	}
	switch {
	case len(found) > 0, fresh && age < keyGap:
		return found, settled
	case !s.failed.IsZero() && now.Sub(s.failed) < keyRetry:
		return nil, backingOff
	}
	return nil, wanted
}

func (s *keySet) fetch(ctx context.Context) error {
	body, err := get(ctx, s.client, s.url)
	var keys []jose.JSONWebKey
	if err == nil {
		keys, err = parseKeys(body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed = s.now()
		return err
	}
	s.keys, s.fetched, s.failed = keys, s.now(), time.Time{}
	return nil
}

// parseKeys decodes a JWK set. Keys of kinds that it does not know are skipped
// (RFC 7517, section 5), and so are private and symmetric ones.
func parseKeys(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := strictjson.Unmarshal(body, &set); err != nil {
		return nil, errors.New("key set is not strict JSON")
	}
	if len(set.Keys) > maxKeys {
		return nil, errors.New("key set holds too many keys")
	}
	keys := make([]jose.JSONWebKey, 0, len(set.Keys))
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) != nil || !k.Valid() || !k.IsPublic() || k.KeyID == "" {
			continue
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// fits reports whether k may verify alg. A key that names another algorithm or
// use does not, whatever its kind.
func fits(k jose.JSONWebKey, alg jose.SignatureAlgorithm) bool {
	if k.Use != "" && k.Use != "sig" {
		return false
	}
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
