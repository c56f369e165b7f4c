package lumoauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/secret"
)

// SDKs count only 200 as completed, forget the id before sending, or cannot try
// again.
func TestWeakness14_CompleteIsDependable(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"200": replies(200, `{"status":"completed"}`),
		"202": replies(202, ``),
		"204": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"404": replies(404, `{"error":"resource_not_found"}`),
		"404 without a body": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
		},
		"after a failure": inTurn(replies(500, ``), replies(200, `{}`)),
	} {
		c := inMemory(t, newFake(map[string]http.HandlerFunc{completeRoute: h}), func(c *Config) { c.MaxWait = time.Millisecond })
		for range 2 { // again after success, as after a crash
			if err := c.CompleteTask(t.Context(), "task_1"); err != nil {
				t.Errorf("%s: CompleteTask() = %v", name, err)
			}
		}
	}
	// A 404 at the login, or one that is not the API's, says nothing about the task.
	lost := inMemory(t, newFake(map[string]http.HandlerFunc{loginRoute: replies(404, `{"error":"not_found"}`)}))
	if err := lost.CompleteTask(t.Context(), "task_1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("CompleteTask() without a login = %v, want %v", err, ErrNotFound)
	}
	for name, h := range map[string]http.HandlerFunc{
		"wrong organization": replies(404, `{"error":"invalid_tenant"}`),
		"page of a proxy": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(404)
		},
	} {
		c := inMemory(t, newFake(map[string]http.HandlerFunc{completeRoute: h}))
		if err := c.CompleteTask(t.Context(), "task_1"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: CompleteTask() = %v, want %v", name, err, ErrNotFound)
		}
	}
	// Neither does an answer that is not the API's, whatever its status.
	for name, body := range map[string]string{
		"page": "<html>please log in</html>", "list": "[]", "text": `"ok"`, "half": `{"status":`, "of another task": `{"task_id":"task_2"}`,
	} {
		c := inMemory(t, newFake(map[string]http.HandlerFunc{completeRoute: replies(200, body)}))
		if err := c.CompleteTask(t.Context(), "task_1"); !errors.Is(err, ErrInvalidResponse) {
			t.Errorf("%s: CompleteTask() = %v, want %v", name, err, ErrInvalidResponse)
		}
	}
}

// A long approval outlives the agent's token in SDKs; then nothing works any more,
// not even giving the authority back.
func TestWeakness15_LongWaitsOutliveTheAgentToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The server takes only the newest token, and that for an hour.
		var f *fake
		var issued time.Time
		n := 0
		fresh := func(next http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != fmt.Sprintf("Bearer t-%d", n) || time.Since(issued) > time.Hour {
					reply(w, 401, `{"error":"invalid_token"}`)
					return
				}
				next(w, r)
			}
		}
		routes := goodRoutes()
		for route, h := range routes {
			routes[route] = fresh(h)
		}
		routes[loginRoute] = func(w http.ResponseWriter, _ *http.Request) {
			n++
			issued = time.Now()
			reply(w, 200, fmt.Sprintf(`{"access_token":"t-%d","token_type":"Bearer","expires_in":3600}`, n))
		}
		f = newFake(routes)
		c := inMemory(t, f)
		for _, op := range operations()[1:7] {
			if op.name == "CompleteTask" {
				continue
			}
			if err := op.call(t.Context(), c); err != nil {
				t.Errorf("%s = %v", op.name, err)
			}
			time.Sleep(3 * time.Hour)
		}
		if err := c.CompleteTask(t.Context(), "task_1"); err != nil {
			t.Errorf("CompleteTask() after hours = %v", err)
		}
		if got := f.count(""); got != 12 {
			t.Errorf("%d requests, want a login and a call, six times", got)
		}
	})
}

// A delegated token never expires in SDKs, so it fails after its hour.
func TestWeakness16_DelegatedTokensRenewThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchanges := 0
		f := newFake(nil)
		login := f.routes[loginRoute]
		f.routes[loginRoute] = func(w http.ResponseWriter, r *http.Request) {
			calls := f.saw("")
			if !strings.Contains(calls[len(calls)-1].body, "token-exchange") {
				login(w, r)
				return
			}
			exchanges++
			reply(w, 200, fmt.Sprintf(`{"access_token":"delegated-%d","token_type":"Bearer","expires_in":600,
				"issued_token_type":"urn:ietf:params:oauth:token-type:access_token","scope":"read"}`, exchanges))
		}
		c := inMemory(t, f)
		subjects := 0
		d, err := c.ExchangeOnBehalfOf(t.Context(), Exchange{
			Scopes: []string{"read", "write"},
			Subject: func(context.Context) (secret.String, error) {
				subjects++
				return secret.New(fmt.Sprintf("user-%d", subjects)), nil
			},
		})
		if err != nil {
			t.Fatalf("ExchangeOnBehalfOf() = %v", err)
		}
		const want = "actor_token=agent-token-1&actor_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token" +
			"&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&scope=read+write" +
			"&subject_token=user-1&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"
		if last := f.saw(loginRoute)[1]; last.body != want || last.auth != "" {
			t.Errorf("exchange sent %q with Authorization %q, want %q and none", last.body, last.auth, want)
		}
		for _, step := range []struct {
			wait  time.Duration
			token string
		}{{0, "delegated-1"}, {539 * time.Second, "delegated-1"}, {time.Second, "delegated-2"}, {time.Hour, "delegated-3"}} {
			time.Sleep(step.wait)
			if got, err := d.Token(t.Context()); err != nil || got.Token.Reveal() != step.token {
				t.Errorf("Token() %v later = %q, %v, want %q", step.wait, got.Token.Reveal(), err, step.token)
			}
		}
		if subjects != 3 || exchanges != 3 {
			t.Errorf("%d subjects and %d exchanges, want 3 of each", subjects, exchanges)
		}
		if got, err := d.Scopes(t.Context()); err != nil || !reflect.DeepEqual(got, []string{"read"}) {
			t.Errorf("Scopes() = %q, %v, want the narrower ones granted", got, err)
		}
	})
}

func TestWeakness16_FailedExchanges(t *testing.T) {
	for name, tt := range map[string]struct {
		ex     Exchange
		answer http.HandlerFunc
		want   error
	}{
		"no subject":        {Exchange{}, replies(200, ``), nil},
		"empty subject":     {Exchange{Subject: static(secret.String{})}, replies(200, ``), nil},
		"bad scope":         {Exchange{Subject: static(secret.New("user-token")), Scopes: []string{"a b"}}, replies(200, ``), nil},
		"not allowed":       {Exchange{Subject: static(secret.New("user-token"))}, replies(403, `{"error":"delegation_not_allowed"}`), ErrForbidden},
		"user token spent":  {Exchange{Subject: static(secret.New("user-token"))}, replies(400, `{"error":"invalid_grant"}`), nil},
		"unusable response": {Exchange{Subject: static(secret.New("user-token"))}, replies(200, `{"access_token":"x","token_type":"N_A"}`), ErrInvalidResponse},
		"subject fails": {Exchange{Subject: func(context.Context) (secret.String, error) {
			return secret.String{}, http.ErrNoCookie
		}}, replies(200, ``), http.ErrNoCookie},
	} {
		f := newFake(nil)
		f.routes[loginRoute] = inTurn(f.routes[loginRoute], tt.answer)
		d, err := inMemory(t, f).ExchangeOnBehalfOf(t.Context(), tt.ex)
		if err == nil || d != nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: ExchangeOnBehalfOf() = %v, %v, want the error %v", name, d, err, tt.want)
		}
		if n := f.count(""); n > 2 {
			t.Errorf("%s: %d requests, want a login and at most one exchange", name, n)
		}
	}
}

// Under the race detector: everything at once on one client.
func TestWeakness17_ClientsAreSafeForConcurrentUse(t *testing.T) {
	c := overSockets(t, newFake(goodRoutes()))
	var wg sync.WaitGroup
	for range 8 {
		for _, op := range operations() {
			wg.Go(func() {
				if err := op.call(t.Context(), c); err != nil {
					t.Errorf("%s = %v", op.name, err)
				}
			})
		}
	}
	wg.Wait()
}

// SDKs drop the caller's HTTP client, with its proxy and TLS options, for JIT.
func TestWeakness18_EveryCallUsesTheGivenTransport(t *testing.T) {
	f := newFake(goodRoutes())
	for _, op := range operations() {
		n := 0
		c := inMemory(t, f, func(c *Config) {
			c.HTTPClient = &http.Client{Timeout: 7 * time.Second, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				n++
				if deadline, ok := r.Context().Deadline(); !ok || time.Until(deadline) > 7*time.Second {
					t.Errorf("%s is not bound by the client's timeout", op.name)
				}
				return memory{f}.RoundTrip(r)
			})}
		})
		before := f.count("")
		if err := op.call(t.Context(), c); err != nil {
			t.Errorf("%s = %v", op.name, err)
		}
		if sent := f.count("") - before; sent == 0 || n != sent {
			t.Errorf("%s: %d of %d requests went through the given transport", op.name, n, sent)
		}
	}
}
