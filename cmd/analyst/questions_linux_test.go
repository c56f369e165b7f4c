package main

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/dev/lumodev"
)

// TestQuestionsAtTheTerminal has a person do, at each of the two questions of a run, what
// people do: only a yes that was typed after the question lets a call through.
func TestQuestionsAtTheTerminal(t *testing.T) {
	t.Parallel()
	strict := filepath.Join(t.TempDir(), "strict.yaml")
	if err := os.WriteFile(strict, []byte("tools:\n  fetch_document: {effect: inspection, asked_by: [inspect]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const (
		end    = "\x04"
		narrow = "narrow" // the window is made so
		made   = `Summary of`
		again  = `\[y\]es \[n\]o \[l\]ess`
	)
	types := func(s *sitting, keys string) {
		if keys != narrow {
			s.types(keys)
			return
		}
		raw, err := s.screen.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) {
				if err := unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 10, Col: 20}); err != nil {
					t.Error(err)
				}
			})
		}
		if err != nil {
			t.Error(err)
		}
	}
	type step struct{ shown, keys string } // "" is nothing
	type row struct {
		exit  int
		steps []step
	}
	for question, tt := range map[string]struct {
		args []string
		rows map[string]row
	}{
		"unnamed": {[]string{"run", "--policy", strict, "Summarize doc_9982"}, map[string]row{
			"yes":         {cli.ExitDone, []step{{"Allow", "y\r"}, {made, ""}}},
			"no":          {cli.ExitDenied, []step{{"Allow", "n\r"}, {"nobody asked", ""}}},
			"something":   {cli.ExitDenied, []step{{"Allow", "yo\r"}, {"nobody asked", ""}}},
			"nothing":     {cli.ExitDenied, []step{{"Allow", "\r"}, {"nobody asked", ""}}},
			"the end":     {cli.ExitDenied, []step{{"Allow", end}, {"nobody asked", ""}}},
			"too early":   {cli.ExitDenied, []step{{"", "y\ry\r"}, {"Allow", "\r"}, {"nobody asked", ""}}},
			"Ctrl-C":      {cli.ExitInterrupted, []step{{"Allow", interrupt}, {"interrupted", ""}}},
			"twice":       {cli.ExitInterrupted, []step{{"Allow", interrupt + interrupt}, {"interrupted", ""}}},
			"in a window": {cli.ExitDone, []step{{"Allow", narrow}, {"", "y\r"}, {made, ""}}},
		}},
		"approval": {[]string{"run", "Summarize doc_7310"}, map[string]row{
			"yes":         {cli.ExitDone, []step{{again, "y\r"}, {made, ""}}},
			"no":          {cli.ExitDenied, []step{{again, "no\r"}, {"denied", ""}}},
			"something":   {cli.ExitDenied, []step{{again, "yo\r"}, {again, "\r"}, {again, "1 2\r"}, {again, "n\r"}, {"denied", ""}}},
			"yes, but":    {cli.ExitDenied, []step{{again, "yes but only for 1 minute, and not the pay bands\r"}, {"none of the answers", ""}, {again, "no, rather yes\r"}, {again, "n\r"}, {"denied", ""}}},
			"the end":     {cli.ExitInterrupted, []step{{again, end}, {"nothing was decided here: the input has ended; the run goes on waiting", interrupt}, {"interrupted", ""}}},
			"too early":   {cli.ExitDenied, []step{{"", "y\ry"}, {again, "\r"}, {again, "n\r"}, {"denied", ""}}},
			"Ctrl-C":      {cli.ExitInterrupted, []step{{again, interrupt}, {"interrupted", ""}}},
			"twice":       {cli.ExitInterrupted, []step{{again, interrupt + interrupt}, {"interrupted", ""}}},
			"counts down": {cli.ExitDone, []step{{again + ` \(\d+m\d+s *\)`, ""}, {`\x1b7\rApprove this call\? ` + again + ` \(\d+m\d+s *\) \x1b8`, "y\r"}, {made, ""}}},
			"in a window": {cli.ExitDone, []step{{again, narrow}, {"", "y\r"}, {made, ""}}},
		}},
	} {
		for name, row := range tt.rows {
			t.Run(question+" "+name, func(t *testing.T) {
				t.Parallel()
				s := sit(t, map[string]string{cli.EnvState: filepath.Join(t.TempDir(), "state")}, append(tt.args, "--reports", t.TempDir())...)
				for _, step := range row.steps {
					if step.shown != "" {
						s.sees(step.shown)
					}
					if step.keys != "" {
						types(s, step.keys)
					}
				}
				s.leaves(row.exit)
			})
		}
	}
}

// TestPromptThatEnds: a prompt at which nobody answers ends when the run waits no longer,
// and when the request is decided elsewhere, and says so. An answer counts at once.
func TestPromptThatEnds(t *testing.T) {
	t.Parallel()
	const again = `Approve this call(.|\n)*\(`
	w := newWorld(t, nil).shared()
	token, err := w.auth.UserToken(lumodev.DefaultReviewerEmail)
	if err != nil {
		t.Fatal(err)
	}
	w.env[cli.EnvReviewer] = filepath.Join(t.TempDir(), "reviewer")
	if err := os.WriteFile(w.env[cli.EnvReviewer], []byte(token.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"--wait", "--timeout"} {
		s := w.sit("run", flag, "2s", "Summarize doc_7310")
		s.sees(again + `[12]s`)
		s.sees("nothing was decided here: the run waits no longer(.|\n)*(waits for a person|limit of wall time)")
		s.types("y\r")
		s.leaves(map[string]int{"--wait": cli.ExitPending, "--timeout": cli.ExitFailed}[flag])
	}
	s := w.sit("run", "Summarize doc_7310")
	s.sees(again)
	decide(t, w.auth, "approve")
	s.sees("nothing was decided here: it was decided elsewhere(.|\n)*Summary of")
	s.leaves(cli.ExitDone)
	s = w.sit("run", "--session", "once", "Summarize doc_7310")
	s.sees(again)
	s.types("y\r")
	s.sees(`y\r\n\s*[0-3]\.\d+s approved`) // by itself it looks again after 4.5 seconds at the soonest
	s.leaves(cli.ExitDone)
}
