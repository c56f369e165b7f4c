package jit_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// proven is an authorization server of bound tokens, and an API that wants proofs for them.
type proven struct {
	*client
	authority *fake.Authority
	journal   *journal
	sent      []string // method, token and what came of it
	// before may answer the n-th sending in the API's place, by an error code of its
	// challenge or an error.
	before func(n int, r *http.Request) (code string, err error)
}

func newProven(t *testing.T, nonces bool) *proven {
	t.Helper()
	var keys dpop.Client
	own, tasks := must(keys.NewKey()), must(keys.NewKey())
	p := &proven{journal: &journal{}, authority: &fake.Authority{
		Login: func() (jit.Credential, error) {
			return jit.Credential{Token: secret.New(fake.BaseToken), DPoP: own}, nil
		},
		Issue: func(_ string, d rar.Detail) jit.Issued {
			return jit.Issued{Token: secret.New(fake.TokenFor(d)), Type: "DPoP", DPoP: tasks, ExpiresIn: time.Minute, Details: []rar.Detail{d}}
		},
	}}
	p.client = offline(t, jit.Config{Authority: p.authority, Journal: p.journal}, nil)
	v := must(dpop.NewVerifier(dpop.Config{Origin: p.base, Nonces: nonces}))
	api := guarded(needsPath)
	p.over(tripper(func(r *http.Request) (*http.Response, error) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		who, bound := "base", own.Thumbprint()
		if token != fake.BaseToken {
			who, bound = "grant", tasks.Thumbprint()
		}
		if scheme != "DPoP" || len(r.Header["Authorization"]) != 1 {
			t.Errorf("the token of the %s goes out as %q", who, scheme)
		}
		refuse := func(code string) (*http.Response, error) {
			p.sent = append(p.sent, r.Method+" "+who+" "+code)
			rec := httptest.NewRecorder()
			rec.Header().Set("WWW-Authenticate", fmt.Sprintf(`DPoP error="%s"`, code))
			rec.Header().Set("DPoP-Nonce", v.Nonce())
			rec.WriteHeader(http.StatusUnauthorized)
			return rec.Result(), nil
		}
		if p.before != nil {
			if code, err := p.before(len(p.sent)+1, r); err != nil {
				p.sent = append(p.sent, r.Method+" "+who+" broke")
				return nil, err
			} else if code != "" {
				return refuse(code)
			}
		}
		switch _, err := v.Verify(r, secret.New(token), bound); {
		case errors.Is(err, dpop.ErrNonce):
			return refuse(dpop.CodeNonce)
		case err != nil:
			t.Errorf("the proof for the %s: %v", who, err)
		}
		p.sent = append(p.sent, r.Method+" "+who)
		in := r.Clone(r.Context())
		in.Header.Set("Authorization", "Bearer "+token)
		return api(in)
	}))
	return p
}

func (p *proven) wantSent(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, p.sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	p.sent = nil
}

// A token that is bound to a key is never sent without a fresh proof, nor as a bearer
// token: neither the agent's own nor a grant's, nor when a request is sent again.
func TestBoundTokensAreProven(t *testing.T) {
	p := newProven(t, false)
	p.want200(t, "doc_1")
	p.wantSent(t, "GET base", "GET grant")
	p.before = func(n int, _ *http.Request) (string, error) {
		if n == 1 {
			return "", syscall.ECONNRESET
		}
		return "", nil
	}
	p.want200(t, "doc_1") // the verifier takes no proof twice
	p.wantSent(t, "GET grant broke", "GET grant")
	if err := p.task.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, e := range p.journal.all() {
		if text := fmt.Sprintf("%+v", e); strings.Contains(text, "canary") || strings.Contains(text, "dpop+jwt") {
			t.Errorf("the journal has %s", text)
		}
	}
}

// An API that wants a nonce refuses the proof and not the token: nobody is asked again.
func TestNonceDoesNotCostTheGrant(t *testing.T) {
	p := newProven(t, true)
	p.want200(t, "doc_1")
	p.wantSent(t, "GET base use_dpop_nonce", "GET base", "GET grant")
	for _, code := range []string{"use_dpop_nonce", "invalid_dpop_proof"} {
		p.before = func(int, *http.Request) (string, error) { return code, nil }
		err := fetch(t.Context(), p.client, "doc_1")
		if err == nil || !strings.HasSuffix(err.Error(), ": the API refuses the proof that the token's key made: "+code) || len(p.sent) > 3 || len(p.authority.Asked()) != 1 {
			t.Errorf("%s for ever: %v after %v", code, err, p.sent)
		}
		all := p.journal.all()
		if i := slices.IndexFunc(all, func(e jit.Entry) bool { return e.Kind == jit.EntryRefused && strings.HasSuffix(e.Error, code) }); i < 0 {
			t.Errorf("%s for ever: the journal does not say it: %+v", code, all)
		}
		p.sent, p.before = nil, nil
		p.want200(t, "doc_1")
		p.wantSent(t, "GET grant")
	}
	if n := len(p.authority.Asked()); n != 1 {
		t.Errorf("%d requests, want one", n)
	}
	// What is void is void all the same.
	p.before = func(n int, _ *http.Request) (string, error) { return map[int]string{1: "invalid_token"}[n], nil }
	p.want200(t, "doc_1")
	p.wantSent(t, "GET grant invalid_token", "GET base", "GET grant")
}

// A proof that is refused says that the effect did not happen: it is sent with another, as
// the same effect, and happens once.
func TestEffectWithANonceHappensOnce(t *testing.T) {
	p := newProven(t, true)
	keys := map[string]bool{}
	p.before = func(_ int, r *http.Request) (string, error) {
		keys[strings.Join(r.Header[strings.ToLower(jit.HeaderIdempotencyKey)], ",")] = true
		return "", nil
	}
	call := jit.Call{ID: "1", Tool: "report", Ceiling: []rar.Detail{write("reports")}}
	for range 2 { // the second is answered as the first was
		if status, _, err := p.send(t.Context(), call, http.MethodPost, p.base+"/reports", "a report"); err != nil || status != http.StatusOK {
			t.Fatalf("POST = %d, %v", status, err)
		}
	}
	p.wantSent(t, "POST base use_dpop_nonce", "POST base", "POST grant")
	if len(keys) != 1 {
		t.Errorf("keys %v, want one", keys)
	}
}

// A token that is not bound to the key it was asked for with is not used, nor is one that
// is bound to a key which nobody has.
func TestTokenOfTheWrongKindIsNotUsed(t *testing.T) {
	for name, change := range map[string]func(*jit.Issued){
		"bearer":   func(i *jit.Issued) { i.Type = "Bearer" },
		"not said": func(i *jit.Issued) { i.Type = "" },
		"no key":   func(i *jit.Issued) { i.DPoP = nil },
	} {
		p := newProven(t, false)
		issue := p.authority.Issue
		p.authority.Issue = func(id string, d rar.Detail) jit.Issued {
			i := issue(id, d)
			change(&i)
			return i
		}
		if err := fetch(t.Context(), p.client, "doc_1"); err == nil {
			t.Errorf("%s: GET works", name)
		}
		p.wantSent(t, "GET base")
	}
}

// A tool that does not speak HTTP gets the key with the grant.
func TestAcquiredGrantHasItsKey(t *testing.T) {
	p := newProven(t, false)
	g, err := jit.Acquire(p.task.Call(t.Context(), jit.Call{Ceiling: []rar.Detail{read("doc_1")}}), read("doc_1"))
	if err != nil || g.DPoP == nil {
		t.Fatalf("Acquire() = %v, %v", g, err)
	}
	if text := fmt.Sprintf("%+v %#v", g, g); strings.Contains(text, "canary") {
		t.Errorf("a grant prints as %s", text)
	}
}
