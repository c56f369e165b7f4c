package jit_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// numbered gives each token another name, and an API in dialect T under /pay, in L elsewhere,
// says which served what.
type numbered struct {
	*client
	authority *fake.Authority

	mu     sync.Mutex
	issued int
	served []string // path and token
}

func newNumbered(t *testing.T, decide func(jit.Request) (jit.Decision, error)) *numbered {
	t.Helper()
	n := &numbered{authority: &fake.Authority{Decide: decide}}
	n.authority.Issue = func(_ string, d rar.Detail) jit.Issued {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.issued++
		return jit.Issued{Token: secret.New(fmt.Sprintf("canary-of-token-%d", n.issued)), Details: []rar.Detail{d}, ExpiresIn: time.Hour}
	}
	n.client = offline(t, jit.Config{Authority: n.authority, Wait: time.Minute}, nil)
	n.Transport.(*jit.Transport).Transactions = signed.reader
	n.over(fake.Transport{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		defer n.mu.Unlock()
		_, token, found := strings.Cut(r.Header.Get("Authorization"), "canary-of-")
		switch {
		case found:
			n.served = append(n.served, r.URL.Path+" "+token)
			content(w, r)
		case strings.HasPrefix(r.URL.Path, "/pay/"):
			dialects["T"](w, read("doc_1"))
		default:
			dialects["L, header"](w, read("doc_1"))
		}
	})})
	return n
}

// What a signed challenge demands is for one operation, however alike two are and whatever
// else the task was granted.
func TestTransactionsShareNoGrant(t *testing.T) {
	for name, tt := range map[string]struct {
		first   string // a call before, if any
		ids     [2]string
		person  bool
		decided int
	}{
		"two calls":                    {"", [2]string{"1", "2"}, false, 2},
		"one call":                     {"", [2]string{"1", "1"}, false, 2},
		"two calls, a person decides":  {"", [2]string{"1", "2"}, true, 2},
		"one call, a person decides":   {"", [2]string{"1", "1"}, true, 2},
		"after a grant for the same":   {"/docs/doc_1", [2]string{"1", "2"}, false, 3},
		"after one, a person decides":  {"/docs/doc_1", [2]string{"1", "1"}, true, 3},
		"after a transaction's":        {"/pay/doc_1", [2]string{"1", "2"}, false, 3},
		"after one of the same person": {"/pay/doc_1", [2]string{"1", "1"}, true, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNumbered(t, func(jit.Request) (jit.Decision, error) {
					time.Sleep(time.Second) // of the bubble: so the other call comes meanwhile
					if tt.person {
						return jit.Decision{Status: jit.StatusPending, ExpiresAt: time.Now().Add(time.Hour)}, nil
					}
					return jit.Decision{Status: jit.StatusApproved}, nil
				})
				send := func(id, path string) {
					call := jit.Call{ID: id, Tool: "pay", Args: "alike", Ceiling: []rar.Detail{read("doc_1")}}
					if status, _, err := n.send(t.Context(), call, "GET", n.base+path, ""); err != nil || status != 200 {
						t.Errorf("call %s: GET %s = %d, %v", id, path, status, err)
					}
				}
				if tt.first != "" {
					send("1", tt.first)
				}
				var both sync.WaitGroup
				for _, id := range tt.ids {
					both.Go(func() { send(id, "/pay/doc_1") })
				}
				both.Wait()
				if asked := len(n.authority.Requests()); asked != tt.decided || len(n.served) != tt.decided {
					t.Errorf("%d requests, served %v, want %d of each", asked, n.served, tt.decided)
				}
				tokens := map[string]bool{}
				for _, one := range n.served {
					tokens[one[strings.LastIndexByte(one, ' '):]] = true
				}
				if len(tokens) != len(n.served) {
					t.Errorf("served %v: a token for two operations", n.served)
				}
				before := len(n.authority.Requests())
				send("3", "/docs/doc_1") // no other call is served by what they left
				if tt.first != "/docs/doc_1" && len(n.authority.Requests()) != before+1 {
					t.Errorf("a transaction's token served another demand: %v", n.served)
				}
			})
		})
	}
}

// An API may demand details first, and then, of a request that has them, that they be
// confirmed: what was granted is neither enough nor void.
func TestTransactionAfterDetailsOfTheSameCall(t *testing.T) {
	for _, status := range []jit.Status{jit.StatusApproved, jit.StatusPending} {
		synctest.Test(t, func(t *testing.T) {
			n := newNumbered(t, func(jit.Request) (jit.Decision, error) {
				return jit.Decision{Status: status, ExpiresAt: time.Now().Add(time.Hour)}, nil
			})
			n.over(fake.Transport{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch _, token, _ := strings.Cut(r.Header.Get("Authorization"), "canary-of-token-"); token {
				case "":
					dialects["L, header"](w, read("doc_1"))
				case "1":
					dialects["T"](w, read("doc_1"))
				default:
					content(w, r)
				}
			})})
			for range 2 { // the second begins with the first token
				call := jit.Call{ID: "1", Tool: "pay", Args: "alike", Ceiling: []rar.Detail{read("doc_1")}}
				if code, _, err := n.send(t.Context(), call, "GET", n.base+"/pay/doc_1", ""); err != nil || code != 200 {
					t.Errorf("%s: GET = %d, %v", status, code, err)
				}
			}
			if asked := len(n.authority.Requests()); asked != 3 {
				t.Errorf("%s: %d requests, want 3", status, asked)
			}
		})
	}
}

// Nobody is asked twice for an operation that waits, though the API numbers it anew.
func TestPendingTransactionIsGoneOnWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNumbered(t, func(jit.Request) (jit.Decision, error) {
			return jit.Decision{Status: jit.StatusPending, ExpiresAt: time.Now().Add(time.Hour)}, nil
		})
		var decided atomic.Bool
		n.authority.Look = func(id string, _ int) (jit.Decision, error) {
			if decided.Load() {
				return jit.Decision{RequestID: id, Status: jit.StatusApproved}, nil
			}
			return jit.Decision{RequestID: id, Status: jit.StatusPending}, nil
		}
		call := jit.Call{ID: "1", Tool: "pay", Ceiling: []rar.Detail{read("doc_1")}}
		if _, _, err := n.send(t.Context(), call, "GET", n.base+"/pay/doc_1", ""); !errors.Is(err, jit.ErrPending) {
			t.Fatalf("GET = %v, want pending", err)
		}
		decided.Store(true)
		if status, _, err := n.send(t.Context(), call, "GET", n.base+"/pay/doc_1", ""); err != nil || status != 200 || len(n.authority.Requests()) != 1 {
			t.Errorf("GET = %d, %v after %d requests, want 200 after one", status, err, len(n.authority.Requests()))
		}
	})
}

// A challenge that was answered, or that another call was answered with, is refused.
func TestTransactionServesOnce(t *testing.T) {
	for _, ids := range [][2]string{{"1", "2"}, {"1", "1"}} {
		n := newNumbered(t, nil)
		jws := signed.sign(read("doc_1"))
		served := false
		n.over(fake.Transport{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if served = r.Header.Get("Authorization") != "Bearer "+fake.BaseToken; served {
				content(w, r)
				return
			}
			bearerError(w, 401, `error="transaction_authorization_required", transaction_challenge="`+jws+`"`)
		})})
		for i, want := range []error{nil, jit.ErrUnreadable} {
			_, _, err := n.send(t.Context(), jit.Call{ID: ids[i], Ceiling: []rar.Detail{read("doc_1")}}, "GET", n.base+"/pay/doc_1", "")
			if !errors.Is(err, want) || served != (want == nil) || len(n.authority.Requests()) != 1 {
				t.Errorf("calls %v: GET %d = %v after %d requests, want %v after one", ids, i, err, len(n.authority.Requests()), want)
			}
		}
	}
}

// A challenge may be bound to the key of which the request had a proof, and to no other.
func TestTransactionIsBoundToTheKey(t *testing.T) {
	var keys dpop.Client
	for _, another := range []bool{false, true} {
		p := newProven(t, false)
		key := must(p.authority.Login()).DPoP
		if another {
			key = must(keys.NewKey())
		}
		p.Transport.(*jit.Transport).Transactions = signed.reader
		p.before = func(n int, _ *http.Request) (string, error) {
			if n > 1 {
				return "", nil
			}
			return `transaction_authorization_required", transaction_challenge="` + signed.sign(read("doc_1"), key.Thumbprint()), nil
		}
		err := fetch(t.Context(), p.client, "doc_1")
		if another != errors.Is(err, jit.ErrUnreadable) || !another && err != nil {
			t.Errorf("bound to another key %v: GET = %v; asked for %v", another, err, p.authority.Asked())
		}
	}
}
