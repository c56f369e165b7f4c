package jittest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

func TestFriendly(t *testing.T) {
	w := jittest.Start(t)
	body := must(t)(w.Get("/documents/doc_1", doc1))
	if want := `{"content":"Content of doc_1.","id":"doc_1","title":"Title of doc_1"}`; body != want {
		t.Errorf("body = %s, want %s", body, want)
	}
	must(t)(w.Get("/documents/doc_1", doc1))
	must(t)(w.Post("/reports", `{"title":"Q4"}`, reports))
	w.AskedExactly(doc1, reports)
	w.Used(3)
	w.Calls(5)
	w.OneKey()
	w.NothingLeft()
	w.NothingLeaked(body, w.Story(), w.Asked(), w.Login())
	if a := w.Asked()[0]; a.RequestID == "" || a.TaskID == "" || a.Status != "approved" || a.Justification != "a test" {
		t.Errorf("asked %+v", a)
	}
	var kinds []string
	for _, e := range w.Events() {
		kinds = append(kinds, e.Kind())
	}
	if len(kinds) == 0 || kinds[0] != "task_opened" || kinds[len(kinds)-1] != "completed" {
		t.Errorf("events = %v", kinds)
	}
}

func TestRedeemingAgainIsNoNewToken(t *testing.T) {
	w := jittest.Start(t)
	fetch(w)
	if _, err := w.Authority.Token(t.Context(), w.Asked()[0].RequestID); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(w.Story(), "issued: "); n != 1 {
		t.Errorf("%d tokens were issued, want one", n)
	}
}

func TestDenying(t *testing.T) {
	w := jittest.Start(t, jittest.Denying(doc2))
	must(t)(w.Get("/documents/doc_1", doc1))
	_, _, err := w.Get("/documents/doc_2", doc2)
	if !errors.Is(err, jit.ErrDenied) {
		t.Errorf("Get(doc_2) = %v, want ErrDenied", err)
	}
	w.AskedExactly(doc1, doc2)
	w.Used(1)
	w.NothingLeft()
	w.NothingLeaked(err)
}

func TestPersonDecides(t *testing.T) {
	w := jittest.Start(t, jittest.PersonDecides(doc1, doc2))
	must(t)(w.Post("/reports", "{}", reports))
	for _, id := range []string{"doc_1", "doc_2"} {
		if _, _, err := w.Get("/documents/"+id, jittest.Read(id)); !errors.Is(err, jit.ErrPending) {
			t.Fatalf("Get(%s) = %v, want ErrPending", id, err)
		}
		if id == "doc_1" {
			w.Approve()
			must(t)(w.Get("/documents/doc_1", doc1))
		}
	}
	w.Deny("not today")
	_, _, err := w.Get("/documents/doc_2", doc2)
	if denied, ok := errors.AsType[*jit.DeniedError](err); !ok || denied.Message != "not today" {
		t.Errorf("Get(doc_2) = %v, want a denial that says why", err)
	}
	w.AskedExactly(reports, doc1, doc2)
	w.Used(2)
	if got := w.Asked()[1].Status + " " + w.Asked()[2].Status; got != "approved denied" {
		t.Errorf("decisions = %s", got)
	}
	w.NothingLeaked(err)
}

func TestPersonDecidesWhileTheCallWaits(t *testing.T) {
	w := jittest.Start(t, jittest.PersonDecides(), jittest.Engine(func(c *jit.Config) { c.Wait = time.Hour }))
	done := make(chan error, 1)
	go func() {
		_, _, err := w.Get("/documents/doc_1", doc1)
		done <- err
	}()
	w.Approve() // waits until the call has asked
	if err := <-done; err != nil {
		t.Errorf("Get() = %v", err)
	}
	w.Used(1)
}

// A test may hold the authorization server's clock: what expires there is refused by the
// API, or read as a denial.
func TestTheServersClock(t *testing.T) {
	var ahead atomic.Int64
	clock := jittest.AuthServer(func(c *lumodev.Config) {
		c.TaskTTL, c.AgentTokenTTL = 48*time.Hour, 48*time.Hour
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	w := jittest.Start(t, clock, jittest.PersonDecides(doc2))
	must(t)(w.Get("/documents/doc_1", doc1))
	fetch2(w)
	ahead.Add(int64(time.Hour))
	must(t)(w.Get("/documents/doc_1", doc1))
	if _, _, err := w.Get("/documents/doc_2", doc2); !errors.Is(err, jit.ErrDenied) {
		t.Errorf("Get() = %v, want ErrDenied", err)
	}
	w.AskedExactly(doc1, doc1, doc2)
	w.NothingLeft()
	if !strings.Contains(w.Story(), "with token 1 -> 401") {
		t.Errorf("the token that expired was not refused:\n%s", w.Story())
	}
}

func TestTaskThatIsNotOpenedFails(t *testing.T) {
	wantFailure(t, run(t, func(t *recorder) {
		w := jittest.Start(t, jittest.Engine(func(c *jit.Config) {
			c.Authority = &fake.Authority{Create: func(context.Context) (jit.TaskInfo, error) { return jit.TaskInfo{}, errors.New("closed") }}
		}))
		w.Task()
	}), "the task could not be opened: jit: the authorization server did not open the task: closed")
}

func TestControlsThatDoNothingFail(t *testing.T) {
	for name, row := range map[string]struct {
		act  func(*jittest.World)
		want string
	}{
		"approve":      {(*jittest.World).Approve, "waited 1ns in vain for a request that is pending"},
		"deny":         {func(w *jittest.World) { w.Deny("") }, "in vain"},
		"await":        {(*jittest.World).AwaitPending, "waited 1ns in vain for a request that is pending"},
		"no reviewers": {func(w *jittest.World) { fetch(w); w.Approve() }, "nobody is there to decide"},
	} {
		t.Run(name, func(t *testing.T) {
			wantFailure(t, run(t, func(t *recorder) {
				row.act(jittest.Start(t, jittest.Patience(1), jittest.PersonDecides(), jittest.AuthServer(func(c *lumodev.Config) {
					c.Users = []lumodev.User{}
				})))
				t.T.Log("not reached by those that end the test")
			}), row.want)
		})
	}
}

func TestRoutes(t *testing.T) {
	invoice := rar.Detail{Type: "invoice", Actions: []string{"pay"}, Identifier: "inv_7"}
	w := jittest.Start(t,
		jittest.Route("POST /invoices/{id}", func(r *http.Request) rar.Detail {
			return rar.Detail{Type: "invoice", Actions: []string{"pay"}, Identifier: r.PathValue("id")}
		}, func(rw http.ResponseWriter, r *http.Request) {
			token, _ := resource.FromContext(r.Context())
			if r.Header.Get("Authorization") != "" || token == nil || !token.JIT {
				t.Errorf("the handler sees the credential, or no token: %+v", token)
			}
			rw.WriteHeader(http.StatusCreated)
		}),
		jittest.Route("GET /open", func(*http.Request) rar.Detail { return rar.Detail{} }, nil),
		jittest.Route("GET /documents/{id}", nil, nil),
	)
	if status, _, err := w.Post("/invoices/inv_7", "{}", invoice); status != http.StatusCreated || err != nil {
		t.Errorf("Post() = %d, %v", status, err)
	}
	must(t)(w.Get("/open"))
	must(t)(w.Get("/documents/doc_1", doc1))
	if status, _, err := w.Get("/nowhere"); status != http.StatusNotFound || err != nil {
		t.Errorf("Get() = %d, %v, want 404", status, err)
	}
	stranger := &http.Client{}
	resp, err := stranger.Get(w.API.String() + "/open") //nolint:noctx // outside of every task
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger gets %d, want 401", resp.StatusCode)
	}
	w.AskedExactly(invoice, doc1)
	w.Calls(7)
}

func TestDemandOfARoute(t *testing.T) {
	all := rar.Detail{Type: "file_access", Actions: []string{"read"}, Locations: []string{"https://files.example"}}
	w := jittest.Start(t, jittest.Route("/", func(r *http.Request) rar.Detail {
		return rar.Detail{Type: "file_access", Actions: []string{"read"}, Locations: []string{"http://" + r.Host}}
	}, nil))
	_, _, err := w.Get("/a", all)
	if !errors.Is(err, jit.ErrOutsideCeiling) {
		t.Errorf("Get() = %v, want ErrOutsideCeiling", err)
	}
	all.Locations = []string{w.API.String()}
	must(t)(w.Get("/a", all))
	w.AskedExactly(all)
}

func TestStartFails(t *testing.T) {
	for name, row := range map[string]struct {
		option jittest.Option
		want   string
	}{
		"bad route":  {jittest.Route("GET documents", nil, nil), `start: route "GET documents"`},
		"bad engine": {jittest.Engine(func(c *jit.Config) { c.Wait = -1 }), "start: jit: config: Wait is negative"},
		"bad server": {jittest.AuthServer(func(c *lumodev.Config) { c.Org = "a b" }), "start: lumodev: "},
	} {
		t.Run(name, func(t *testing.T) {
			failures := run(t, func(t *recorder) {
				jittest.Start(t, row.option)
				t.T.Error("a world was started")
			})
			if len(failures) != 1 || !contains(failures[0], row.want) {
				t.Errorf("failures = %q, want one that says %q", failures, row.want)
			}
		})
	}
}

// TestEndGivesBack ends a test in the middle and looks at what is left.
func TestEndGivesBack(t *testing.T) {
	var w *jittest.World
	failures := run(t, func(t *recorder) {
		w = jittest.Start(t, jittest.PersonDecides(doc2), jittest.Engine(func(c *jit.Config) { c.Wait = time.Hour }))
		if _, err := jit.Acquire(w.Call(doc1), doc1); err != nil {
			t.Errorf("Acquire() = %v", err)
		}
		go fetch2(w)
		w.AwaitPending()
		t.Fatalf("broken")
	})
	if len(failures) != 1 || failures[0] != "broken" {
		t.Errorf("failures = %q, want only that of the test", failures)
	}
	var ends []jit.Completed
	for _, e := range w.Events() { // the call that waits may still be told of
		if c, ok := e.(jit.Completed); ok {
			ends = append(ends, c)
		}
	}
	if len(ends) != 1 || ends[0].Error != "" || ends[0].Revoked != 1 {
		t.Errorf("completions = %+v, want one that revoked one token", ends)
	}
}
