package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
)

// A said is what the terminal shows, and what the person types then.
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
	run := []string{"run", "Summarize doc_7310"}
	for name, tt := range map[string]struct {
		talk []said
		exit int
		show string
	}{
		"yes":  {[]said{{"Approve this call", "y"}}, cli.ExitDone, "Salary Bands 2025"},
		"no":   {[]said{{"Approve this call", "n"}}, cli.ExitDenied, "the person at the terminal said no"},
		"less": {[]said{{"Approve this call", "maybe"}, {"Approve this call", "l"}, {"Take away", "actions=write"}, {"does not name that", "ttl=1m"}}, cli.ExitDone, "for 1m0s of the 5m0s"},
		"more": {[]said{{"Approve this call", "l"}, {"Take away", "ttl=1h"}, {"longer than was asked", ""}, {"Approve this call", "n"}}, cli.ExitDenied, "denied"},
	} {
		t.Run(name, func(t *testing.T) {
			all, exit := converse(t, t.TempDir(), run, tt.talk...)
			for _, want := range []string{tt.show, `arguments   {"document_id":"doc_7310"}`, "its own words: a claim"} {
				if exit != tt.exit || !strings.Contains(strings.Join(strings.Fields(all), " "), strings.Join(strings.Fields(want), " ")) {
					t.Errorf("exit code %d, want %d and %q:\n%s", exit, tt.exit, want, all)
				}
			}
		})
	}
}

// Calls of one turn are decided in one prompt, each by its number.
func TestOnePromptForOneTurn(t *testing.T) {
	dir, docs := t.TempDir(), t.TempDir()
	for _, name := range []string{"doc_1", "doc_2"} {
		text := "---\ntitle: The " + name + "\nclassification: restricted\n---\nThe figure of " + name + " is 17.\n"
		if err := os.WriteFile(filepath.Join(docs, name+".md"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, exit := converse(t, dir, []string{"run", "--documents", docs, "Summarize doc_1 and doc_2"}, said{"Approve these calls", "s"}, said{"Approve these calls", "2"})
	if strings.Count(all, "approved ") != 1 || strings.Count(all, "denied   ") < 1 || exit != cli.ExitDenied {
		t.Errorf("exit code %d:\n%s", exit, all)
	}
}
