package lumoauth

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/secret"
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
	user := secret.New("user-token")
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
			d, err := c.Approve(t.Context(), user, "jit_1", Approval{TTL: 2 * time.Minute, Notes: "n", Message: "m"})
			if err == nil && d.Status != jit.StatusApproved {
				t.Errorf("Approve() = %+v", d)
			}
			return err
		}},
		{"approve plainly", "POST /jit/approve/jit_1", "user-token", `{}`, func() error {
			_, err := c.Approve(t.Context(), user, "jit_1", Approval{})
			return err
		}},
		{"deny", "POST /jit/deny/jit_1", "user-token", `{"reason":"r","agent_message":"m"}`, func() error {
			d, err := c.Deny(t.Context(), user, "jit_1", Denial{Reason: "r", Message: "m"})
			if err == nil && d.Status != jit.StatusDenied {
				t.Errorf("Deny() = %+v", d)
			}
			return err
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
	user := secret.New("user-token")
	for range 2 {
		if _, err := c.Approve(t.Context(), user, "jit_1", Approval{}); !errors.Is(err, ErrInvalidResponse) {
			t.Errorf("Approve() = %v, want %v", err, ErrInvalidResponse)
		}
	}
	if _, err := c.Deny(t.Context(), user, "jit_1", Denial{}); !errors.Is(err, ErrInvalidResponse) {
		t.Errorf("Deny() = %v, want %v", err, ErrInvalidResponse)
	}
	sent := f.count("")
	for _, how := range []Approval{{TTL: -1}, {TTL: time.Hour}, {Notes: "\xff"}} {
		if _, err := c.Approve(t.Context(), user, "jit_1", how); err == nil {
			t.Errorf("Approve() with %+v succeeded", how)
		}
	}
	if _, err := c.Approve(t.Context(), secret.String{}, "jit_1", Approval{}); err == nil || f.count("") != sent {
		t.Errorf("Approve() without a token = %v after %d requests, want an error and none", err, f.count("")-sent)
	}
}
