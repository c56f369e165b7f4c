package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
)

// An ending is a run that is about to end in some way.
type ending struct {
	t       *testing.T
	cmd     *exec.Cmd
	asked   chan struct{} // a grant is live, and a person is waited for
	givesUp chan struct{} // completion has reached the server, which has not done it yet
	exited  chan struct{}
	resume  func()   // lets the server complete
	peer    *os.File // of stdout, stderr or the terminal
}

// after waits for something, or for the end of the process.
func (e *ending) after(seen chan struct{}) {
	select {
	case <-seen:
	case <-e.exited:
		e.t.Error("the process has ended before that")
	}
}

func (e *ending) signal(s os.Signal) {
	_ = e.cmd.Process.Signal(s) // unless it is gone, which its exit code tells
}

// TestEveryEndCompletesTheTask ends real processes in every way there is, with every
// kind of output. Afterwards nothing is live at the server and the exit code is the
// documented one.
func TestEveryEndCompletesTheTask(t *testing.T) {
	// Who starts this by nohup hands on that a hangup is ignored, and a run does as it is
	// told. A signal that is caught here is none that is ignored in a child.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(caught) })
	t.Parallel()
	const (
		answered = "Summarize doc_9982"
		missing  = "Summarize doc_0000"
	)
	once := func(s os.Signal) func(*ending) { return func(e *ending) { e.after(e.asked); e.signal(s) } }
	twice := func(s os.Signal) func(*ending) {
		return func(e *ending) { e.after(e.asked); e.signal(s); e.after(e.givesUp); e.signal(s) }
	}
	for _, way := range []struct {
		name   string
		prompt string
		gone   string // the stream whose other end closes
		act    func(*ending)
		code   int
	}{
		{"answer", answered, "", nil, cli.ExitDone},
		{"error", missing, "", nil, cli.ExitFailed},
		{"Ctrl-C", job, "", once(os.Interrupt), cli.ExitInterrupted},
		{"Ctrl-C twice", job, "", twice(os.Interrupt), cli.ExitInterrupted},
		{"SIGTERM", job, "", once(syscall.SIGTERM), cli.ExitInterrupted},
		{"SIGHUP", job, "", once(syscall.SIGHUP), cli.ExitHangup},
		{"SIGHUP twice", job, "", twice(syscall.SIGHUP), cli.ExitHangup},
		{"closed stdout", answered, "stdout", func(e *ending) { _ = e.peer.Close() }, cli.ExitUnread},
		{"closed stderr", answered, "stderr", func(e *ending) { _ = e.peer.Close() }, cli.ExitDone},
		{"closed terminal", job, "terminal", func(e *ending) { e.after(e.asked); _ = e.peer.Close() }, cli.ExitHangup},
	} {
		for _, output := range [][]string{{"--json"}, {"--stream"}, nil} {
			t.Run(way.name+strings.Join(output, ""), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, nil).shared()
				e := w.ending(append([]string{"run", "--wait", "5m"}, append(output, way.prompt)...), way.gone)
				if way.act != nil {
					way.act(e)
				}
				e.resume()
				<-e.exited
				if code := e.cmd.ProcessState.ExitCode(); code != way.code {
					t.Errorf("exit %s, want %d", e.cmd.ProcessState, way.code)
				}
				if got := w.auth.Snapshot(); w.atServer() != "completed" || got.LiveTokens != 0 {
					t.Errorf("at the server: %s, %d live tokens", w.atServer(), got.LiveTokens)
				}
			})
		}
	}
}

// ending starts a run whose end the test decides about.
func (w *world) ending(args []string, gone string) *ending {
	w.t.Helper()
	resume := make(chan struct{})
	e := &ending{
		t: w.t, asked: make(chan struct{}), givesUp: make(chan struct{}), exited: make(chan struct{}),
		resume: sync.OnceFunc(func() { close(resume) }),
	}
	tellAsked, tellGivesUp := sync.OnceFunc(func() { close(e.asked) }), sync.OnceFunc(func() { close(e.givesUp) })
	w.hijack(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			switch path.Base(r.URL.Path) {
			case "complete":
				tellGivesUp()
				<-resume
			case "request":
				body, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(body))
				if bytes.Contains(body, []byte("doc_7310")) {
					defer tellAsked()
				}
			}
			next.ServeHTTP(rw, r)
		})
	})
	e.cmd = exec.CommandContext(w.t.Context(), "analyst", args...)
	e.cmd.Env = append(os.Environ(), "NO_PROXY=*")
	for name, value := range w.env {
		e.cmd.Env = append(e.cmd.Env, name+"="+value)
	}
	var mine *os.File // the end that the process has
	var err error
	switch gone {
	case "stdout":
		e.peer, mine, err = os.Pipe()
		e.cmd.Stdout = mine
	case "stderr":
		e.peer, mine, err = os.Pipe()
		e.cmd.Stderr = mine
	case "terminal":
		e.peer, mine, err = terminal()
		e.cmd.Stdin, e.cmd.Stdout, e.cmd.Stderr = mine, mine, mine
		e.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}
	if err == nil {
		err = e.cmd.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(e.exited)
		_ = e.cmd.Wait() // its state tells
	}()
	w.t.Cleanup(func() { e.resume(); _ = e.cmd.Process.Kill() })
	if mine != nil {
		_ = mine.Close()
	}
	if gone == "terminal" {
		go func() { _, _ = io.Copy(io.Discard, e.peer) }() // or its buffer fills
	}
	return e
}

// terminal returns both ends of a new terminal.
func terminal() (screen, process *os.File, err error) {
	screen, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	raw, err := screen.SyscallConn()
	if err != nil {
		return nil, nil, err
	}
	number := 0
	failed := raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err = errors.Join(failed, err); err != nil {
		return nil, nil, err
	}
	process, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	return screen, process, err
}
