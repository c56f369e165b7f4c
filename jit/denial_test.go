package jit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

func TestDenialStandsForTheTask(t *testing.T) {
	deny := func(jit.Request) (jit.Decision, error) {
		return jit.Decision{Status: jit.StatusDenied, Message: "no", Risk: "high"}, nil
	}
	authority := &fake.Authority{Decide: deny}
	c := offline(t, jit.Config{Authority: authority}, nil)
	all := func(actions ...string) rar.Detail { d := read("doc_1"); d.Actions = actions; return d }
	demands := []rar.Detail{all("read"), all("read"), all("read", "read"), all("read", "list"), all("list", "read")}
	for i, d := range demands {
		c.over(guarded(func(*http.Request) rar.Detail { return d }))
		_, _, err := c.send(t.Context(), jit.Call{ID: "1", Ceiling: []rar.Detail{all("read", "list")}}, "GET", fmt.Sprintf("%s/%d/doc_1", c.base, i), "")
		e, ok := errors.AsType[*jit.DeniedError](err)
		if !ok || e.Message != "no" || len(authority.Requests()) != 1 {
			t.Errorf("demand for %s: %v after %d requests, want the first no after 1", d, err, len(authority.Requests()))
		}
	}
	// A part that nobody spoke about may be asked for, and so may other tasks.
	c.over(guarded(func(*http.Request) rar.Detail { return all("list") }))
	_, _, _ = c.send(t.Context(), jit.Call{ID: "1", Ceiling: []rar.Detail{all("read", "list")}}, "GET", c.base+"/index/doc_1", "")
	if n := len(authority.Requests()); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
	other := offline(t, jit.Config{Authority: authority}, nil)
	if err := fetch(t.Context(), other, "doc_1"); !errors.Is(err, jit.ErrDenied) || len(authority.Requests()) != 3 {
		t.Errorf("GET under another task = %v after %d requests, want denied after 3", err, len(authority.Requests()))
	}
}

// A no to scopes, or to a login, is a no to the API that named them: another may have
// another server.
func TestDeniedScopesStandForTheirAPI(t *testing.T) {
	for _, tt := range []struct {
		demand rar.Detail
		asked  int // once both APIs have demanded it
	}{{rar.Scopes("a"), 2}, {read("doc_1"), 1}} {
		authority := &fake.Authority{Decide: func(r jit.Request) (jit.Decision, error) {
			if r.For.Origin == "https://one.example.com" {
				return jit.Decision{Status: jit.StatusDenied}, nil
			}
			return jit.Decision{Status: jit.StatusApproved}, nil
		}}
		api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+fake.TokenFor(tt.demand) {
				_ = challenge.Write(w, 403, tt.demand, "")
				return
			}
			content(w, r)
		})
		task := fake.Task(t, authority)
		for _, origin := range []string{"https://one.example.com", "https://two.example.com", "https://one.example.com"} {
			client := http.Client{Transport: &jit.Transport{Origin: must(jit.ParseOrigin(origin)), Base: fake.Transport{Handler: api}}}
			req := must(http.NewRequestWithContext(task.Call(t.Context(), jit.Call{Tool: "get", Ceiling: []rar.Detail{tt.demand}}), "GET", origin+"/x", nil))
			resp, err := client.Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			if served := tt.asked == 2 && strings.Contains(origin, "two"); served != (err == nil) || !served && !errors.Is(err, jit.ErrDenied) {
				t.Errorf("%s at %s: GET = %v", tt.demand, origin, err)
			}
		}
		if n := len(authority.Requests()); n != tt.asked {
			t.Errorf("%s: %d requests, want %d", tt.demand, n, tt.asked)
		}
	}
}

// A demand that holds what was denied by the rule of its type alone is denied as well.
func TestDenialKnowsTheRules(t *testing.T) {
	folder := func(asked, ceiling rar.Detail) error {
		if strings.HasPrefix(asked.Identifier, ceiling.Identifier) {
			return nil
		}
		return errors.New("in another folder")
	}
	authority := &fake.Authority{Decide: func(jit.Request) (jit.Decision, error) { return jit.Decision{Status: jit.StatusDenied}, nil }}
	c := offline(t, jit.Config{Authority: authority, Rules: rar.Rules{"file_access": folder}}, nil)
	for i, id := range []string{"a/b", "a/", "c/"} {
		c.over(guarded(func(*http.Request) rar.Detail { return read(id) }))
		_, _, err := c.send(t.Context(), jit.Call{Ceiling: []rar.Detail{read("a/"), read("c/")}}, "GET", fmt.Sprintf("%s/%d", c.base, i), "")
		if want := []int{1, 1, 2}[i]; !errors.Is(err, jit.ErrDenied) || len(authority.Requests()) != want {
			t.Errorf("%s: %v after %d requests, want denied after %d", id, err, len(authority.Requests()), want)
		}
	}
}

func TestReorderedDemandIsTheSameDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := undecided(time.Hour, 0, 0)
		c := offline(t, jit.Config{Authority: authority}, nil)
		for i, actions := range [][]string{{"read", "list"}, {"list", "read"}, {"read", "list", "read"}} {
			d := read("doc_1")
			d.Actions = actions
			c.over(guarded(func(*http.Request) rar.Detail { return d }))
			_, _, err := c.send(t.Context(), jit.Call{ID: "1", Ceiling: []rar.Detail{d}}, "GET", fmt.Sprintf("%s/%d/doc_1", c.base, i), "")
			if !errors.Is(err, jit.ErrPending) || len(authority.Requests()) != 1 {
				t.Errorf("%v: %v after %d requests, want pending after 1", actions, err, len(authority.Requests()))
			}
		}
	})
}

func TestAnswerAboutSomethingElseIsRefused(t *testing.T) {
	pending := jit.Decision{RequestID: "jit_1", Status: jit.StatusPending}
	for name, test := range map[string]struct {
		answer jit.Decision
		status jit.Decision
		issued jit.Issued
	}{
		"request of another task":  {answer: jit.Decision{RequestID: "jit_1", TaskID: "task_2", Status: jit.StatusApproved}},
		"status of another":        {answer: pending, status: jit.Decision{RequestID: "jit_9", Status: jit.StatusApproved}},
		"status of another task":   {answer: pending, status: jit.Decision{TaskID: "task_2", Status: jit.StatusApproved}},
		"token of another request": {issued: jit.Issued{RequestID: "jit_9"}},
		"token of another task":    {issued: jit.Issued{TaskID: "task_2"}},
		"token of another type":    {issued: jit.Issued{Type: "DPoP"}},
		"empty token":              {issued: jit.Issued{Type: "empty"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			authority := &fake.Authority{}
			if test.answer.Status != 0 {
				authority.Decide = func(jit.Request) (jit.Decision, error) { return test.answer, nil }
			}
			authority.Look = func(string, int) (jit.Decision, error) { return test.status, nil }
			authority.Issue = func(_ string, d rar.Detail) jit.Issued {
				issued := test.issued
				if issued.Type == "empty" {
					issued.Type = ""
				} else {
					issued.Token = secret.New(fake.TokenFor(d))
				}
				return issued
			}
			sent, answer := 0, guarded(needsPath)
			c := offline(t, jit.Config{Authority: authority, Wait: time.Minute}, nil)
			c.over(tripper(func(r *http.Request) (*http.Response, error) { sent++; return answer(r) }))
			if err := fetch(t.Context(), c, "doc_1"); err == nil || sent != 1 {
				t.Errorf("%s: GET = %v after %d sent, want an error after 1", name, err, sent)
			}
		})
	}
}

// nameless answers without saying which request it is.
type nameless struct{ *fake.Authority }

func (n nameless) Request(ctx context.Context, r jit.Request) (jit.Decision, error) {
	d, err := n.Authority.Request(ctx, r)
	d.RequestID = ""
	return d, err
}

func TestAnswerWithoutARequestIsRefused(t *testing.T) {
	for status, want := range map[jit.Status]string{
		jit.StatusApproved: "names no request", jit.StatusPending: "names no request", jit.StatusDenied: "denied",
	} {
		authority := &fake.Authority{Decide: func(jit.Request) (jit.Decision, error) { return jit.Decision{Status: status}, nil }}
		c := offline(t, jit.Config{Authority: nameless{authority}}, nil)
		if err := fetch(t.Context(), c, "doc_1"); err == nil || !strings.Contains(err.Error(), want) || authority.Redeemed() != 0 || len(authority.Looks()) != 0 {
			t.Errorf("%s: GET = %v, want %q", status, err, want)
		}
	}
}
