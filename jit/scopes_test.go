package jit_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// An API says which scopes it wants, all of them or those that the token lacks.
func TestScopesAreAskedForNarrowly(t *testing.T) {
	for name, tt := range map[string]struct {
		demand func(have string) string // of a request with a token of these scopes; "" serves
		asked  []string
		want   error
	}{
		"one": {func(have string) string { return lacks(have, "a") }, []string{"a"}, nil},
		"those that lack, one token after the other": {func(have string) string {
			return map[string]string{"": "a", "a": "b", "b": "a"}[have]
		}, []string{"a", "b", "a b"}, nil},
		"all that it wants": {func(have string) string {
			return map[string]string{"": "a", "a": "a b"}[have]
		}, []string{"a", "a b"}, nil},
		"others are enough": {func(have string) string {
			return map[string]string{"": "a", "a": "b"}[have]
		}, []string{"a", "b"}, nil},
		"always more": {func(have string) string {
			return map[string]string{"": "a", "a": "b", "b": "c", "a b c": "d"}[have]
		}, []string{"a", "b", "a b c"}, jit.ErrStillRefused},
		"the same for ever":                {func(string) string { return "a" }, []string{"a"}, jit.ErrStillRefused},
		"the same again, in another order": {func(have string) string { return map[string]string{"": "a b", "a b": "b a"}[have] }, []string{"a b"}, jit.ErrStillRefused},
		"outside":                          {func(string) string { return "a x" }, nil, jit.ErrOutsideCeiling},
		"outside together": {func(have string) string {
			return map[string]string{"": "a", "a": "z", "z": "a"}[have]
		}, []string{"a", "z"}, jit.ErrOutsideCeiling},
	} {
		t.Run(name, func(t *testing.T) {
			authority := &fake.Authority{}
			c := offline(t, jit.Config{Authority: authority}, nil).over(scoped(authority, tt.demand))
			ceiling := []rar.Detail{read("doc_1"), rar.Scopes("a", "b", "c", "d"), rar.Scopes("z")}
			_, _, err := c.send(t.Context(), jit.Call{Tool: "fetch", Ceiling: ceiling}, "GET", c.base+"/docs/doc_1", "")
			var asked []string
			for _, r := range authority.Requests() {
				asked = append(asked, strings.Join(r.Detail.Actions, " "))
			}
			if !errors.Is(err, tt.want) || strings.Join(asked, ", ") != strings.Join(tt.asked, ", ") {
				t.Errorf("GET = %v after asking for %q, want %v after %q", err, asked, tt.want, tt.asked)
			}
			if err != nil { // what was learned is of calls that came to their end
				return
			}
			_, _, err = c.send(t.Context(), jit.Call{Tool: "fetch", Ceiling: ceiling}, "GET", c.base+"/docs/doc_1", "")
			if n := len(authority.Requests()); err != nil || n != len(tt.asked) {
				t.Errorf("the next call: %v, and %d requests in all", err, n)
			}
		})
	}
}

// Whatever an API demands, and however it changes its mind: no more than the ceiling has, and
// no more than three times.
func TestScopesHaveABound(t *testing.T) {
	demand := rapid.SampledFrom([]string{"a", "b", "c", "d", "a", "b", "c", "d", "a b", "c d", "e", ""})
	rapid.Check(t, func(rt *rapid.T) {
		ceiling := []rar.Detail{read("doc_1"), rar.Scopes("a", "b", "c"), rar.Scopes("a", "b", "d")}
		authority, calls, demands := &fake.Authority{}, 0, map[string]string{}
		engine, err := jit.New(jit.Config{Authority: authority})
		if err != nil {
			rt.Fatal(err)
		}
		task := engine.Start(t.Context(), jit.TaskSpec{}, nil)
		origin := must(jit.ParseOrigin("https://api.example.com"))
		client := http.Client{Transport: &jit.Transport{Origin: origin, Base: scoped(authority, func(have string) string {
			calls++
			if _, said := demands[have]; !said {
				demands[have] = demand.Draw(rt, "demand")
			}
			return demands[have]
		})}}
		for n := 1; n <= 2; n++ {
			calls = 0
			before := len(authority.Requests())
			ctx := task.Call(t.Context(), jit.Call{Tool: "fetch", Ceiling: ceiling})
			req := must(http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example.com/docs/doc_1", nil))
			if resp, err := client.Do(req); err == nil {
				_ = resp.Body.Close()
			}
			if asked := len(authority.Requests()) - before; asked > 3 || calls > 4 {
				rt.Errorf("%d requests and %d calls of the API", asked, calls)
			}
		}
		for _, r := range authority.Requests() {
			if !insideAny(r.Detail, ceiling) {
				rt.Errorf("%v is asked for, and the ceiling is %v", r.Detail, ceiling)
			}
		}
		if err := task.Complete(t.Context()); err != nil {
			rt.Error(err)
		}
	})
}

func lacks(have, scope string) string {
	if have == scope {
		return ""
	}
	return scope
}

// scoped is an API that demands scopes, by what the token of a request has.
func scoped(authority *fake.Authority, demand func(have string) string) http.RoundTripper {
	return fake.Transport{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		have := ""
		for _, asked := range authority.Requests() {
			if r.Header.Get("Authorization") == "Bearer "+fake.TokenFor(asked.Detail) {
				have = strings.Join(asked.Detail.Actions, " ")
			}
		}
		if wants := demand(have); wants != "" {
			bearerError(w, 403, `error="insufficient_scope", scope="`+wants+`"`)
			return
		}
		content(w, r)
	})}
}

// A 401 that names scopes demands them of a request that had no token. Of one that had, it
// says that the token is void.
func TestScopesOfA401(t *testing.T) {
	for name, tt := range map[string]struct {
		base     secret.String
		want     int
		requests int
	}{
		"without a token": {secret.String{}, 200, 1},
		"with a token":    {secret.New(fake.BaseToken), 401, 0},
	} {
		authority := &fake.Authority{Login: func() (jit.Credential, error) { return jit.Credential{Token: tt.base}, nil }}
		c := offline(t, jit.Config{Authority: authority}, nil).over(fake.Transport{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+fake.TokenFor(rar.Scopes("a")) {
				bearerError(w, 401, `scope="a", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"`)
				return
			}
			content(w, r)
		})})
		status, _, err := c.send(t.Context(), jit.Call{Ceiling: []rar.Detail{rar.Scopes("a", "b")}}, "GET", c.base+"/docs/doc_1", "")
		if err != nil || status != tt.want || len(authority.Requests()) != tt.requests {
			t.Errorf("%s: GET = %d, %v after %d requests, want %d after %d", name, status, err, len(authority.Requests()), tt.want, tt.requests)
		}
	}
}

// What was denied of scopes is not asked for again packed into more.
func TestDeniedScopesStayDenied(t *testing.T) {
	authority := &fake.Authority{Decide: func(jit.Request) (jit.Decision, error) { return jit.Decision{Status: jit.StatusDenied}, nil }}
	wants := "a"
	c := offline(t, jit.Config{Authority: authority}, nil).over(scoped(authority, func(string) string { return wants }))
	for _, wants = range []string{"a", "a b", "b a"} {
		_, _, err := c.send(t.Context(), jit.Call{Ceiling: []rar.Detail{rar.Scopes("a", "b")}}, "GET", c.base+"/"+strings.ReplaceAll(wants, " ", "-"), "")
		if !errors.Is(err, jit.ErrDenied) || len(authority.Requests()) != 1 {
			t.Errorf("%s: GET = %v after %d requests, want denied after 1", wants, err, len(authority.Requests()))
		}
	}
}
