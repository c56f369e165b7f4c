package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
)

// A sitting is a person at a terminal with a command.
type sitting struct {
	t      *testing.T
	cmd    *exec.Cmd
	screen *os.File

	mu    sync.Mutex
	shown []byte        // since what was seen last
	more  chan struct{} // has an element when something was shown, and is closed at the end
}

// sit starts analyst at a terminal of its own, with the servers of a world.
func (w *world) sit(args ...string) *sitting {
	w.t.Helper()
	return sit(w.t, w.env, args...)
}

// sit starts analyst at a terminal of its own.
func sit(t *testing.T, env map[string]string, args ...string) *sitting {
	t.Helper()
	screen, mine, err := terminal()
	if err != nil {
		t.Fatal(err)
	}
	s := &sitting{t: t, cmd: exec.CommandContext(t.Context(), "analyst", args...), screen: screen, more: make(chan struct{}, 1)}
	s.cmd.Env = append(os.Environ(), "NO_PROXY=*", "TERM=xterm", "NO_COLOR=1")
	for name, value := range env {
		s.cmd.Env = append(s.cmd.Env, name+"="+value)
	}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = mine, mine, mine
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = mine.Close()
	t.Cleanup(func() { _ = s.cmd.Process.Kill(); _ = screen.Close() })
	go func() { _, _ = io.Copy(s, screen); close(s.more) }()
	return s
}

// color is what sets one.
var color = regexp.MustCompile(`\x1b\[[0-9;:]*[34][0-9;:]*m`)

// Write takes what the terminal shows.
func (s *sitting) Write(text []byte) (int, error) {
	if color.Match(text) {
		s.t.Errorf("NO_COLOR is set, and the terminal is shown %q", text)
	}
	s.mu.Lock()
	s.shown = append(s.shown, text...)
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return len(text), nil
}

// sees waits until the terminal shows something after what was seen before.
func (s *sitting) sees(pattern string) {
	s.t.Helper()
	re := regexp.MustCompile(pattern)
	for open := true; ; _, open = <-s.more {
		s.mu.Lock()
		at := re.FindIndex(s.shown)
		if at != nil {
			s.shown = s.shown[at[1]:]
			s.mu.Unlock()
			return
		}
		shown := string(s.shown)
		s.mu.Unlock()
		if !open {
			s.t.Fatalf("%s is never shown, but %q", pattern, shown)
		}
	}
}

func (s *sitting) types(keys string) {
	s.t.Helper()
	if _, err := s.screen.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sitting) leaves(code int) {
	s.t.Helper()
	for range s.more {
		continue
	}
	_ = s.cmd.Wait() // its state tells
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("exit %d, want %d; last shown: %q", got, code, s.shown)
	}
}

// ready is what the line of a message begins with, once keys are read.
const (
	ready     = `\x1b\[\?2004h(.|\n)*>`
	interrupt = "\x03"
	up        = "\x1b[A"
)

// TestChat talks at a terminal: more lines than one, a message from before, another
// model, a turn that is stopped, and no grant afterwards.
func TestChat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).shared()
	s := w.sit("chat")
	s.sees(ready)
	s.types("Summarize doc_1001\\\rand doc_9982\r")
	s.sees(`Summary of .*doc_1001(.|\n)*doc_9982(.|\n)*completed, 2 tokens revoked(.|\n)*done`)
	s.sees(ready)
	s.types("/model\r")
	s.sees("analyst: model offline")
	s.sees(ready)
	s.types("Summarize doc_7310\r")
	s.sees("waiting for a person")
	s.types(interrupt)
	s.sees("analyst: interrupted")
	if live := w.auth.Snapshot().LiveTokens; w.atServer() != "completed completed" || live != 0 {
		t.Errorf("after the turn: %s, %d live tokens", w.atServer(), live)
	}
	s.sees(ready)
	s.types(up + up + up + "\r") // over the command
	s.sees(`Summary of .*doc_1001`)
	s.sees(ready)
	s.types("gone" + interrupt + interrupt)
	s.sees("once more leaves")
	s.types(interrupt)
	s.sees("hint: analyst chat --session [A-Z0-9]+ goes on")
	s.leaves(cli.ExitDone)

	// What was said is there when the conversation goes on.
	s = w.sit("chat", "--continue")
	s.sees(ready)
	s.types(up + "\r")
	s.sees(`Summary of .*doc_1001`)
	s.sees(ready)
	s.types("/quit\r")
	s.leaves(cli.ExitDone)
}

// TestChatEndsInOrder: Ctrl-C twice in a turn leaves, and what was granted is given back.
func TestChatEndsInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).shared()
	ends, goOn := make(chan struct{}), make(chan struct{})
	let := sync.OnceFunc(func() { close(goOn) })
	defer let()
	w.hijack(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if path.Base(r.URL.Path) == "complete" {
				close(ends)
				<-goOn
			}
			next.ServeHTTP(rw, r)
		})
	})
	s := w.sit("chat")
	s.sees(ready)
	s.types(job + "\r")
	s.sees("waiting for a person")
	s.types(interrupt)
	<-ends
	s.types(interrupt)
	s.sees("analyst: leaving")
	let()
	s.leaves(cli.ExitInterrupted)
	if got := w.auth.Snapshot(); w.atServer() != "completed" || got.LiveTokens != 0 {
		t.Errorf("at the server: %s, %d live tokens", w.atServer(), got.LiveTokens)
	}
}

// TestQuestionThatIsWithdrawn: when a turn is stopped in which a person is asked, what
// they type next is their message, and no answer.
func TestQuestionThatIsWithdrawn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).shared()
	strict := filepath.Join(t.TempDir(), "strict.yaml")
	if err := os.WriteFile(strict, []byte("tools:\n  fetch_document: {effect: inspection, asked_by: [inspect]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := w.sit("chat", "--policy", strict)
	s.sees(ready)
	s.types("Summarize doc_9982\r")
	s.sees("Allow this call, once")
	s.types("y\r")
	s.sees("Summary of")
	s.sees(ready)
	s.types("Summarize doc_1001\r")
	s.sees("Allow this call, once")
	s.types(interrupt)
	s.sees("analyst: interrupted")
	s.sees(ready)
	s.types("Inspect and summarize doc_1001\r")
	s.sees("Summary of .*doc_1001")
	s.sees(ready)
	s.types("\x04")
	s.leaves(cli.ExitDone)
}
