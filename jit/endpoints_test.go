package jit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// spied is a client whose API demands what need says, and notes each request: the
// path, and "!" when it was refused.
func spied(t *testing.T, authority *fake.Authority, cfg jit.Config, need func(*http.Request) rar.Detail) (c *client, trace *[]string) {
	cfg.Authority, trace = authority, new([]string)
	answer := guarded(need)
	return offline(t, cfg, nil).over(tripper(func(r *http.Request) (*http.Response, error) {
		resp, err := answer(r)
		mark := ""
		if resp.StatusCode != 200 {
			mark = "!"
		}
		*trace = append(*trace, r.URL.RequestURI()+mark)
		return resp, err
	})), trace
}

func askedFor(authority *fake.Authority) []string {
	var asked []string
	for _, r := range authority.Requests() {
		asked = append(asked, r.Detail.String())
	}
	return asked
}

func TestAskingFirstAsksForWhatThePathNames(t *testing.T) {
	for name, test := range map[string]struct {
		path func(id string) string
		ids  []string
	}{
		"plain":           {func(id string) string { return "/docs/" + id }, []string{"doc_1", "doc_2", "doc_3"}},
		"twice":           {func(id string) string { return "/docs/" + id + "/versions/" + id }, []string{"doc_1", "doc_2", "doc_3"}},
		"escaped":         {func(id string) string { return "/docs/" + strings.ReplaceAll(id, "/", "%2F") }, []string{"a/1", "a/2", "b/3"}},
		"as its folder":   {func(id string) string { return "/docs/" + id + "/docs" }, []string{"doc_1", "doc_2", "doc_3"}},
		"in the query":    {func(id string) string { return "/docs?id=" + id }, []string{"doc_1", "doc_2", "doc_3"}},
		"a longer name":   {func(id string) string { return "/docs/" + id + ".pdf" }, nil},
		"needless escape": {func(id string) string { return "/docs/%64" + id[1:] }, []string{"doc_1", "doc_2", "doc_3"}},
	} {
		t.Run(name, func(t *testing.T) {
			ids := test.ids
			if ids == nil {
				ids = []string{"doc_1", "doc_2", "doc_3"}
			}
			var need rar.Detail
			authority := &fake.Authority{}
			c, trace := spied(t, authority, jit.Config{}, func(*http.Request) rar.Detail { return need })
			for _, id := range ids {
				need = read(id)
				if status, _, err := c.send(t.Context(), jit.Call{ID: id, Ceiling: []rar.Detail{need}}, "GET", c.base+test.path(id), ""); err != nil || status != 200 {
					t.Fatalf("GET %s = %d, %v", id, status, err)
				}
			}
			want := 4 // one refusal, three answers
			if test.ids == nil {
				want = 6 // each path is an endpoint of its own
			}
			if len(*trace) != want || len(authority.Requests()) != 3 {
				t.Errorf("requests %q after asking for %q, want %d", *trace, askedFor(authority), want)
			}
		})
	}
}

// A call about several documents asks first for the one that the path names, and
// for none when nothing says which.
func TestAskingFirstDoesNotGuess(t *testing.T) {
	both := jit.Call{ID: "1", Ceiling: []rar.Detail{read("doc_1"), read("doc_2"), read("doc_3")}}
	t.Run("path", func(t *testing.T) {
		authority := &fake.Authority{}
		c, trace := spied(t, authority, jit.Config{}, needsPath)
		for _, id := range []string{"doc_2", "doc_3", "doc_1"} {
			if _, _, err := c.send(t.Context(), both, "GET", c.base+"/docs/"+id, ""); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{"/docs/doc_2!", "/docs/doc_2", "/docs/doc_3", "/docs/doc_1"}
		if diff := cmp.Diff(want, *trace); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
	t.Run("the same twice", func(t *testing.T) {
		authority := &fake.Authority{}
		c, trace := spied(t, authority, jit.Config{}, needsPath)
		for _, id := range []string{"doc_1", "doc_2"} {
			call := jit.Call{ID: id, Ceiling: []rar.Detail{read(id), read(id)}}
			if _, _, err := c.send(t.Context(), call, "GET", c.base+"/docs/"+id, ""); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{"/docs/doc_1!", "/docs/doc_1", "/docs/doc_2"}, *trace); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
	t.Run("query", func(t *testing.T) {
		authority := &fake.Authority{}
		c, _ := spied(t, authority, jit.Config{}, func(r *http.Request) rar.Detail { return read(r.URL.Query().Get("id")) })
		for _, id := range []string{"doc_1", "doc_2"} {
			if _, _, err := c.send(t.Context(), both, "GET", c.base+"/docs?id="+id, ""); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{read("doc_1").String(), read("doc_2").String()}, askedFor(authority)); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
	})
	t.Run("demand for another than the path's", func(t *testing.T) {
		authority := &fake.Authority{}
		other := func(id string) string { return id + "-metadata" }
		c, _ := spied(t, authority, jit.Config{}, func(r *http.Request) rar.Detail { return read(other(needsPath(r).Identifier)) })
		for _, id := range []string{"doc_1", "doc_2"} {
			call := jit.Call{ID: id, Ceiling: []rar.Detail{read(id), read(other(id))}}
			if _, _, err := c.send(t.Context(), call, "GET", c.base+"/docs/"+id, ""); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{read("doc_1-metadata").String(), read("doc_2-metadata").String()}, askedFor(authority)); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
	})
}

// limited is a rule of a type: at most the ceiling's amount.
func limited(asked, ceiling rar.Detail) error {
	if asked.Identifier != ceiling.Identifier || !slices.Equal(asked.Actions, ceiling.Actions) || len(asked.Extra) != 1 {
		return errors.New("other than the ceiling")
	}
	if a, c := asked.Extra["amount"], ceiling.Extra["amount"]; len(a) > len(c) || len(a) == len(c) && bytes.Compare(a, c) > 0 {
		return errors.New("over the limit")
	}
	return nil
}

func amount(n string) rar.Detail {
	d := write("account_1")
	d.Extra = map[string]json.RawMessage{"amount": json.RawMessage(n)}
	return d
}

// The ceiling says how much may be asked for, not how much is needed.
func TestAskingFirstNeverAsksForTheWholeCeiling(t *testing.T) {
	var need rar.Detail
	authority := &fake.Authority{}
	cfg := jit.Config{Rules: rar.Rules{"file_access": limited}}
	c, _ := spied(t, authority, cfg, func(*http.Request) rar.Detail { return need })
	for _, test := range []struct{ need, ceiling string }{{"10", "1000"}, {"20", "2000"}} {
		need = amount(test.need)
		if _, _, err := c.send(t.Context(), jit.Call{ID: test.need, Ceiling: []rar.Detail{amount(test.ceiling)}}, "GET", c.base+"/pay", ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := authority.Requests(); len(got) != 2 || !rar.Equal(got[0].Detail, amount("10")) || !rar.Equal(got[1].Detail, amount("20")) {
		t.Errorf("asked for %+v, want 10, then 20", got)
	}
}

// The members of a detail that are the call's own follow the call.
func TestAskingFirstTakesTheCallsOwnMembers(t *testing.T) {
	var need rar.Detail
	authority := &fake.Authority{}
	c, trace := spied(t, authority, jit.Config{}, func(*http.Request) rar.Detail { return need })
	for _, n := range []string{"10", "20"} {
		need = amount(n)
		if _, _, err := c.send(t.Context(), jit.Call{ID: n, Ceiling: []rar.Detail{amount(n)}}, "GET", c.base+"/pay", ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := authority.Requests(); len(got) != 2 || !rar.Equal(got[1].Detail, amount("20")) || len(*trace) != 3 {
		t.Errorf("asked for %+v in requests %q, want 20 ahead of the second", got, *trace)
	}
}

// An endpoint that demanded nothing is called as the agent, whatever grants there
// are: a narrow token would be refused where the agent's own is not.
func TestUnknownEndpointGetsTheBaseToken(t *testing.T) {
	c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil)
	c.want200(t, "doc_1")
	c.over(tripper(func(r *http.Request) (*http.Response, error) {
		resp := &http.Response{StatusCode: 200, Body: http.NoBody}
		if r.Header.Get("Authorization") != "Bearer "+fake.BaseToken {
			resp.StatusCode = http.StatusForbidden
		}
		return resp, nil
	}))
	call := jit.Call{ID: "1", Tool: "fetch", Ceiling: []rar.Detail{read("doc_1")}}
	if status, _, err := c.send(t.Context(), call, "GET", c.base+"/whoami", ""); err != nil || status != 200 {
		t.Errorf("GET /whoami = %d, %v, want 200", status, err)
	}
}

// What was found to lie within one ceiling says nothing about another.
func TestRememberedGrantIsHeldToEachCeiling(t *testing.T) {
	c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil)
	for range 3 {
		c.want200(t, "doc_1")
	}
	get := func(ceiling ...rar.Detail) error {
		resp, err := c.get(t.Context(), "doc_1", ceiling...)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}
	empty, other := read("doc_1"), read("doc_1")
	empty.Locations = []string{}
	other.Extra = map[string]json.RawMessage{"x": json.RawMessage("1")}
	for name, ceiling := range map[string][]rar.Detail{
		"none": nil, "other id": {read("doc_2")}, "other action": {write("doc_1")}, "an empty list": {empty}, "an own member": {other},
	} {
		if err := get(ceiling...); !errors.Is(err, jit.ErrOutsideCeiling) {
			t.Errorf("%s: GET = %v, want outside the ceiling", name, err)
		}
	}
	changed := []rar.Detail{read("doc_1")}
	for range 2 {
		if err := get(changed...); err != nil {
			t.Fatal(err)
		}
	}
	changed[0].Actions[0] = "write" // the copy must not change with it
	if err := get(changed...); !errors.Is(err, jit.ErrOutsideCeiling) {
		t.Errorf("changed ceiling: GET = %v, want outside the ceiling", err)
	}
	if err := get(read("doc_1")); err != nil {
		t.Errorf("GET = %v, want 200", err)
	}
}

// A narrower grant is all that is to be had: it is used again, not asked for again.
func TestNarrowerGrantIsUsedAgain(t *testing.T) {
	wide := read("doc_1")
	wide.Actions = []string{"list", "read"}
	authority := &fake.Authority{Issue: func(_ string, d rar.Detail) jit.Issued {
		return jit.Issued{Token: secret.New(fake.TokenFor(d)), Details: []rar.Detail{read("doc_1")}}
	}}
	c, trace := spied(t, authority, jit.Config{}, func(*http.Request) rar.Detail { return wide })
	for range 3 {
		if status, _, err := c.send(t.Context(), jit.Call{ID: "1", Ceiling: []rar.Detail{wide}}, "GET", c.base+"/docs/doc_1", ""); err != nil || status != 200 {
			t.Fatalf("GET = %d, %v", status, err)
		}
	}
	if len(authority.Requests()) != 1 || len(*trace) != 4 {
		t.Errorf("%d requests, calls %q, want 1 and 4", len(authority.Requests()), *trace)
	}
}

// A grant that the API refuses is not sent again.
func TestRevokedGrantIsNotSentAgain(t *testing.T) {
	n := 0
	authority := &fake.Authority{Issue: func(_ string, d rar.Detail) jit.Issued {
		n++
		return jit.Issued{Token: secret.New(fmt.Sprintf("grant-%d", n)), Details: []rar.Detail{d}}
	}}
	var sent []string
	valid := "grant-1"
	c := offline(t, jit.Config{Authority: authority}, nil).over(tripper(func(r *http.Request) (*http.Response, error) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		sent = append(sent, token)
		switch token {
		case valid:
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		case fake.BaseToken:
			return refusal([]rar.Detail{read("doc_1")})
		}
		return &http.Response{StatusCode: 401, Body: http.NoBody}, nil
	}))
	for range 3 {
		c.want200(t, "doc_1")
	}
	valid = "grant-2"
	for range 3 {
		c.want200(t, "doc_1")
	}
	want := []string{fake.BaseToken, "grant-1", "grant-1", "grant-1", "grant-1", fake.BaseToken, "grant-2", "grant-2", "grant-2"}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("tokens sent (-want +got):\n%s", diff)
	}
}

// What was checked once is not checked again: the hot path validates nothing.
func TestCoveredCallIsCheap(t *testing.T) {
	c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil)
	for range 2 {
		c.want200(t, "doc_1")
	}
	c.over(tripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	}))
	ctx := c.task.Call(t.Context(), jit.Call{ID: "1", Tool: "fetch", Ceiling: []rar.Detail{read("doc_1")}})
	req := must(http.NewRequestWithContext(ctx, "GET", c.base+"/docs/doc_1", nil))
	allocs := testing.AllocsPerRun(100, func() {
		resp, err := c.Transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	})
	if allocs > 10 { // 4 of them when this was written; a check costs about a hundred
		t.Errorf("%v allocations for a covered call", allocs)
	}
}
