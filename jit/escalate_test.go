package jit_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

func TestEscalationAsksForExactlyWhatWasDemanded(t *testing.T) {
	api, authority, seen := newAPI(t), &fake.Authority{}, &events{}
	c := newClient(t, jit.Config{Authority: authority}, api.origin(), api.URL, seen.observe)
	c.opened(t)
	resp, err := c.get(t.Context(), "doc_1", read("doc_1"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != 200 || string(body) != "content" {
		t.Fatalf("GET = %d %q, want 200 content", resp.StatusCode, body)
	}
	want := []jit.Request{{TaskID: "task_1", Detail: read("doc_1"), Justification: "read doc_1", TTL: 5 * time.Minute,
		For: jit.Purpose{Tool: "fetch", CallID: "call-doc_1", Origin: c.base}}}
	if diff := cmp.Diff(want, authority.Requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if got := api.calls(); len(got) != 2 || got[0].Header.Get("Authorization") != "Bearer "+fake.BaseToken {
		t.Errorf("API saw %d calls, want the base token's and the grant's", len(got))
	}
	if err := c.task.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"task_opened", "refused", "requested", "decided", "granted", "completed"}, seen.kinds()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// hostileDemands are demands of an API for a call whose ceiling is reading doc_1
// at its origin. Each is more, or other, than that.
func hostileDemands(origin string) map[string]string {
	const ok = `"type":"file_access","actions":["read"],"identifier":"doc_1"`
	at := `"locations":["` + origin + `"]`
	return map[string]string{
		"other id":                 `{"type":"file_access","actions":["read"],"identifier":"doc_2",` + at + `}`,
		"id in another case":       `{"type":"file_access","actions":["read"],"identifier":"DOC_1",` + at + `}`,
		"id with space":            `{"type":"file_access","actions":["read"],"identifier":"doc_1 ",` + at + `}`,
		"wildcard id":              `{"type":"file_access","actions":["read"],"identifier":"*",` + at + `}`,
		"no id":                    `{"type":"file_access","actions":["read"],` + at + `}`,
		"list of ids":              `{"type":"file_access","actions":["read"],"identifier":["doc_1","doc_2"],` + at + `}`,
		"extra action":             `{"type":"file_access","actions":["read","delete"],"identifier":"doc_1",` + at + `}`,
		"other action":             `{"type":"file_access","actions":["write"],"identifier":"doc_1",` + at + `}`,
		"wildcard action":          `{"type":"file_access","actions":["*"],"identifier":"doc_1",` + at + `}`,
		"no actions":               `{"type":"file_access","identifier":"doc_1",` + at + `}`,
		"empty actions":            `{"type":"file_access","actions":[],"identifier":"doc_1",` + at + `}`,
		"other type":               `{"type":"payment","actions":["read"],"identifier":"doc_1",` + at + `}`,
		"type in another case":     `{"type":"File_Access","actions":["read"],"identifier":"doc_1",` + at + `}`,
		"added object":             `[{` + ok + `,` + at + `},{"type":"payment","actions":["initiate"],"identifier":"all"}]`,
		"other location":           `{` + ok + `,"locations":["https://evil.test"]}`,
		"added location":           `{` + ok + `,"locations":["` + origin + `","https://evil.test"]}`,
		"no location":              `{` + ok + `}`,
		"unknown member":           `{` + ok + `,` + at + `,"recursive":true}`,
		"privileges":               `{` + ok + `,` + at + `,"privileges":["admin"]}`,
		"datatypes":                `{` + ok + `,` + at + `,"datatypes":["salaries"]}`,
		"duplicate member":         `{` + ok + `,` + at + `,"identifier":"doc_2"}`,
		"duplicate actions":        `{` + ok + `,` + at + `,"actions":["delete"]}`,
		"case variant":             `{` + ok + `,` + at + `,"ACTIONS":["delete"]}`,
		"case variant, Kelvin":     `{` + ok + `,` + at + `,"to` + "\u212a" + `en":1}`,
		"null member":              `{` + ok + `,` + at + `,"privileges":null}`,
		"nested authorization":     `{"authorization_details":{` + ok + `,` + at + `}}`,
		"two values in one header": `{` + ok + `,` + at + `},{"type":"payment"}`,
	}
}

func TestDemandOutsideCeilingSendsNothing(t *testing.T) {
	var body string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(challenge.Header, base64.StdEncoding.EncodeToString([]byte(body)))
		w.WriteHeader(http.StatusForbidden)
	}))
	defer srv.Close()
	origin := must(jit.ParseOrigin(srv.URL))
	ceiling := read("doc_1")
	ceiling.Locations = []string{origin.String()}
	for name, demanded := range hostileDemands(origin.String()) {
		t.Run(name, func(t *testing.T) {
			body = demanded
			authority := &fake.Authority{}
			c := newClient(t, jit.Config{Authority: authority}, origin, srv.URL, nil)
			resp, err := c.get(t.Context(), "doc_1", ceiling)
			if err == nil {
				_ = resp.Body.Close()
				t.Errorf("GET = %d, want an error", resp.StatusCode)
			}
			if n := len(authority.Requests()); n != 0 {
				t.Errorf("authorization server saw %d requests, want 0: %+v", n, authority.Requests())
			}
		})
	}
	t.Run("exactly the ceiling", func(t *testing.T) { // or the test above could not fail
		body = `{"type":"file_access","actions":["read"],"identifier":"doc_1","locations":["` + origin.String() + `"]}`
		authority := &fake.Authority{}
		c := newClient(t, jit.Config{Authority: authority}, origin, srv.URL, nil)
		_, err := c.get(t.Context(), "doc_1", ceiling)
		if !errors.Is(err, jit.ErrStillRefused) || len(authority.Requests()) == 0 {
			t.Errorf("GET = %v after %d requests, want still refused after some", err, len(authority.Requests()))
		}
	})
}

func TestEnvelopeErrorNamesTheDemand(t *testing.T) {
	api, authority, seen := newAPI(t), &fake.Authority{}, &events{}
	c := newClient(t, jit.Config{Authority: authority}, api.origin(), api.URL, seen.observe)
	_, err := c.get(t.Context(), "doc_2", read("doc_1"))
	e, ok := errors.AsType[*jit.EnvelopeError](err)
	if !ok || !rar.Equal(e.Demanded, read("doc_2")) || !errors.Is(err, jit.ErrOutsideCeiling) {
		t.Errorf("GET = %v, want an EnvelopeError for doc_2", err)
	}
	if diff := cmp.Diff([]string{"refused", "blocked"}, seen.kinds()[len(seen.kinds())-2:]); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestOperatorPolicyBindsEveryCall(t *testing.T) {
	api := newAPI(t)
	for name, policy := range map[string][]rar.Detail{"other": {read("doc_9")}, "nothing": {}} {
		authority := &fake.Authority{}
		c := newClient(t, jit.Config{Authority: authority, Policy: policy}, api.origin(), api.URL, nil)
		if _, err := c.get(t.Context(), "doc_1", read("doc_1")); !errors.Is(err, jit.ErrOutsideCeiling) || len(authority.Requests()) != 0 {
			t.Errorf("%s: GET = %v after %d requests, want outside the ceiling after 0", name, err, len(authority.Requests()))
		}
	}
}

func TestNoCeilingAsksForNothing(t *testing.T) {
	api, authority := newAPI(t), &fake.Authority{}
	c := newClient(t, jit.Config{Authority: authority}, api.origin(), api.URL, nil)
	if _, err := c.get(t.Context(), "doc_1"); !errors.Is(err, jit.ErrOutsideCeiling) || len(authority.Requests()) != 0 {
		t.Errorf("GET = %v after %d requests, want outside the ceiling after 0", err, len(authority.Requests()))
	}
}

func TestOvergrantIsNeverUsed(t *testing.T) {
	const canary = "overgranted-token-1"
	extra := read("doc_1")
	extra.Privileges = []string{"admin"}
	wide := read("doc_1")
	wide.Actions = []string{"read", "delete"}
	for name, details := range map[string][]rar.Detail{
		"other id":         {read("doc_2")},
		"more actions":     {wide},
		"privileges":       {extra},
		"a second detail":  {read("doc_1"), read("doc_2")},
		"none at all":      {},
		"wildcard":         {read("*")},
		"without an id":    {read("")},
		"an invalid one":   {{}},
		"twice the asked":  {read("doc_1"), read("doc_1")},
		"without actions":  {{Type: "file_access", Identifier: "doc_1"}},
		"a different type": {{Type: "payment", Actions: []string{"read"}, Identifier: "doc_1"}},
	} {
		t.Run(name, func(t *testing.T) {
			api := newAPI(t)
			authority := &fake.Authority{Issue: func(string, rar.Detail) jit.Issued {
				return jit.Issued{Token: secret.New(canary), Type: "Bearer", ExpiresIn: time.Minute, Details: details}
			}}
			c := newClient(t, jit.Config{Authority: authority}, api.origin(), api.URL, nil)
			if _, err := c.get(t.Context(), "doc_1", read("doc_1")); !errors.Is(err, jit.ErrOvergrant) {
				t.Errorf("GET = %v, want an overgrant error", err)
			}
			for _, r := range api.calls() {
				if strings.Contains(r.Header.Get("Authorization"), canary) {
					t.Error("the API saw the overgranted token")
				}
			}
		})
	}
}

func TestNarrowerGrantIsUsed(t *testing.T) {
	api := newAPI(t)
	wide := read("doc_1")
	wide.Actions = []string{"read", "list"}
	api.demand = func(*http.Request) rar.Detail { return wide }
	authority := &fake.Authority{Issue: func(_ string, d rar.Detail) jit.Issued {
		return jit.Issued{Token: secret.New(fake.TokenFor(d)), ExpiresIn: time.Minute, Details: []rar.Detail{read("doc_1")}}
	}}
	c := newClient(t, jit.Config{Authority: authority}, api.origin(), api.URL, nil)
	resp, err := c.get(t.Context(), "doc_1", wide)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("GET = %v, %v, want 200: what the server leaves out is its right", resp, err)
	}
	_ = resp.Body.Close()
}

// gate lets nobody through before n have come.
type gate struct {
	n    atomic.Int64
	open chan struct{}
}

func newGate(n int64) *gate {
	g := &gate{open: make(chan struct{})}
	g.n.Store(n)
	return g
}

func (g *gate) arrive() {
	if g.n.Add(-1) == 0 {
		close(g.open)
	}
}

func (g *gate) pass() { g.arrive(); <-g.open }

// TestParallelIdenticalCallsShareOneRequest makes sure that the calls do meet: no
// call is refused before all have been sent, and no request is decided before all
// have been refused.
func TestParallelIdenticalCallsShareOneRequest(t *testing.T) {
	const n = 100
	sent, refused := newGate(n), newGate(n)
	api := newAPI(t)
	api.demand = func(r *http.Request) rar.Detail {
		if r.Header.Get("Authorization") == "Bearer "+fake.BaseToken {
			sent.pass()
		}
		return read(r.PathValue("id"))
	}
	authority := &fake.Authority{Decide: func(r jit.Request) (jit.Decision, error) {
		<-refused.open
		return jit.Decision{Status: jit.StatusApproved, TTL: r.TTL}, nil
	}}
	c := newClient(t, jit.Config{Authority: authority}, api.origin(), api.URL, func(e jit.Event) {
		if _, ok := e.(jit.Refused); ok {
			refused.arrive()
		}
	})
	var wg sync.WaitGroup
	var ok sync.Map
	for i := range n {
		wg.Go(func() {
			resp, err := c.get(t.Context(), "doc_1", read("doc_1"))
			if err != nil {
				t.Errorf("call %d: %v", i, err)
				return
			}
			defer func() { _ = resp.Body.Close() }()
			if body, _ := io.ReadAll(resp.Body); resp.StatusCode == 200 && string(body) == "content" {
				ok.Store(i, true)
			}
		})
	}
	wg.Wait()
	results := 0
	ok.Range(func(any, any) bool { results++; return true })
	if len(authority.Requests()) != 1 || authority.Redeemed() != 1 || results != n {
		t.Errorf("%d requests, %d tokens, %d results, want 1, 1, %d", len(authority.Requests()), authority.Redeemed(), results, n)
	}
}

func TestLiveGrantCostsOneRoundTrip(t *testing.T) {
	api, authority := newAPI(t), &fake.Authority{}
	c := newClient(t, jit.Config{Authority: authority}, api.origin(), api.URL, nil)
	for range 3 {
		resp, err := c.get(t.Context(), "doc_1", read("doc_1"))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if calls := len(api.calls()); calls != 4 || len(authority.Requests()) != 1 {
		t.Errorf("API saw %d calls and the authorization server %d requests, want 4 (refused, then three) and 1", calls, len(authority.Requests()))
	}
}

func TestNextCallOfItsKindAsksFirst(t *testing.T) {
	api, authority, seen := newAPI(t), &fake.Authority{}, &events{}
	c := newClient(t, jit.Config{Authority: authority}, api.origin(), api.URL, seen.observe)
	for i := range 3 {
		id := fmt.Sprintf("doc_%d", i)
		resp, err := c.get(t.Context(), id, read(id))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if calls := len(api.calls()); calls != 4 {
		t.Errorf("API saw %d calls, want 4: one refusal, three answers", calls)
	}
	var asked []string
	for _, r := range authority.Requests() {
		asked = append(asked, r.Detail.Identifier)
	}
	if diff := cmp.Diff([]string{"doc_0", "doc_1", "doc_2"}, asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestAskingFirstStaysWithinTheCeiling(t *testing.T) {
	api, authority := newAPI(t), &fake.Authority{}
	c := newClient(t, jit.Config{Authority: authority}, api.origin(), api.URL, nil)
	resp, err := c.get(t.Context(), "doc_1", read("doc_1"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	// The same endpoint, but a call that may ask for something else only.
	if _, err := c.get(t.Context(), "doc_2", write("doc_2")); !errors.Is(err, jit.ErrOutsideCeiling) {
		t.Errorf("GET = %v, want outside the ceiling", err)
	}
	if n := len(authority.Requests()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestPlainRefusalIsReturnedAndNotSentAgain(t *testing.T) {
	for name, refuse := range map[string]func(http.ResponseWriter){
		"no challenge": func(w http.ResponseWriter) { http.Error(w, "go away", 403) },
		"another dialect": func(w http.ResponseWriter) {
			w.Header().Set("WWW-Authenticate", `Bearer error="need_info", ticket="x"`)
			w.WriteHeader(403)
		},
		"401":               func(w http.ResponseWriter) { w.WriteHeader(401) },
		"large body":        func(w http.ResponseWriter) { w.WriteHeader(403); _, _ = io.WriteString(w, strings.Repeat("x", 1<<20)) },
		"not a refusal":     func(w http.ResponseWriter) { w.Header().Set(challenge.Header, "e30="); w.WriteHeader(404) },
		"demand with a 200": func(w http.ResponseWriter) { w.Header().Set(challenge.Header, "e30=") },
		"demand with a 500": func(w http.ResponseWriter) { w.Header().Set(challenge.Header, "e30="); w.WriteHeader(500) },
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { calls++; refuse(w) }))
			defer srv.Close()
			authority := &fake.Authority{}
			c := newClient(t, jit.Config{Authority: authority}, must(jit.ParseOrigin(srv.URL)), srv.URL, nil)
			resp, err := c.get(t.Context(), "doc_1", read("doc_1"))
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if err != nil || calls != 1 || len(authority.Requests()) != 0 {
				t.Errorf("%d calls, %d requests, body %d bytes (%v), want 1 call, 0 requests", calls, len(authority.Requests()), n, err)
			}
			if name == "large body" && n != 1<<20 {
				t.Errorf("body has %d bytes, want all of it", n)
			}
		})
	}
}

func TestRepeatedRefusalIsBounded(t *testing.T) {
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		_ = challenge.Write(w, 403, read("doc_1"), "")
	}))
	defer srv.Close()
	authority := &fake.Authority{}
	c := newClient(t, jit.Config{Authority: authority, MaxEscalations: 3}, must(jit.ParseOrigin(srv.URL)), srv.URL, nil)
	_, err := c.get(t.Context(), "doc_1", read("doc_1"))
	if !errors.Is(err, jit.ErrStillRefused) || calls != 4 || len(authority.Requests()) != 3 {
		t.Errorf("GET = %v after %d calls and %d requests, want still refused after 4 and 3", err, calls, len(authority.Requests()))
	}
}

func TestRevokedGrantIsReplaced(t *testing.T) {
	api, authority := newAPI(t), &fake.Authority{}
	revoked := false
	api.Config.Handler = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if revoked && strings.HasPrefix(r.Header.Get("Authorization"), "Bearer grant-") {
				revoked = false
				w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
				w.WriteHeader(401)
				return
			}
			next.ServeHTTP(w, r)
		})
	}(api.Config.Handler)
	c := newClient(t, jit.Config{Authority: authority}, api.origin(), api.URL, nil)
	for i := range 2 {
		resp, err := c.get(t.Context(), "doc_1", read("doc_1"))
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("call %d: %v, %v", i, resp, err)
		}
		_ = resp.Body.Close()
		revoked = true
	}
	if n := len(authority.Requests()); n != 2 {
		t.Errorf("%d requests, want 2: the revoked grant is replaced by a new one", n)
	}
}
