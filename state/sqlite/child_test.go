package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
	"github.com/jitagent/jitagent/state/sqlite"
)

// A process is a copy of this test binary that plays a part.
type process struct {
	cmd   *osexec.Cmd
	out   *bufio.Reader
	in    io.WriteCloser
	ended bool
}

// start starts a child that works on a state directory. It ends with the test.
func start(t testing.TB, part, dir string, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: osexec.Command(exe, args...)}
	p.cmd.Env = append(os.Environ(), childVar+"="+part, "JOURNAL_TEST_DIR="+dir, "GOMAXPROCS=2")
	p.cmd.Stderr = os.Stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(stdout)
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9, and waits until the process is gone.
func (p *process) kill() {
	if !p.ended {
		_ = p.cmd.Process.Kill()
		_, _ = p.cmd.Process.Wait()
		p.ended = true
	}
}

// line returns the next line that the child wrote.
func (p *process) line(t testing.TB) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the child ended: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

// rest returns the lines that the child wrote before it ended.
func (p *process) rest(t testing.TB) []string {
	t.Helper()
	text, err := io.ReadAll(p.out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	return lines[:len(lines)-1] // what is not ended by a newline was not said
}

// child is the main function of a child. It returns the exit code.
func child(part string) int {
	dir := os.Getenv("JOURNAL_TEST_DIR")
	var err error
	switch part {
	case "append":
		err = childAppends(dir, 1<<30)
	case "append some":
		err = childAppends(dir, 40)
	case "reopen":
		err = childReopens(dir)
	case "hold":
		err = childHolds(dir)
	case "sweep":
		err = childSweeps(dir)
	case "limited":
		err = childLimited(dir)
	default:
		err = errors.New("no such part")
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", part, err)
		return 1
	}
	return 0
}

// say writes a line at once: what the parent has read was true before.
func say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stdout, format+"\n", args...)
}

// childAppends begins a task and says what was acknowledged, with notes and
// changes of its state in between.
func childAppends(dir string, count int) error {
	ctx := context.Background()
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		return err
	}
	run := j.Owner()
	say("%s", run)
	for _, e := range journaltest.Life(run) {
		if err := j.Append(ctx, e); err != nil {
			return err
		}
	}
	for i := range count {
		call := fmt.Sprint("call-", i)
		j.Note(jit.Entry{Kind: jit.EntryCall, Run: run, CallID: call})
		if err := j.Append(ctx, jit.Entry{Kind: jit.EntryCallSent, Run: run, CallID: call}); err != nil {
			return err
		}
		if i%3 == 0 {
			if err := j.Mark(ctx, run, journal.Mark{State: journal.StateCompleting, Reason: call, Next: time.Now()}); err != nil {
				return err
			}
		}
		say("%s", call)
	}
	return j.Close()
}

// childReopens opens the journal again and again.
func childReopens(dir string) error {
	ctx := context.Background()
	say("begin")
	for i := 0; ; i++ {
		j, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
		if err != nil {
			return err
		}
		run := fmt.Sprint("run-", os.Getpid(), "-", i)
		if err := j.Append(ctx, journaltest.Life(run)[0]); err != nil {
			return err
		}
		say("%s", run)
		if err := j.Close(); err != nil {
			return err
		}
	}
}

// childHolds owns a task, has a child of its own, and waits to be killed.
func childHolds(dir string) error {
	ctx := context.Background()
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		return err
	}
	for _, e := range journaltest.Life("held") {
		if err := j.Append(ctx, e); err != nil {
			return err
		}
	}
	grandchild := osexec.Command("sleep", "60") // nothing that the parent needs runs in it
	if err := grandchild.Start(); err != nil {
		return err
	}
	say("%s %d", j.Owner(), grandchild.Process.Pid)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// childSweeps completes what it can claim, and says what that was.
func childSweeps(dir string) error {
	ctx := context.Background()
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		return err
	}
	say("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil { // all begin together
		return err
	}
	tasks, err := j.Orphans(ctx, time.Time{})
	if err != nil {
		return err
	}
	for _, t := range tasks {
		release, err := j.Claim(ctx, t.Owner)
		if errors.Is(err, journal.ErrOwned) {
			continue
		}
		if err != nil {
			return err
		}
		mine, err := j.Tasks(ctx, journal.TaskFilter{Owner: t.Owner, Unfinished: true})
		if err != nil {
			return err
		}
		for _, t := range mine {
			if err := j.Mark(ctx, t.Run, journal.Mark{State: journal.StateCompleted}); err != nil {
				return err
			}
			say("%s", t.Run)
		}
		if err := release(); err != nil {
			return err
		}
	}
	return j.Close()
}
