package jit_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// revoking is an authorization server that can revoke a token by itself.
type revoking struct {
	*fake.Authority
	revoked []string
}

func (r *revoking) Revoke(_ context.Context, token secret.String) error {
	r.revoked = append(r.revoked, token.Reveal())
	return nil
}

// TestTokenThatIsNotUsedIsRevokedAtOnce: no proof of narrowness, no use; and what is
// not used does not stay alive until the task ends.
func TestTokenThatIsNotUsedIsRevokedAtOnce(t *testing.T) {
	wide := read("doc_1")
	wide.Actions = []string{"read", "delete"}
	for name, test := range map[string]struct {
		details []rar.Detail
		want    error
	}{
		"silent":    {nil, jit.ErrSilent},
		"overgrant": {[]rar.Detail{wide}, jit.ErrOvergrant},
		"as asked":  {[]rar.Detail{read("doc_1")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			authority := &revoking{Authority: &fake.Authority{Issue: func(string, rar.Detail) jit.Issued {
				return jit.Issued{Token: secret.New("canary-token-of-the-server"), Details: test.details}
			}}}
			seen := &events{}
			c := offline(t, jit.Config{Authority: authority}, seen.observe)
			g, err := jit.Acquire(c.task.Call(t.Context(), jit.Call{Ceiling: []rar.Detail{read("doc_1")}}), read("doc_1"))
			if !errors.Is(err, test.want) || (g == nil) != (test.want != nil) {
				t.Errorf("Acquire() = %v, %v, want %v", g, err, test.want)
			}
			var revoked []string
			if test.want != nil {
				revoked = []string{"canary-token-of-the-server"}
			}
			if diff := gocmp.Diff(revoked, authority.revoked); diff != "" {
				t.Errorf("revoked (-want +got):\n%s", diff)
			}
			if err := c.task.Complete(t.Context()); err != nil {
				t.Fatal(err)
			}
			all := seen.list()
			if end, ok := all[len(all)-1].(jit.Completed); !ok || end.Issued != 1 || end.Revoked != 1-len(revoked) {
				t.Errorf("the task's end is %+v", all[len(all)-1])
			}
		})
	}
}

// TestNoIsNotAskedAround: whoever is told no asks again for more, in every way that a
// demand can be widened.
func TestNoIsNotAskedAround(t *testing.T) {
	denied := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_1", Locations: []string{"https://api.example.com"}, DataTypes: []string{"text"}}
	change := func(f func(*rar.Detail)) rar.Detail { d := denied.Clone(); f(&d); return d }
	for name, test := range map[string]struct {
		demand rar.Detail
		asked  int
	}{
		"the same":            {denied, 1},
		"more actions":        {change(func(d *rar.Detail) { d.Actions = []string{"delete", "read"} }), 1},
		"no actions":          {change(func(d *rar.Detail) { d.Actions = nil }), 1},
		"no locations":        {change(func(d *rar.Detail) { d.Locations = nil }), 1},
		"no data types":       {change(func(d *rar.Detail) { d.DataTypes = nil }), 1},
		"no identifier":       {change(func(d *rar.Detail) { d.Identifier = "" }), 1},
		"nothing but a type":  {rar.Detail{Type: "file_access"}, 1},
		"another identifier":  {change(func(d *rar.Detail) { d.Identifier = "doc_2" }), 2},
		"other actions":       {change(func(d *rar.Detail) { d.Actions = []string{"list"} }), 2},
		"another type":        {change(func(d *rar.Detail) { d.Type = "mail" }), 2},
		"narrower, one limit": {change(func(d *rar.Detail) { d.Privileges = []string{"guest"} }), 2},
	} {
		authority := &fake.Authority{Decide: func(jit.Request) (jit.Decision, error) { return jit.Decision{Status: jit.StatusDenied}, nil }}
		c := offline(t, jit.Config{Authority: authority}, nil)
		ctx := c.task.Call(t.Context(), jit.Call{Ceiling: []rar.Detail{denied, test.demand}})
		for _, d := range []rar.Detail{denied, test.demand} {
			if _, err := jit.Acquire(ctx, d); !errors.Is(err, jit.ErrDenied) {
				t.Errorf("%s: Acquire(%v) = %v, want a denial", name, d, err)
			}
		}
		if n := len(authority.Requests()); n != test.asked {
			t.Errorf("%s: a person was asked %d times, want %d", name, n, test.asked)
		}
	}
}

// TestEffectIsNotRepeatedInATask: a model that repeats a call, at once or later, gets
// the first answer.
func TestEffectIsNotRepeatedInATask(t *testing.T) {
	for name, test := range map[string]struct {
		call     func(i int) jit.Call
		status   int
		parallel bool
		body     func(i int) string
		want     int
	}{
		"later":               {want: 1},
		"at once":             {parallel: true, want: 1},
		"see other":           {status: 303, want: 1},
		"no content":          {status: 204, want: 1},
		"refused as it is":    {status: 422, want: 3},
		"another body":        {body: func(i int) string { return strings.Repeat("x", i+1) }, want: 3},
		"repeats are meant":   {call: func(int) jit.Call { return jit.Call{Tool: "create", Repeats: true} }, want: 3},
		"meant, at once":      {call: func(int) jit.Call { return jit.Call{Tool: "create", Repeats: true} }, parallel: true, want: 3},
		"under another tool":  {call: func(i int) jit.Call { return jit.Call{Tool: string(rune('a' + i))} }, want: 3},
		"in one and the same": {call: func(int) jit.Call { return jit.Call{ID: "1", Tool: "create"} }, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				done := 0
				seen := &events{}
				c := offline(t, jit.Config{Authority: &fake.Authority{}}, seen.observe).over(tripper(func(*http.Request) (*http.Response, error) {
					time.Sleep(time.Second)
					mu.Lock()
					defer mu.Unlock()
					done++
					return answer(cmp.Or(test.status, 201), "created"), nil
				}))
				var wg sync.WaitGroup
				for i := range 3 {
					call, body := jit.Call{Tool: "create"}, "text"
					if test.call != nil {
						call = test.call(i)
					}
					if test.body != nil {
						body = test.body(i)
					}
					send := func() {
						status, text, err := c.send(t.Context(), call, "POST", c.base+"/reports", body)
						if err != nil || text != "created" || status != cmp.Or(test.status, 201) {
							t.Errorf("POST = %d %q, %v", status, text, err)
						}
					}
					if test.parallel {
						wg.Go(send)
					} else {
						send()
					}
				}
				wg.Wait()
				if done != test.want {
					t.Errorf("the API did it %d times, want %d", done, test.want)
				}
				repeated := 0
				for _, kind := range seen.kinds() {
					if kind == "repeated" {
						repeated++
					}
				}
				if repeated != 3-test.want {
					t.Errorf("%d events say that it was not sent again, want %d", repeated, 3-test.want)
				}
			})
		})
	}
}

// TestRefusalThatDripsHoldsNoCall: a body without end says nothing in time.
func TestRefusalThatDripsHoldsNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tap sync.WaitGroup
		defer tap.Wait()
		c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil).over(tripper(func(*http.Request) (*http.Response, error) {
			body, drip := io.Pipe()
			tap.Go(func() {
				for {
					if _, err := drip.Write([]byte(" ")); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			})
			return &http.Response{StatusCode: 403, Header: http.Header{}, Body: body}, nil
		}))
		start := time.Now()
		resp, err := c.get(t.Context(), "doc_1", read("doc_1"))
		if err != nil || resp.StatusCode != 403 || time.Since(start) > 10*time.Second {
			t.Errorf("GET = %v, %v after %s, want the refusal within seconds", resp, err, time.Since(start))
		}
		if err == nil {
			_ = resp.Body.Close()
		}
	})
}
