package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
)

// A said is what the terminal shows, and what the person types then: what is typed before
// the question counts for nothing.
type said struct{ shown, typed string }

// converse runs analyst at a terminal of its own and returns all that it showed, and
// the exit code.
func converse(t *testing.T, dir string, args []string, talk ...said) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	screen, process, err := terminal()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "analyst", args...)
	cmd.Env = append(os.Environ(), "NO_PROXY=*", "NO_COLOR=1", cli.EnvState+"="+filepath.Join(dir, "state"))
	cmd.Dir = dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = process, process, process
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = process.Close()
	var all bytes.Buffer
	from, buf := 0, make([]byte, 4096)
	for {
		n, err := screen.Read(buf)
		all.Write(buf[:n])
		for len(talk) > 0 {
			at := bytes.Index(all.Bytes()[from:], []byte(talk[0].shown))
			if at < 0 {
				break
			}
			from += at + len(talk[0].shown)
			if _, err := screen.WriteString(talk[0].typed + "\n"); err != nil {
				t.Fatal(err)
			}
			talk = talk[1:]
		}
		if err != nil { // the process is gone, and its end of the terminal
			break
		}
	}
	_ = cmd.Wait() // its state tells
	_ = screen.Close()
	if len(talk) > 0 {
		t.Fatalf("%q was never shown:\n%s", talk[0].shown, all.String())
	}
	return strings.ReplaceAll(all.String(), "\r\n", "\n"), cmd.ProcessState.ExitCode()
}

// The person at the terminal that runs the agent decides there.
func TestThePersonAtTheTerminalDecides(t *testing.T) {
	page, err := os.ReadFile("../../docs/approvals.md")
	if err != nil {
		t.Fatal(err)
	}
	changes := regexp.MustCompile(`_[A-Z0-9]{20}|127\.0\.0\.1:\d+|key=\w+|\d{4}-[\dT:-]+Z`)
	asked := func(text string) string { // what is shown, but for what is new in each run
		_, text, _ = strings.Cut(text, "\nrequest ")
		text, _, _ = strings.Cut(text, "[l]ess (")
		return changes.ReplaceAllString(text, "*")
	}
	run := []string{"run", "Summarize doc_7310"}
	for name, tt := range map[string]struct {
		talk []said
		exit int
		show string
	}{
		"yes":  {[]said{{"Approve this call", "y"}}, cli.ExitDone, "Salary Bands 2025"},
		"no":   {[]said{{"Approve this call", "n"}}, cli.ExitDenied, "the person at the terminal said no"},
		"less": {[]said{{"Approve this call", "maybe"}, {"none of the answers\r\nApprove this call", "l"}, {"Take away", "actions=write"}, {"does not name that\r\nTake away", "ttl=1m"}}, cli.ExitDone, "for 1m0s of the 5m0s"},
		"more": {[]said{{"Approve this call", "l"}, {"Take away", "ttl=1h"}, {"no time at all\r\nTake away", ""}, {"Approve this call", "n"}}, cli.ExitDenied, "denied"},
	} {
		t.Run(name, func(t *testing.T) {
			all, exit := converse(t, t.TempDir(), run, tt.talk...)
			if diff := cmp.Diff(asked(string(page)), asked(all)); diff != "" && name == "yes" {
				t.Errorf("docs/approvals.md shows another screen (-page +screen):\n%s", diff)
			}
			for _, want := range []string{tt.show, `arguments   {"document_id":"doc_7310"}`, "its own words: a claim"} {
				if exit != tt.exit || !strings.Contains(strings.Join(strings.Fields(all), " "), strings.Join(strings.Fields(want), " ")) {
					t.Errorf("exit code %d, want %d and %q:\n%s", exit, tt.exit, want, all)
				}
			}
		})
	}
}

// Calls of one turn are decided in one prompt with a line each, by its number.
func TestOnePromptForOneTurn(t *testing.T) {
	dir, docs := t.TempDir(), t.TempDir()
	for _, name := range []string{"doc_1", "doc_2", "doc_3", "doc_4", "doc_5"} {
		text := "---\ntitle: The " + name + "\nclassification: restricted\n---\nThe figure of " + name + " is 17.\n"
		if err := os.WriteFile(filepath.Join(docs, name+".md"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, exit := converse(t, dir, []string{"run", "--documents", docs, "Summarize doc_1, doc_2, doc_3, doc_4 and doc_5"},
		said{"Approve these calls", "s"}, said{"a claim)\r\nApprove these calls", "1 2 4 5"})
	if strings.Count(all, "  risk high  fetch_document") != 5 || strings.Count(all, "approved ") != 4 || strings.Count(all, "denied   ") < 1 || exit != cli.ExitDenied {
		t.Errorf("exit code %d:\n%s", exit, all)
	}
}

// What other programs ask for the same call is shown in the prompt, and the answer is
// for them too.
func TestThePromptAnswersForOthers(t *testing.T) {
	servers, err := dev.Start(t.Context(), dev.Config{Documents: &docapi.Config{Reports: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = servers.Close() }()
	dir, login := t.TempDir(), servers.Client()
	token, err := servers.Auth.UserToken(lumodev.DefaultReviewerEmail)
	if err != nil {
		t.Fatal(err)
	}
	reviewer := filepath.Join(dir, "reviewer")
	if err := os.WriteFile(reviewer, []byte(token.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		cli.EnvURL: login.URL, cli.EnvOrg: login.Org, cli.EnvClientID: login.ClientID, cli.EnvSecret: login.ClientSecret.Reveal(),
		cli.EnvAPI: servers.API.String(), cli.EnvReviewer: reviewer,
	} {
		t.Setenv(name, value)
	}
	authority, err := lumoauth.New(login)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := jit.New(jit.Config{Authority: authority, Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	waits, once := make(chan struct{}), sync.Once{}
	task := engine.Start(t.Context(), jit.TaskSpec{Name: "the other"}, func(e jit.Event) {
		if d, ok := e.(jit.Decided); ok && d.Status == jit.StatusPending {
			once.Do(func() { close(waits) })
		}
	})
	defer func() { _ = task.Complete(context.WithoutCancel(t.Context())) }()
	other := make(chan error, 1)
	go func() { other <- readSalaries(t.Context(), task, servers.API) }()
	<-waits
	all, exit := converse(t, dir, []string{"run", "--ephemeral", "Summarize doc_7310"}, said{"Approve this call", "y"})
	if err := <-other; err != nil || exit != cli.ExitDone || !strings.Contains(all, "the other (task_") {
		t.Errorf("exit code %d, the other: %v\n%s", exit, err, all)
	}
}
