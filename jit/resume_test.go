package jit_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
)

// A fault in the last look must not leave a request behind that is looked at for
// ever and never asked again.
func TestLapsedRequestIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := undecided(10*time.Second, 0, 0)
		fault := errors.New("not found")
		authority.Look = func(string, int) (jit.Decision, error) { return jit.Decision{}, fault }
		c := offline(t, jit.Config{Authority: authority}, nil)
		_ = fetch(t.Context(), c, "doc_1") // pending
		time.Sleep(time.Minute)
		if err := fetch(t.Context(), c, "doc_1"); !errors.Is(err, fault) {
			t.Errorf("GET after the window = %v, want the fault", err)
		}
		if err := fetch(t.Context(), c, "doc_1"); !errors.Is(err, jit.ErrPending) || len(authority.Requests()) != 2 {
			t.Errorf("GET = %v after %d requests, want pending after 2", err, len(authority.Requests()))
		}
	})
}

// The call made again goes on with the same request: nobody is asked twice.
func TestCallMadeAgainResumesTheRequest(t *testing.T) {
	for _, wait := range []time.Duration{0, 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			authority := undecided(time.Hour, 0, 0)
			c := offline(t, jit.Config{Authority: authority, Wait: wait}, nil)
			for range 3 {
				if err := fetch(t.Context(), c, "doc_1"); !errors.Is(err, jit.ErrPending) {
					t.Fatalf("GET = %v, want pending", err)
				}
				time.Sleep(time.Minute)
			}
			looks := len(authority.Looks())
			time.Sleep(10 * time.Minute)
			if n := len(authority.Looks()); n != looks {
				t.Errorf("wait %s: %d looks while nobody waits, want none", wait, n-looks)
			}
			synctest.Wait()
			authority.Look = nil // approved, while nobody waited
			if err := fetch(t.Context(), c, "doc_1"); err != nil || len(authority.Requests()) != 1 || authority.Redeemed() != 1 {
				t.Errorf("wait %s: GET = %v after %d requests and %d tokens, want 200 after 1 and 1", wait, err, len(authority.Requests()), authority.Redeemed())
			}
		})
	}
}

func TestApprovalOutlivesALostRedemption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := undecided(time.Hour, 1, jit.StatusApproved)
		authority.Redeem = func(n int) error {
			if n == 1 {
				return transient{}
			}
			return nil
		}
		c := offline(t, jit.Config{Authority: authority, Wait: time.Minute}, nil)
		if err := fetch(t.Context(), c, "doc_1"); !errors.As(err, &transient{}) {
			t.Fatalf("GET = %v, want the fault of the redemption", err)
		}
		if err := fetch(t.Context(), c, "doc_1"); err != nil || len(authority.Requests()) != 1 {
			t.Errorf("GET = %v after %d requests, want 200: the person has decided already", err, len(authority.Requests()))
		}
	})
}

func TestUnredeemableApprovalIsAskedAgain(t *testing.T) {
	authority := &fake.Authority{Redeem: func(n int) error {
		if n == 1 {
			return errors.New("window closed")
		}
		return nil
	}}
	c := offline(t, jit.Config{Authority: authority}, nil)
	if err := fetch(t.Context(), c, "doc_1"); err == nil {
		t.Fatal("GET works, want the fault of the redemption")
	}
	if err := fetch(t.Context(), c, "doc_1"); err != nil || len(authority.Requests()) != 2 {
		t.Errorf("GET = %v after %d requests, want 200 after 2", err, len(authority.Requests()))
	}
}

// The approval that arrives as the last waiter leaves is used by the next call,
// and redeemed once.
func TestApprovalInTheMomentOfLeaving(t *testing.T) {
	for name, back := range map[string]time.Duration{"while it is redeemed": 8 * time.Second, "while it is looked at": 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			authority := undecided(time.Hour, 0, 0)
			authority.Look = func(string, int) (jit.Decision, error) {
				time.Sleep(4 * time.Second) // whatever happens to the waiters
				return jit.Decision{Status: jit.StatusApproved}, nil
			}
			authority.Redeem = func(int) error { time.Sleep(10 * time.Second); return nil }
			c := offline(t, jit.Config{Authority: authority, Wait: time.Hour}, nil)
			ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second) // the look is under way
			defer cancel()
			if err := fetch(ctx, c, "doc_1"); !errors.Is(err, jit.ErrPending) {
				t.Fatalf("%s: GET = %v, want pending", name, err)
			}
			time.Sleep(back - 3*time.Second)
			if err := fetch(t.Context(), c, "doc_1"); err != nil || len(authority.Requests()) != 1 || authority.Redeemed() != 1 {
				t.Errorf("%s: GET = %v after %d requests and %d tokens, want 200 after 1 and 1", name, err, len(authority.Requests()), authority.Redeemed())
			}
		})
	}
}
