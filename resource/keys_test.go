package resource_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/jitagent/jitagent/resource"
)

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	v := a.verifier(t)
	old := a.token(nil)
	if _, err := verify(t, v, old); err != nil {
		t.Fatal(err)
	}

	next := newKey(t)
	fresh := a.sign(jose.ES256, next, "key-2", "at+jwt", a.claims(nil))
	a.locked(func() { a.jwks = []jose.JSONWebKey{public("key-2", next)} })
	a.pass(11 * time.Second)
	if _, err := verify(t, v, fresh); err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
	if _, err := verify(t, v, old); !errors.Is(err, resource.ErrInvalidToken) {
		t.Errorf("a token of the withdrawn key: %v, want ErrInvalidToken", err)
	}
}

func TestWithdrawnKeyStopsWithoutAnotherInSight(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	v := a.verifier(t)
	if _, err := verify(t, v, a.token(nil)); err != nil {
		t.Fatal(err)
	}
	a.locked(func() { a.jwks = nil })
	a.pass(time.Hour)
	if _, err := verify(t, v, a.token(nil)); !errors.Is(err, resource.ErrInvalidToken) {
		t.Errorf("an hour later: %v, want ErrInvalidToken", err)
	}
}

func TestUnknownKeysCauseFewFetches(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	v := a.verifier(t)
	flood := func() {
		var wg sync.WaitGroup
		for i := range 200 {
			token := a.sign(jose.ES256, a.key, fmt.Sprint("made-up-", i), "at+jwt", a.claims(nil))
			wg.Go(func() {
				if _, err := verify(t, v, token); !errors.Is(err, resource.ErrInvalidToken) {
					t.Errorf("Verify(made up kid) = %v, want ErrInvalidToken", err)
				}
			})
		}
		wg.Wait()
	}
	flood()
	if n := a.keyFetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
	a.pass(10 * time.Second)
	flood()
	if n := a.keyFetches.Load(); n != 2 {
		t.Errorf("%d fetches after the gap, want 2", n)
	}
	if _, err := verify(t, v, a.token(nil)); err != nil {
		t.Errorf("a good token after the flood: %v", err)
	}
}

func TestConcurrentFirstTokensShareOneFetch(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	v := a.verifier(t)
	token := a.token(nil)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := verify(t, v, token); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := a.keyFetches.Load(); n != 1 {
		t.Errorf("%d fetches of the keys, want 1", n)
	}
	if n := a.introspections.Load(); n != 50 {
		t.Errorf("%d introspections for 50 calls, want one each", n)
	}
}

func TestKeysThatCannotBeFetched(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	fetches, broken := 0, true
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetches++
		if broken {
			_, _ = w.Write([]byte("<html>proxy error</html>"))
			return
		}
		a.serveKeys(w, r)
	}))
	t.Cleanup(keys.Close)
	cfg := a.config()
	cfg.JWKSURL = keys.URL
	v, err := resource.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := verify(t, v, a.token(nil)); !errors.Is(err, resource.ErrUnavailable) {
			t.Errorf("Verify() = %v, want ErrUnavailable", err)
		}
	}
	if fetches != 1 {
		t.Errorf("%d fetches at one moment, want 1", fetches)
	}
	broken = false
	a.pass(time.Second)
	if _, err := verify(t, v, a.token(nil)); err != nil {
		t.Errorf("once the keys are back: %v", err)
	}
	// Keys that are too old do not do, even when the signature would hold.
	broken = true
	a.pass(time.Hour)
	if _, err := verify(t, v, a.token(nil)); !errors.Is(err, resource.ErrUnavailable) {
		t.Errorf("with old keys and none to be had: %v, want ErrUnavailable", err)
	}
}

func TestOneWaiterLeavesAndTheOthersStay(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	entered, release := make(chan struct{}), make(chan struct{})
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered) // a second fetch would panic
		<-release
		a.serveKeys(w, r)
	}))
	t.Cleanup(keys.Close)
	cfg := a.config()
	cfg.JWKSURL = keys.URL
	v, err := resource.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	token := a.token(nil)
	ctx, leave := context.WithCancel(t.Context())
	left, stayed := make(chan error, 1), make(chan error, 1)
	go func() {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		_, err := v.Verify(ctx, r)
		left <- err
	}()
	<-entered
	go func() {
		_, err := verify(t, v, token)
		stayed <- err
	}()
	leave()
	if err := <-left; !errors.Is(err, resource.ErrUnavailable) {
		t.Errorf("the waiter that left got %v, want ErrUnavailable", err)
	}
	close(release)
	if err := <-stayed; err != nil {
		t.Errorf("the waiter that stayed got %v", err)
	}
}
