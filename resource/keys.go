package resource

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/jitagent/jitagent/oauth"
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
)

// A keySet holds the authorization server's public keys.
type keySet struct {
	client *http.Client
	url    string
	now    func() time.Time
	flight singleflight.Group

	mu      sync.Mutex
	keys    oauth.Keys
	fetched time.Time // zero: never
	failed  time.Time // last failed fetch since then; zero: none
}

func newKeySet(client *http.Client, url string, now func() time.Time) *keySet {
	return &keySet{client: client, url: url, now: now}
}

// find returns the keys that may have signed token. It fetches when it holds none or
// they are old, and when the key is not among them, as after a rotation. None is no
// error: the server does not know the key either.
func (s *keySet) find(ctx context.Context, token oauth.Signed) (oauth.Keys, error) {
	found, state := s.look(token)
	if state == settled {
		return found, nil
	}
	if state == backingOff {
		return nil, unavailable(errors.New("the keys could not be fetched a moment ago"))
	}
	// One fetch serves all waiters, so none of them may cancel it; each may leave.
	wait := s.flight.DoChan("", func() (any, error) {
		if _, state := s.look(token); state != wanted {
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
	found, state = s.look(token)
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

func (s *keySet) look(token oauth.Signed) (oauth.Keys, lookState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	age := now.Sub(s.fetched)
	fresh := !s.fetched.IsZero() && age < keyAge
	var found oauth.Keys
	if fresh {
		found = s.keys.Find(token)
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
	var keys oauth.Keys
	if err == nil {
		keys, err = oauth.ParseKeys(body)
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
