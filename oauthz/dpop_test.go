package oauthz_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/oauthz"
	"github.com/jitagent/jitagent/secret"
)

// binding is a server that binds tokens to keys, and demands nonces.
type binding struct {
	*fake.Server
	proofs *dpop.Verifier
	forms  []url.Values // of the token requests, those that were refused too
	keys   []string     // of the others
	refuse string       // every proof is refused with this code
}

func newBinding(t *testing.T) *binding {
	t.Helper()
	b := &binding{proofs: must(dpop.NewVerifier(dpop.Config{Origin: fake.Issuer, Nonces: true}))}
	b.Server = &fake.Server{Answer: on("/token", func(_ url.Values, status int, body map[string]any) (int, map[string]any) {
		if body["token_type"] != nil {
			body["token_type"] = "DPoP"
		}
		return status, body
	})}
	return b
}

func (b *binding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		text, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(text))
		b.forms = append(b.forms, form)
		r.Body = io.NopCloser(strings.NewReader(string(text)))
		w.Header().Set("DPoP-Nonce", b.proofs.Nonce())
		key, err := b.proofs.Verify(r, secret.String{}, "")
		code := b.refuse
		if code == "" && err != nil {
			code = map[bool]string{true: dpop.CodeNonce, false: dpop.CodeProof}[errors.Is(err, dpop.ErrNonce)]
		}
		if code != "" {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": code})
			return
		}
		b.keys = append(b.keys, key)
	}
	b.Server.ServeHTTP(w, r)
}

func bound(b *binding, mode oauthz.Mode) oauthz.Config {
	cfg := config(b, mode)
	cfg.DPoP = true
	return cfg
}

// token asks for a token under a task and redeems it, once a person has decided.
func token(t *testing.T, c *oauthz.Client, task string) (jit.Issued, error) {
	t.Helper()
	d, err := c.Request(t.Context(), jit.Request{TaskID: task, Detail: read("doc_1")})
	for err == nil && d.Status == jit.StatusPending {
		time.Sleep(6 * time.Second)
		d, err = c.Status(t.Context(), d.RequestID)
	}
	if err != nil {
		return jit.Issued{}, err
	}
	return c.Token(t.Context(), d.RequestID)
}

// There is a key for the agent and one for each task.
func TestKeysOfTasks(t *testing.T) {
	for _, mode := range []oauthz.Mode{oauthz.ClientCredentials, oauthz.CIBA} {
		synctest.Test(t, func(t *testing.T) {
			b := newBinding(t)
			c := must(oauthz.New(bound(b, mode)))
			want := []string{must(c.AgentToken(t.Context())).DPoP.Thumbprint()}
			var tasks []string
			for range 2 {
				task := must(c.CreateTask(t.Context(), jit.TaskSpec{OnBehalfOf: "ada"})).ID
				for range 2 {
					i := must(token(t, c, task))
					if i.Type != "DPoP" || i.DPoP == nil {
						t.Fatalf("Token() = %+v", i)
					}
					want = append(want, i.DPoP.Thumbprint())
				}
				tasks = append(tasks, task)
			}
			if !slices.Equal(b.keys, want) || want[1] != want[2] || want[3] != want[4] || len(slices.Compact(want)) != 3 {
				t.Errorf("mode %v: proofs by %v, tokens of %v", mode, b.keys, want)
			}
			if n := len(b.forms) - len(b.keys); n != 1 {
				t.Errorf("mode %v: %d requests were refused for want of a nonce, want the first alone", mode, n)
			}
			for _, task := range tasks {
				if err := c.CompleteTask(t.Context(), task); err != nil {
					t.Error(err)
				}
			}
			if n := b.Live(); n != 0 {
				t.Errorf("mode %v: %d tokens alive", mode, n)
			}
		})
	}
}

// A server that takes no notice of proofs issues what whoever copies it can use.
func TestTokensThatAreNotBoundAreNotUsed(t *testing.T) {
	s := &fake.Server{}
	cfg := config(s, oauthz.ClientCredentials)
	cfg.DPoP = true
	c := must(oauthz.New(cfg))
	if _, err := c.AgentToken(t.Context()); err == nil || !strings.Contains(err.Error(), "not bound") {
		t.Errorf("AgentToken() = %v", err)
	}
	task := must(c.CreateTask(t.Context(), jit.TaskSpec{})).ID
	if _, err := token(t, c, task); !errors.Is(err, jit.ErrSpent) || !strings.Contains(err.Error(), "not bound") || s.Live() != 0 {
		t.Errorf("Token() = %v, %d tokens alive", err, s.Live())
	}
	for want, algs := range map[string][]string{"does not say that it binds": nil, "whoever has one; it can bind": {"ES256"}} {
		s.Answer = on("/.well-known/oauth-authorization-server", func(_ url.Values, status int, body map[string]any) (int, map[string]any) {
			body["dpop_signing_alg_values_supported"] = algs
			return status, body
		})
		cfg.DPoP = algs == nil
		if can := must(must(oauthz.New(cfg)).Capabilities(t.Context())); !strings.Contains(strings.Join(can.Limits, "\n"), want) {
			t.Errorf("Capabilities() = %q, want %q", can.Limits, want)
		}
	}
}

// A refused proof says nothing of what a person decided: the request stays open.
func TestRefusedProofCostsNoDecision(t *testing.T) {
	for _, code := range []string{dpop.CodeNonce, dpop.CodeProof} {
		synctest.Test(t, func(t *testing.T) {
			b := newBinding(t)
			c := must(oauthz.New(bound(b, oauthz.CIBA)))
			d := must(request(t, c, "doc_1"))
			time.Sleep(6 * time.Second)
			b.refuse = code
			if _, err := c.Status(t.Context(), d.RequestID); err == nil || errors.Is(err, jit.ErrSpent) || len(b.forms) > 3 {
				t.Errorf("%s: Status() = %v after %d polls", code, err, len(b.forms))
			}
			b.refuse = ""
			time.Sleep(6 * time.Second)
			if now, err := c.Status(t.Context(), d.RequestID); err != nil || now.Status != jit.StatusApproved {
				t.Errorf("%s: Status() afterwards = %+v, %v", code, now, err)
			}
		})
	}
}

// A task that another process goes on with has another key: what is undecided is bound to
// that, and what was issued to the first is revoked and asked for anew. Whoever ends the
// task needs no key at all.
func TestKeysEndWithTheirProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, vault := newBinding(t), oauthz.Memory()
		process := func() *oauthz.Client {
			cfg := bound(b, oauthz.CIBA)
			cfg.Vault = vault
			return must(oauthz.New(cfg))
		}
		first, second := process(), process()
		task := must(first.CreateTask(t.Context(), jit.TaskSpec{OnBehalfOf: "ada"})).ID
		ask := func(c *oauthz.Client) jit.Decision {
			return must(c.Request(t.Context(), jit.Request{TaskID: task, Detail: read("doc_1")}))
		}
		held, open := ask(first), ask(first)
		time.Sleep(6 * time.Second)
		if d := must(first.Status(t.Context(), held.RequestID)); d.Status != jit.StatusApproved {
			t.Fatalf("Status() = %+v", d)
		}
		for name, record := range must(vault.Load(t.Context(), task)) {
			if strings.Contains(string(record), `"d"`) || strings.Contains(string(record), "PRIVATE") {
				t.Errorf("the vault has a key: %s %s", name, record)
			}
		}
		if _, err := second.Token(t.Context(), held.RequestID); !errors.Is(err, jit.ErrSpent) || b.Live() != 0 {
			t.Errorf("Token() of another process = %v, %d tokens alive; want ErrSpent, none", err, b.Live())
		}
		if d := must(second.Status(t.Context(), open.RequestID)); d.Status != jit.StatusApproved {
			t.Fatalf("Status() = %+v", d)
		}
		if i := must(second.Token(t.Context(), open.RequestID)); i.DPoP.Thumbprint() != b.keys[len(b.keys)-1] || b.Live() != 1 {
			t.Errorf("Token() = %+v, not of the new key %v; %d alive", i, b.keys, b.Live())
		}
		cfg := bound(b, oauthz.CIBA)
		cfg.DPoP, cfg.Vault = false, vault
		if err := must(oauthz.New(cfg)).CompleteTask(context.WithoutCancel(t.Context()), task); err != nil || b.Live() != 0 {
			t.Errorf("CompleteTask() without a key = %v, %d tokens alive", err, b.Live())
		}
	})
}

// An assertion that stands for the client counts once, also where the proof beside it was
// refused.
func TestAssertionsAreNotSentAgain(t *testing.T) {
	b := newBinding(t)
	cfg := bound(b, oauthz.ClientCredentials)
	cfg.ClientSecret, cfg.Key = secret.String{}, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	if _, err := must(oauthz.New(cfg)).AgentToken(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(b.forms) != 2 || b.forms[0].Get("client_assertion") == b.forms[1].Get("client_assertion") || b.forms[0].Get("grant_type") != b.forms[1].Get("grant_type") {
		t.Errorf("sent %v", b.forms)
	}
}
