package jit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// What an authority may say that stands for a standard server.

func TestTokensThatCannotBeRevokedExpireByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(time.Minute)
		authority, seen, j := &fake.Authority{}, &events{}, &journal{}
		authority.Complete = func(context.Context, int) error {
			return fmt.Errorf("over: %w", &jit.ExpiringError{Tokens: 1, Until: until})
		}
		c := offline(t, jit.Config{Authority: authority, Journal: j}, seen.observe)
		c.want200(t, "doc_1")
		c.want200(t, "doc_2")
		if err := c.task.Complete(t.Context()); err != nil || authority.Tries() != 1 {
			t.Fatalf("Complete() = %v after %d tries, want success at the first", err, authority.Tries())
		}
		event := seen.list()[len(seen.list())-1].(jit.Completed)
		if event.Issued != 2 || event.Revoked != 1 || !event.ExpiresAt.Equal(until) || event.Error != "" {
			t.Errorf("event %+v, want 1 of 2 revoked and the other's end", event)
		}
		entry := j.all()[len(j.all())-1]
		if entry.Kind != jit.EntryTaskCompleted || entry.Issued != 2 || entry.Revoked != 1 || !entry.ExpiresAt.Equal(until) {
			t.Errorf("entry %+v, want the same", entry)
		}
	})
}

// A request that is used up is not looked at again: the next call asks anew.
func TestSpentRequestIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := undecided(time.Hour, 0, 0)
		authority.Look = func(id string, _ int) (jit.Decision, error) {
			if id == "jit_1" {
				return jit.Decision{}, fmt.Errorf("the answer was lost: %w", jit.ErrSpent)
			}
			return jit.Decision{Status: jit.StatusApproved}, nil
		}
		c := offline(t, jit.Config{Authority: authority, Wait: time.Minute}, nil)
		if err := fetch(t.Context(), c, "doc_1"); !errors.Is(err, jit.ErrSpent) {
			t.Errorf("GET = %v, want ErrSpent", err)
		}
		c.want200(t, "doc_1")
		if asked, looks := len(authority.Asked()), len(authority.Looks()); asked != 2 || looks != 2 {
			t.Errorf("%d requests and %d looks, want two of each", asked, looks)
		}
	})
}

// Without a token of its own for the API the agent sends none, and learns what is demanded.
func TestAgentWithoutABaseToken(t *testing.T) {
	elsewhere, err := jit.ParseOrigin("https://other.example.com")
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range []jit.Credential{{}, {Token: secret.New(fake.BaseToken), Origin: elsewhere}} {
		authority := &fake.Authority{Login: func() (jit.Credential, error) { return base, nil }}
		var sent [][]string
		c := offline(t, jit.Config{Authority: authority}, nil)
		api := guarded(needsPath)
		c = c.over(tripper(func(r *http.Request) (*http.Response, error) {
			sent = append(sent, r.Header["Authorization"])
			return api(r)
		}))
		c.want200(t, "doc_1")
		if want := [][]string{nil, {"Bearer " + fake.TokenFor(read("doc_1"))}}; !cmp.Equal(sent, want) {
			t.Errorf("Authorization %q, want %q", sent, want)
		}
	}
}

// A token that scopes bound is told as one.
func TestScopesInPlaceOfDetailsAreTold(t *testing.T) {
	authority, seen, j := &fake.Authority{}, &events{}, &journal{}
	authority.Issue = func(_ string, d rar.Detail) jit.Issued {
		return jit.Issued{Token: secret.New(fake.TokenFor(d)), Details: []rar.Detail{d}, Scopes: []string{"docs", "read"}}
	}
	c := offline(t, jit.Config{Authority: authority, Journal: j}, seen.observe)
	c.want200(t, "doc_1")
	for _, e := range seen.list() {
		if g, ok := e.(jit.Granted); ok && !cmp.Equal(g.Scopes, []string{"docs", "read"}) {
			t.Errorf("event %+v, want its scopes", g)
		}
	}
	for _, e := range j.all() {
		if e.Kind == jit.EntryGrant && e.Message != "scope docs read" {
			t.Errorf("entry %+v, want its scopes", e)
		}
	}
}
