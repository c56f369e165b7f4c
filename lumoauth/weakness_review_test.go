package lumoauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/approval"
)

// SDKs do not know the state "expired" and leave members untyped.
func TestWeakness19_EveryMemberOfADecisionIsTyped(t *testing.T) {
	c := inMemory(t, newFake(map[string]http.HandlerFunc{statusRoute: inTurn(
		replies(200, `{"request_id":"jit_1","status":"expired","agent_message":"too late","has_notes":false}`),
		replies(200, `{"request_id":"jit_1","status":"pending","delegation_consent_required":true}`),
		replies(200, `{"request_id":"jit_1","status":"approved","granted_ttl":300}`),
	)}))
	for _, want := range []jit.Decision{
		{RequestID: "jit_1", Status: jit.StatusExpired, Message: "too late"},
		{RequestID: "jit_1", Status: jit.StatusPending, ConsentRequired: true, DecideAt: decideAt("jit_1")},
		{RequestID: "jit_1", Status: jit.StatusApproved, TTL: 5 * time.Minute},
	} {
		if got, err := c.Status(t.Context(), "jit_1"); err != nil || !cmp.Equal(got, want) {
			t.Errorf("Status() = %+v, %v, want %+v", got, err, want)
		}
	}
}

// SDKs send no parent task, and can neither approve nor deny.
func TestWeakness20_ParentTasksAndDecisions(t *testing.T) {
	f := newFake(goodRoutes())
	c := inMemory(t, f)
	person := as(c, secret.New("user-token"))
	steps := []struct {
		name, route, auth, body string
		call                    func() error
	}{
		{"bare task", taskRoute, "agent-token-1", `{}`, func() error {
			_, err := c.CreateTask(t.Context(), jit.TaskSpec{})
			return err
		}},
		{"sub-task", taskRoute, "agent-token-1", `{"name":"n","type":"t","parent_task_id":"task_0","on_behalf_of":"ada@acme-corp.example"}`, func() error {
			_, err := c.CreateTask(t.Context(), jit.TaskSpec{Name: "n", Type: "t", Parent: "task_0", OnBehalfOf: "ada@acme-corp.example"})
			return err
		}},
		{"approve", "POST /jit/approve/jit_1", "user-token", `{"ttl":120,"notes":"n","agent_message":"m"}`, func() error {
			return person.Decide(t.Context(), "jit_1", approval.Decision{Approve: true, TTL: 2 * time.Minute, Reason: "n", Message: "m"})
		}},
		{"approve plainly", "POST /jit/approve/jit_1", "user-token", `{}`, func() error {
			return person.Decide(t.Context(), "jit_1", approval.Decision{Approve: true})
		}},
		{"deny", "POST /jit/deny/jit_1", "user-token", `{"reason":"r","agent_message":"m"}`, func() error {
			return person.Decide(t.Context(), "jit_1", approval.Decision{TTL: time.Minute, Reason: "r", Message: "m"})
		}},
	}
	for _, s := range steps {
		if err := s.call(); err != nil {
			t.Errorf("%s = %v", s.name, err)
		}
		calls := f.saw(s.route)
		if last := calls[len(calls)-1]; last.body != s.body || last.auth != "Bearer "+s.auth {
			t.Errorf("%s sent %s with %q, want %s with %q", s.name, last.body, last.auth, s.body, s.auth)
		}
	}
}

func TestWeakness20_DecisionsThatAreNotTheOneAskedFor(t *testing.T) {
	f := newFake(map[string]http.HandlerFunc{
		"POST /jit/approve/jit_1": inTurn(replies(200, `{"request_id":"jit_1","status":"denied"}`), replies(200, `{"request_id":"jit_2","status":"approved"}`)),
		"POST /jit/deny/jit_1":    replies(200, `{"request_id":"jit_1"}`),
	})
	c := inMemory(t, f)
	person := as(c, secret.New("user-token"))
	for range 2 {
		if err := person.Decide(t.Context(), "jit_1", approval.Decision{Approve: true}); !errors.Is(err, ErrInvalidResponse) {
			t.Errorf("an approval: %v, want %v", err, ErrInvalidResponse)
		}
	}
	if err := person.Decide(t.Context(), "jit_1", approval.Decision{}); !errors.Is(err, ErrInvalidResponse) {
		t.Errorf("a denial: %v, want %v", err, ErrInvalidResponse)
	}
	sent := f.count("")
	for _, how := range []approval.Decision{{TTL: -1}, {TTL: time.Hour}, {Reason: "\xff"}} {
		how.Approve = true
		if err := person.Decide(t.Context(), "jit_1", how); err == nil {
			t.Errorf("Decide() with %+v succeeded", how)
		}
	}
	if err := as(c, secret.String{}).Decide(t.Context(), "jit_1", approval.Decision{Approve: true}); err == nil || f.count("") != sent {
		t.Errorf("Decide() without a token = %v after %d requests, want an error and none", err, f.count("")-sent)
	}
	person.Token = func(context.Context) (secret.String, error) { return secret.String{}, errBroken }
	if _, _, err := person.Pending(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("Pending() without a token: %v", err)
	}
	if err := person.Decide(t.Context(), "jit_1", approval.Decision{}); !errors.Is(err, errBroken) || f.count("") != sent {
		t.Errorf("Decide() without a token: %v", err)
	}
}

var errBroken = errors.New("broken")

// What can no longer be decided, and what was not shown, is said in the words of package
// approval, and other refusals in the server's.
func TestDecisionsThatDoNotCount(t *testing.T) {
	for body, want := range map[int]error{404: approval.ErrDecided, 400: approval.ErrDecided, 409: approval.ErrOtherRequest, 403: ErrForbidden} {
		f := newFake(map[string]http.HandlerFunc{"POST /jit/approve/jit_1": replies(body, `{"error":"invalid_state"}`)})
		if err := as(inMemory(t, f), secret.New("user-token")).Decide(t.Context(), "jit_1", approval.Decision{Approve: true}); !errors.Is(err, want) {
			t.Errorf("%d: %v, want %v", body, err, want)
		}
	}
	f := newFake(map[string]http.HandlerFunc{"POST /jit/approve/jit_1": replies(400, `{"error":"invalid_request"}`)})
	if err := as(inMemory(t, f), secret.New("user-token")).Decide(t.Context(), "jit_1", approval.Decision{Approve: true}); errors.Is(err, approval.ErrDecided) {
		t.Errorf("a request that is wrong: %v", err)
	}
}

// People decide where the configuration says.
func TestWherePeopleDecide(t *testing.T) {
	f := newFake(map[string]http.HandlerFunc{
		statusRoute: replies(200, `{"request_id":"jit_1","status":"pending"}`), requestRoute: replies(201, `{"request_id":"jit_2","status":"pending"}`),
	})
	c := inMemory(t, f, func(cfg *Config) { cfg.DecideAt = &url.URL{Scheme: "https", Host: "app.test", Path: "/approvals"} })
	if d, err := c.Status(t.Context(), "jit_1"); err != nil || d.DecideAt != "https://app.test/approvals/jit_1" {
		t.Errorf("Status() = %+v, %v", d, err)
	}
	if d, err := c.Request(t.Context(), jit.Request{TaskID: "task_1", Detail: docDetail}); err != nil || d.DecideAt != "https://app.test/approvals/jit_2" {
		t.Errorf("Request() = %+v, %v", d, err)
	}
}

// The server is given the address of the task where it is to call, and none without.
func TestCallbackOfATask(t *testing.T) {
	for address, want := range map[string]string{"https://app.test/callbacks/": `"callback_url":"https://app.test/callbacks/task_1"`, "": "", "nobody's": ""} {
		f := newFake(goodRoutes())
		c := inMemory(t, f, func(cfg *Config) {
			if cfg.Callback = func(task string) string { return address + task }; address == "" {
				cfg.Callback = nil
			} else if address == "nobody's" {
				cfg.Callback = func(string) string { return "" }
			}
		})
		if _, err := c.Request(t.Context(), jit.Request{TaskID: "task_1", Detail: docDetail}); err != nil {
			t.Fatal(err)
		}
		if body := f.saw(requestRoute)[0].body; !strings.Contains(body, want) || want == "" && strings.Contains(body, "callback") {
			t.Errorf("%s, want %s", body, want)
		}
	}
}
