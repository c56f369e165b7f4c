package lumoauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/secret"
)

// agentTokenIs fails t unless the agent's token is want.
func agentTokenIs(t *testing.T, c *Client, want string) {
	t.Helper()
	got, err := c.AgentToken(t.Context())
	if err != nil || got.Token.Reveal() != want {
		t.Errorf("AgentToken() = %q, %v, want %q", got.Token.Reveal(), err, want)
	}
}

func TestAgentTokenIsRefreshedAheadOfItsExpiry(t *testing.T) {
	tests := []struct {
		expiresIn string // member of the response, with its comma
		after     time.Duration
	}{
		{`,"expires_in":3600`, 3540 * time.Second},
		{`,"expires_in":300`, 240 * time.Second},
		{`,"expires_in":"300"`, 240 * time.Second},
		{`,"expires_in":300.9`, 240 * time.Second},
		{`,"expires_in":60`, 48 * time.Second},
		{`,"expires_in":5`, 4 * time.Second},
		{`,"expires_in":null`, 3540 * time.Second},
		{``, 3540 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.expiresIn, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				c := inMemory(t, newFake(map[string]http.HandlerFunc{loginRoute: func(w http.ResponseWriter, _ *http.Request) {
					n++
					reply(w, 200, fmt.Sprintf(`{"access_token":"t-%d","token_type":"Bearer"%s}`, n, tt.expiresIn))
				}}))
				agentTokenIs(t, c, "t-1")
				time.Sleep(tt.after - time.Millisecond)
				agentTokenIs(t, c, "t-1")
				time.Sleep(time.Millisecond)
				agentTokenIs(t, c, "t-2")
			})
		})
	}
}

// SDKs log in before every call when a token lives for a minute or less, which
// ends at the rate limit.
func TestShortLivedTokensAreSharedBetweenCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		routes := goodRoutes()
		routes[loginRoute] = replies(200, `{"access_token":"short-lived","token_type":"Bearer","expires_in":60}`)
		f := newFake(routes)
		c := inMemory(t, f)
		for range 40 {
			if _, err := c.Status(t.Context(), "jit_1"); err != nil {
				t.Fatalf("Status() = %v", err)
			}
			time.Sleep(time.Second)
		}
		if n := f.count(loginRoute); n != 1 {
			t.Errorf("%d logins for 40 calls in 40 s, want 1", n)
		}
	})
}

func TestWaitersShareOneLoginAndMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(map[string]http.HandlerFunc{loginRoute: func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(5 * time.Second):
				reply(w, 200, `{"access_token":"slow-token","token_type":"Bearer","expires_in":3600}`)
			case <-r.Context().Done():
			}
		}})
		c := inMemory(t, f)
		start := time.Now()
		// The first caller starts the login and leaves it after a second.
		first, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.AgentToken(first)
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
				t.Errorf("AgentToken() of the one who left = %v after %v", err, took)
			}
		})
		synctest.Wait()
		for range 100 {
			wg.Go(func() {
				got, err := c.AgentToken(t.Context())
				if took := time.Since(start); err != nil || got.Token.Reveal() != "slow-token" || took != 5*time.Second {
					t.Errorf("AgentToken() = %q, %v after %v, want the token after 5s", got.Token.Reveal(), err, took)
				}
			})
		}
		wg.Wait()
		if n := f.count(loginRoute); n != 1 {
			t.Errorf("%d logins, want 1", n)
		}
	})
}

func TestOldTokenServesWhileRefreshFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(map[string]http.HandlerFunc{loginRoute: inTurn(
			replies(200, `{"access_token":"old-token","token_type":"Bearer","expires_in":300}`),
			replies(503, `{"error":"temporarily_unavailable"}`),
		)})
		c := inMemory(t, f)
		agentTokenIs(t, c, "old-token")
		for time.Sleep(240 * time.Second); time.Since(f.saw("")[0].at) < 299*time.Second; time.Sleep(time.Second) {
			agentTokenIs(t, c, "old-token")
		}
		if n := f.count(loginRoute); n < 3 || n > 10 {
			t.Errorf("%d logins in the last minute of a token, want a few", n-1)
		}
		time.Sleep(time.Second)
		if _, err := c.AgentToken(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("AgentToken() after the expiry = %v, want %v", err, ErrUnavailable)
		}
	})
}

func TestFailedLoginsMakeNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(map[string]http.HandlerFunc{loginRoute: replies(500, `{"error":"server_error"}`)})
		c := inMemory(t, f, func(c *Config) { c.Tries = 1 })
		for range 600 { // ten callers a second for a minute
			_, err := c.AgentToken(t.Context())
			if !errors.Is(err, ErrUnavailable) {
				t.Fatalf("AgentToken() = %v, want %v", err, ErrUnavailable)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := f.count(loginRoute); n < 3 || n > 15 {
			t.Errorf("%d logins in a minute of failures, want some, but few", n)
		}
	})
}

func TestCallersWaitOutABriefLoginFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		routes := goodRoutes()
		routes[loginRoute] = inTurn(replies(503, ``), replies(200, `{"access_token":"late-token","token_type":"Bearer"}`))
		f := newFake(routes)
		c := inMemory(t, f)
		var wg sync.WaitGroup
		for _, op := range operations()[1:4] {
			wg.Go(func() {
				if err := op.call(t.Context(), c); err != nil {
					t.Errorf("%s = %v, want success after the second login", op.name, err)
				}
			})
		}
		wg.Wait()
		if n := f.count(loginRoute); n != 2 {
			t.Errorf("%d logins, want 2", n)
		}
	})
}

func TestWrongCredentialsArePermanent(t *testing.T) {
	for _, answer := range []struct {
		status int
		body   string
	}{
		{401, `{"error":"invalid_client","error_description":"Client authentication failed"}`},
		{400, `{"error":"invalid_client"}`},
		{401, `{"error":"unauthorized_client"}`},
		{401, ``},
	} {
		t.Run(fmt.Sprint(answer), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(map[string]http.HandlerFunc{loginRoute: replies(answer.status, answer.body)})
				c := inMemory(t, f)
				for _, op := range operations()[:7] { // those that log in
					err := op.call(t.Context(), c)
					e, ok := errors.AsType[*Error](err)
					if !ok || !errors.Is(err, ErrInvalidClient) {
						t.Fatalf("%s = %v, want %v", op.name, err, ErrInvalidClient)
					}
					if _, again := e.Temporary(); again {
						t.Errorf("%s = %v, which claims to be temporary", op.name, err)
					}
					for _, name := range []string{"AGENT_CLIENT_ID", "AGENT_CLIENT_SECRET"} {
						if !strings.Contains(err.Error(), name) {
							t.Errorf("%s = %v, want it to name %s", op.name, err, name)
						}
					}
				}
				if n := f.count(""); n != 1 {
					t.Errorf("%d requests, want 1", n)
				}
				time.Sleep(refusedPause - time.Millisecond)
				_, _ = c.AgentToken(t.Context())
				if n := f.count(loginRoute); n != 1 {
					t.Errorf("%d logins within the pause, want 1", n)
				}
				time.Sleep(time.Millisecond)
				_, _ = c.AgentToken(t.Context())
				if n := f.count(loginRoute); n != 2 {
					t.Errorf("%d logins after a pause, want 2: credentials may have been put right", n)
				}
			})
		})
	}
}

// refusing answers 401 to the given tokens and hands others to next.
func refusing(next http.HandlerFunc, tokens ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, token := range tokens {
			if r.Header.Get("Authorization") == "Bearer "+token {
				reply(w, 401, `{"error":"invalid_token"}`)
				return
			}
		}
		next(w, r)
	}
}

func TestRefusedTokenIsReplacedOnce(t *testing.T) {
	for _, op := range operations() {
		switch op.name {
		case "AgentToken", "Pending", "Approve", "Deny", "Introspect", "Revoke", "ExchangeOnBehalfOf", "Metadata", "Ping":
			continue // do not carry the agent's token as their own
		}
		t.Run(op.name, func(t *testing.T) {
			routes := goodRoutes()
			routes[op.route] = refusing(routes[op.route], "agent-token-1")
			f := newFake(routes)
			c := inMemory(t, f)
			if err := op.call(t.Context(), c); err != nil {
				t.Fatalf("%s = %v, want success with the second token", op.name, err)
			}
			got := routesOf(f.saw(""))
			if want := fmt.Sprint([]string{loginRoute, op.route, loginRoute, op.route}); fmt.Sprint(got) != want {
				t.Errorf("requests = %v, want %v", got, want)
			}
		})
	}
}

func TestParallelRefusalsMakeOneLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		routes := goodRoutes()
		slow := func(w http.ResponseWriter, r *http.Request) {
			<-time.After(time.Second)
			refusing(goodRoutes()[statusRoute], "agent-token-1")(w, r)
		}
		routes[statusRoute] = slow
		f := newFake(routes)
		c := inMemory(t, f)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := c.Status(t.Context(), "jit_1"); err != nil {
					t.Errorf("Status() = %v", err)
				}
			})
		}
		wg.Wait()
		if n := f.count(loginRoute); n != 2 {
			t.Errorf("%d logins, want 2", n)
		}
	})
}

func TestServerThatRefusesItsOwnTokensIsNotAskedForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		routes := goodRoutes()
		routes[statusRoute] = replies(401, `{"error":"invalid_token"}`)
		f := newFake(routes)
		c := inMemory(t, f)
		for range 30 { // for half a minute
			if _, err := c.Status(t.Context(), "jit_1"); !errors.Is(err, ErrUnauthorized) {
				t.Fatalf("Status() = %v, want %v", err, ErrUnauthorized)
			}
			time.Sleep(time.Second)
		}
		if n := f.count(loginRoute); n > 4 {
			t.Errorf("%d logins in 30 s, want at most one per %v", n, dropPause)
		}
	})
}

func TestAcceptedTokenIsReplacedWheneverItIsRevoked(t *testing.T) {
	routes := goodRoutes()
	good := routes[statusRoute]
	routes[statusRoute] = inTurn(
		refusing(good), refusing(good, "agent-token-1"), good, // accepted, then revoked
		refusing(good, "agent-token-2"), good, // and again at once
	)
	f := newFake(routes)
	c := inMemory(t, f)
	for i := range 3 {
		if _, err := c.Status(t.Context(), "jit_1"); err != nil {
			t.Fatalf("Status() number %d = %v", i+1, err)
		}
	}
	if n := f.count(loginRoute); n != 3 {
		t.Errorf("%d logins, want 3", n)
	}
}

func TestUnusableLoginResponses(t *testing.T) {
	bodies := map[string]string{
		"empty":                ``,
		"HTML":                 `<html></html>`,
		"array":                `[]`,
		"null":                 `null`,
		"no token":             `{"token_type":"Bearer","expires_in":3600}`,
		"empty token":          `{"access_token":"","token_type":"Bearer"}`,
		"token with space":     `{"access_token":"a b","token_type":"Bearer"}`,
		"token with newline":   `{"access_token":"a\r\nX-Evil: 1","token_type":"Bearer"}`,
		"token with comma":     `{"access_token":"a,b","token_type":"Bearer"}`,
		"token not ASCII":      `{"access_token":"tökenn","token_type":"Bearer"}`,
		"token is a number":    `{"access_token":12345678,"token_type":"Bearer"}`,
		"token too large":      `{"access_token":"` + strings.Repeat("a", 16<<10+1) + `","token_type":"Bearer"}`,
		"no type":              `{"access_token":"abcdefgh"}`,
		"DPoP":                 `{"access_token":"abcdefgh","token_type":"DPoP"}`,
		"N_A":                  `{"access_token":"abcdefgh","token_type":"N_A"}`,
		"duplicate member":     `{"access_token":"abcdefgh","access_token":"ijklmnop","token_type":"Bearer"}`,
		"case variant only":    `{"Access_Token":"abcdefgh","token_type":"Bearer"}`,
		"second value":         `{"access_token":"abcdefgh","token_type":"Bearer"}{}`,
		"invalid UTF-8":        "{\"access_token\":\"abcdefgh\",\"token_type\":\"Bearer\",\"x\":\"\xff\"}",
		"negative lifetime":    `{"access_token":"abcdefgh","token_type":"Bearer","expires_in":-1}`,
		"zero lifetime":        `{"access_token":"abcdefgh","token_type":"Bearer","expires_in":0}`,
		"fraction of a second": `{"access_token":"abcdefgh","token_type":"Bearer","expires_in":0.5}`,
		"absurd lifetime":      `{"access_token":"abcdefgh","token_type":"Bearer","expires_in":1e300}`,
		"lifetime of years":    `{"access_token":"abcdefgh","token_type":"Bearer","expires_in":"99999999"}`,
		"lifetime is text":     `{"access_token":"abcdefgh","token_type":"Bearer","expires_in":"soon"}`,
		"lifetime is hex":      `{"access_token":"abcdefgh","token_type":"Bearer","expires_in":"0x10"}`,
		"lifetime is NaN":      `{"access_token":"abcdefgh","token_type":"Bearer","expires_in":"NaN"}`,
		"lifetime is empty":    `{"access_token":"abcdefgh","token_type":"Bearer","expires_in":""}`,
		"lifetime is a list":   `{"access_token":"abcdefgh","token_type":"Bearer","expires_in":[60]}`,
		"deep":                 `{"a":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`,
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			f := newFake(map[string]http.HandlerFunc{loginRoute: replies(200, body)})
			c := inMemory(t, f)
			got, err := c.AgentToken(t.Context())
			if !errors.Is(err, ErrInvalidResponse) || !got.Token.IsZero() {
				t.Fatalf("AgentToken() = %q, %v, want %v", got.Token.Reveal(), err, ErrInvalidResponse)
			}
			if strings.Contains(err.Error(), "abcdefgh") {
				t.Errorf("AgentToken() = %v, which shows the token", err)
			}
			if n := f.count(""); n != 1 {
				t.Errorf("%d logins, want 1", n)
			}
		})
	}
}

func TestFailedLoginAfterARefusedToken(t *testing.T) {
	for want, login := range map[error]http.HandlerFunc{
		ErrInvalidClient: replies(401, `{"error":"invalid_client"}`), // the secret was changed
		ErrUnavailable:   replies(503, ``),
	} {
		synctest.Test(t, func(t *testing.T) {
			routes := goodRoutes()
			routes[taskRoute] = replies(401, `{"error":"invalid_token"}`)
			f := newFake(routes)
			f.routes[loginRoute] = inTurn(f.routes[loginRoute], login)
			c := inMemory(t, f)
			if err := operations()[1].call(t.Context(), c); !errors.Is(err, want) {
				t.Errorf("CreateTask() = %v, want the reason of the failed login, %v", err, want)
			}
			if n := f.count(taskRoute); n != 1 {
				t.Errorf("sent %d times, want 1: there was no token for more", n)
			}
		})
	}
}

// A login that the server wants an hour for must not keep a task open so long.
func TestLongRetryAfterOfALoginDoesNotHoldBackCompletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(goodRoutes())
		f.routes[loginRoute] = inTurn(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			reply(w, 429, ``)
		}, f.routes[loginRoute])
		start := time.Now()
		if err := inMemory(t, f).CompleteTask(t.Context(), "task_1"); err != nil || time.Since(start) > 2*refusedPause {
			t.Errorf("CompleteTask() = %v after %v, want success within %v", err, time.Since(start), 2*refusedPause)
		}
	})
}

// The time of a shared fetch is nobody's own deadline.
func TestFetchesEndByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := inMemory(t, newFake(nil), func(c *Config) { c.Tries = 1 })
		start := time.Now()
		_, err := c.ExchangeOnBehalfOf(t.Context(), Exchange{Subject: func(ctx context.Context) (secret.String, error) {
			<-ctx.Done()
			return secret.String{}, ctx.Err()
		}})
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 4*DefaultTimeout {
			t.Errorf("ExchangeOnBehalfOf() = %v after %v, want its own end after %v", err, time.Since(start), 4*DefaultTimeout)
		}
	})
}
