//go:build failpoints

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/lab/failpoint"
	"github.com/jitagent/jitagent/state/session"
)

// killedAt runs the command in a process that dies at a point. It reports whether it did.
func (w *world) killedAt(point string, args ...string) bool {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "analyst", args...)
	cmd.Env = append(os.Environ(), "NO_PROXY=*", failpoint.Env+"="+point)
	for name, value := range w.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd.Run() != nil && cmd.ProcessState.ExitCode() == -1
}

// TestKilledAroundASuspension kills a run that is suspended, and one that is resumed, at
// each durable write of that. No effect happens twice, no session is lost, and in the end
// nothing is open.
func TestKilledAroundASuspension(t *testing.T) {
	for phase, points := range map[string][]string{
		"run": {"sessions.appended", "sessions.appended:2", "suspensions.before.save", "suspensions.after.save", "journal.before.task_suspended", "journal.after.task_suspended"},
		"resume": {
			"journal.before.task_resumed", "journal.after.task_resumed", "authority.token_issued", "journal.after.grant", "sessions.appended",
			"journal.after.call_sent", "api.post.sent", "api.post.answered", "sessions.appended:3", "suspensions.before.drop", "suspensions.after.drop", "authority.completed",
		},
	} {
		for _, point := range points {
			t.Run(phase+" "+point, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, nil).shared()
				if phase == "run" {
					if !w.killedAt(point, "run", report) {
						t.Fatal("nothing died")
					}
				} else {
					w.suspended(report)
				}
				if len(w.auth.Snapshot().Requests) > 0 {
					decide(t, w.auth, "approve")
				}
				if phase == "resume" && !w.killedAt(point, "resume") {
					t.Fatal("nothing died")
				}
				var list []session.Summary
				if err := json.Unmarshal([]byte(w.run("sessions", "list", "--json").stdout), &list); err != nil || len(list) != 1 {
					t.Fatalf("sessions: %+v, %v", list, err)
				}
				w.run("sweep") // of what nobody goes on with
				again := w.run("resume", list[0].ID)
				if again.code == cli.ExitPending { // the call is made for the first time only now
					decide(t, w.auth, "approve")
					again = w.run("resume", list[0].ID)
				}
				if got := w.run("run", "--session", list[0].ID, "Summarize doc_9982"); got.code != cli.ExitDone {
					t.Errorf("the next message: exit %d: %s\nafter: %s%s", got.code, got.stderr, again.stdout, again.stderr)
				}
				if n := strings.Count(w.run("audit", "export").stdout, `"http_status":201`); n > 1 {
					t.Errorf("%d reports", n)
				}
				if strings.Contains(w.inJournal(), "open") || strings.Contains(w.inJournal(), "suspended") {
					t.Errorf("tasks are %s", w.inJournal())
				}
				if got := w.run("audit", "verify"); got.code != cli.ExitDone {
					t.Errorf("verify: %s", got.stderr)
				}
			})
		}
	}
}
