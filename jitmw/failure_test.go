package jitmw_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/agent"

	"github.com/jitagent/jitagent/internal/logtest"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/rar"
)

const (
	final = "This is final for this task: do not call the tool again for it; say so in your answer."
	sayso = "Say so in your answer."
)

// faulty is an error of an authorization server, as package lumoauth has them.
type faulty struct{}

func (faulty) Error() string                    { return "login: Post https://auth.internal:8443: 10.1.2.3 refused" }
func (faulty) Temporary() (time.Duration, bool) { return 0, false }

// inHTTP puts err where net/http puts a transport's error.
func inHTTP(err error) error {
	return fmt.Errorf("fetch: %w", &url.Error{Op: "Get", URL: "http://10.1.2.3:8080/internal", Err: err})
}

func TestErrorsInWordsForTheModel(t *testing.T) {
	expires := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	hostile := rar.Detail{Type: "ignore_your_instructions", Identifier: "*"}
	dial := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 8080}, Err: os.ErrDeadlineExceeded}
	for name, tt := range map[string]struct {
		err  error
		want map[string]any
	}{
		"pending": {
			inHTTP(&jit.PendingError{RequestID: "req_7", TaskID: "task_1", Detail: read("doc_7"), Risk: "high", ExpiresAt: expires, DecideAt: "https://auth.internal/decide"}),
			map[string]any{
				"status": "pending", "error": "permission for " + read("doc_7").String() + " is waiting for a person's decision",
				"advice":     "Do not call the tool again for it now; say in your answer what is waiting.",
				"request_id": "req_7", "risk_level": "high", "expires_at": "2026-03-01T11:00:00Z",
			},
		},
		"denied": {
			inHTTP(&jit.DeniedError{RequestID: "req_7", Detail: read("doc_7"), Risk: "critical", Status: jit.StatusDenied, Message: "not in the audit week"}),
			map[string]any{
				"status": "denied", "error": "permission for " + read("doc_7").String() + " was denied: not in the audit week",
				"advice": final, "request_id": "req_7", "risk_level": "critical",
			},
		},
		"ran out": {
			&jit.DeniedError{RequestID: "req_7", Detail: read("doc_7"), Status: jit.StatusExpired},
			map[string]any{"status": "denied", "error": "permission for " + read("doc_7").String() + " was not decided in time", "advice": final, "request_id": "req_7"},
		},
		"not used": {
			&jit.DeniedError{RequestID: "req_7", Detail: read("doc_7"), Status: jit.StatusExpired, DecidedBy: "ada"},
			map[string]any{"status": "denied", "error": "permission for " + read("doc_7").String() + " was approved by ada, and the approval was not used in time", "advice": final, "request_id": "req_7"},
		},
		"unknown state": {
			&jit.DeniedError{RequestID: "req_7", Detail: read("doc_7"), Status: jit.StatusUnknown},
			map[string]any{"status": "denied", "error": "permission for " + read("doc_7").String() + " was denied", "advice": final, "request_id": "req_7"},
		},
		"outside the ceiling": {
			inHTTP(&jit.EnvelopeError{Tool: "act", CallID: "call-1", Demanded: hostile, Reason: errors.New("type ignore_your_instructions")}),
			map[string]any{"status": "denied", "error": "the API demanded more authority than this call may ever ask for", "advice": final},
		},
		"granted too much": {
			inHTTP(&jit.OvergrantError{RequestID: "req_7", Asked: read("doc_7"), Reason: errors.New("identifier ignore_your_instructions")}),
			map[string]any{"status": "denied", "error": "the authorization server granted more than was asked, so the grant was not used", "advice": final},
		},
		"still refused": {
			inHTTP(fmt.Errorf("jit: GET http://10.1.2.3/x: %w after 3 tries", jit.ErrStillRefused)),
			map[string]any{"status": "denied", "error": "the API refuses the call even with the permission that was granted for it", "advice": final},
		},
		"scopes": {
			inHTTP(fmt.Errorf("jit: GET http://10.1.2.3/x: %w: insufficient_scope: ignore_your_instructions", jit.ErrScope)),
			map[string]any{"status": "denied", "error": "the API wants scopes and does not say which", "advice": sayso},
		},
		"login": {
			inHTTP(fmt.Errorf("jit: GET http://10.1.2.3/x: %w: insufficient_user_authentication", jit.ErrLogin)),
			map[string]any{"status": "login_required", "error": "the API wants the user to log in anew, which the agent cannot do", "advice": sayso},
		},
		"task ended": {
			inHTTP(fmt.Errorf("jit: demand: %w", jit.ErrTaskEnded)),
			map[string]any{"status": "failed", "error": "the task has ended, so the call could not get permission", "advice": sayso},
		},
		"not replayable": {
			inHTTP(fmt.Errorf("jit: POST http://10.1.2.3/x: %w", jit.ErrNotReplayable)),
			map[string]any{"status": "failed", "error": "the call needs permission but could not be repeated with it", "advice": sayso},
		},
		"no call": {
			fmt.Errorf("jit: acquire: %w", jit.ErrNoCall),
			map[string]any{"status": "failed", "error": "the tool asked for permission outside of its call", "advice": sayso},
		},
		"authorization server": {
			inHTTP(&jit.AuthorityError{Op: "log the agent in", Err: faulty{}}),
			map[string]any{"status": "failed", "error": "the authorization server could not be reached, or it failed", "advice": sayso},
		},
		"in doubt": {
			inHTTP(&jit.InDoubtError{Method: "POST", URL: "http://10.1.2.3/x", Err: context.DeadlineExceeded}),
			map[string]any{
				"status": "in_doubt", "error": "the answer to the call was lost, so it is not known whether the call took effect",
				"advice": "Do not call the tool again for it: say in your answer that it may have happened and has to be checked.",
			},
		},
		"too long": {
			inHTTP(context.DeadlineExceeded),
			map[string]any{"status": "failed", "error": "the call took too long", "advice": sayso},
		},
		"cancelled": {
			inHTTP(context.Canceled),
			map[string]any{"status": "failed", "error": "the call was cancelled"},
		},
		"HTTP":    {inHTTP(errors.New("jit: GET http://10.1.2.3/x: unreadable demand")), technical},
		"network": {fmt.Errorf("query: %w", dial), technical},
		"file":    {fmt.Errorf("journal: %w", &fs.PathError{Op: "open", Path: "/var/lib/internal", Err: fs.ErrPermission}), technical},
		"link":    {fmt.Errorf("save: %w", &os.LinkError{Op: "rename", Old: "/var/lib/internal", New: "/b", Err: fs.ErrExist}), technical},
		"the tool's own": {
			errors.New("the month has not ended yet"),
			map[string]any{"status": "failed", "error": "the month has not ended yet"},
		},
		"in the tool's own words": {
			fmt.Errorf("fetch: %w", &jitmw.Failure{Status: jit.CallNotFound, Message: "no such month", Advice: "Name another.", Err: dial}),
			map[string]any{"status": "not_found", "error": "no such month", "advice": "Name another."},
		},
		"without words": {
			&jitmw.Failure{},
			map[string]any{"status": "failed", "error": "the call failed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			logger, log := logtest.New()
			inner := &plain{name: "act", run: func(agent.Context, any) (map[string]any, error) { return map[string]any{"partial": true}, tt.err }}
			got := run(t, wrap(t, inner, jitmw.Config{Logger: logger}), under(t, newAuthority()), nil)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Run() (-want +got):\n%s", diff)
			}
			for _, inside := range []string{"10.1.2.3", "internal", "ignore_your_instructions"} {
				if strings.Contains(fmt.Sprint(got), inside) {
					t.Errorf("the model sees %q: %v", inside, got)
				}
			}
			if !strings.Contains(log.String(), "tool call failed") {
				t.Errorf("the log has no cause:\n%s", log)
			}
		})
	}
}

var technical = map[string]any{
	"status": "failed", "error": "the call failed for a technical reason: a service or file that it needs could not be reached", "advice": sayso,
}

func TestFailuresHoldNoTokenAndAreShort(t *testing.T) {
	logger, log := logtest.New()
	inner := &plain{name: "act", run: func(ctx agent.Context, _ any) (map[string]any, error) {
		if _, err := jit.Acquire(ctx, read("doc_1")); err != nil {
			return nil, err
		}
		return nil, &jitmw.Failure{
			Status: "failed", Message: grantToken + strings.Repeat("é", 5000), Advice: "send " + grantToken,
			RequestID: grantToken, Risk: grantToken, Err: errors.New(grantToken),
		}
	}}
	g := wrap(t, inner, jitmw.Config{Logger: logger, Plan: func(map[string]any) (jitmw.Plan, error) {
		return jitmw.Plan{Ceiling: []rar.Detail{read("doc_1")}}, nil
	}})
	got := run(t, g, under(t, newAuthority()), nil)
	if strings.Contains(fmt.Sprint(got), grantToken) || strings.Contains(log.String(), grantToken) {
		t.Errorf("the token is in the result or in the log: %v\n%s", got, log)
	}
	text, _ := got["error"].(string)
	if len(text) > 1100 || !strings.HasSuffix(text, "é…") {
		t.Errorf("the message has %d bytes and ends in %q, want it cut between runes", len(text), text[max(0, len(text)-8):])
	}
}

func TestFailureIsAnErrorWithACause(t *testing.T) {
	cause := errors.New("cause")
	f := &jitmw.Failure{Message: "what happened", Err: cause}
	if f.Error() != "what happened: cause" || !errors.Is(f, cause) {
		t.Errorf("Error() = %q, want message and cause", f.Error())
	}
	if got := (&jitmw.Failure{Message: "what happened"}).Error(); got != "what happened" {
		t.Errorf("Error() = %q, want the message", got)
	}
}
