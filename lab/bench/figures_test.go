package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/sqlite"
)

// warm is after how many flows the memory of a server counts.
const warm = 10_000

// longLived is the memory of a server, an API and an engine after many flows: a task, a
// document for which authority is asked, and the end. It is the highest of some looks,
// since what has ended is forgotten in steps.
func longLived(flows int) measure {
	const look = 500
	return measure{
		name: fmt.Sprintf("live memory after %d flows", flows), floor: fmt.Sprintf("after %d", warm), unit: "MB", goal: goal{ratio: 1.1},
		once: func(t *testing.T) (ours, floor float64) {
			c := newCalls(t, nil)
			for n := range flows {
				id := c.next()
				task := c.engine.Start(c.ctx, jit.TaskSpec{Name: app}, nil)
				check(t, errors.Join(c.fetch(task.Call(c.ctx, callOf(app, id)), id), task.Complete(c.ctx)))
				if n%look > 0 {
					continue
				}
				if heap := liveHeap() / 1e6; n < warm {
					floor = max(floor, heap)
				} else {
					ours = max(ours, heap)
				}
			}
			return ours, floor
		},
	}
}

// program is the built command.
type program struct {
	t       *testing.T
	dir     string
	path    string
	running *exec.Cmd // waits to be reaped
}

func buildProgram(t *testing.T, flags ...string) *program {
	dir := t.TempDir()
	p := &program{t: t, dir: dir, path: filepath.Join(dir, "analyst")}
	build := exec.CommandContext(t.Context(), "go", append(append([]string{"build"}, flags...), "-o", p.path, "github.com/jitagent/jitagent/cmd/analyst")...)
	build.Stderr = os.Stderr
	check(t, build.Run())
	t.Cleanup(func() { p.reap(0) })
	return p
}

// version runs the program until it has printed its version.
func (p *program) version() error { return exec.CommandContext(p.t.Context(), p.path, "version").Run() }

// start runs the program until its model is about to be asked for the first time:
// flags read, both embedded servers up, agent assembled, session open.
func (p *program) start() error {
	cmd := exec.CommandContext(p.t.Context(), p.path, "run", "--json", "--reports", filepath.Join(p.dir, "reports"), "Summarize doc_9982")
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir}
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	p.running = cmd
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"event":"started"`) {
			return nil
		}
	}
	return errors.Join(errors.New("the run did not start"), lines.Err())
}

// reap ends the program that start left running.
func (p *program) reap(int) {
	if p.running != nil {
		_ = p.running.Process.Kill() // it may have ended by itself
		_ = p.running.Wait()         // with the signal, or with the broken pipe
	}
	p.running = nil
}

func programStart() measure {
	return measure{
		name: "start of the binary to the first model call", floor: "the same binary printing its version", goal: goal{extra: 50 * time.Millisecond},
		open: func(t *testing.T) pair {
			p := buildProgram(t)
			return pair{ours: side{p.reap, p.start}, floor: side{p.reap, p.version}, most: 1, elsewhere: true}
		},
	}
}

// programSize is how large the program is without what debuggers read.
func programSize() measure {
	return measure{
		name: "the program, stripped", floor: "what it should stay below", unit: "MB", goal: goal{ratio: 1},
		once: func(t *testing.T) (ours, floor float64) {
			info := must(os.Stat(buildProgram(t, "-ldflags=-s -w").path))(t)
			return float64(info.Size()) / 1e6, 30
		},
	}
}

// appendsEnv tells this program, started by itself, to append entries to the journal
// in a directory: how many runs at once, and how many each.
const appendsEnv = "BENCH_APPENDS"

func appendEntries(job string) (err error) {
	ctx := context.Background()
	var runs, entries int
	var dir string
	if _, err := fmt.Sscanf(job, "%d %d %s", &runs, &entries, &dir); err != nil {
		return err
	}
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	if _, err := io.WriteString(os.Stdout, "ready\n"); err != nil {
		return err
	}
	if _, err := io.ReadAll(os.Stdin); err != nil { // until it is let go
		return err
	}
	var group errgroup.Group
	for run := range runs {
		group.Go(func() error {
			e := effectSent(fmt.Sprint(os.Getpid(), "-", run))
			for range entries {
				if err := j.Append(ctx, e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// appending returns the nanoseconds of an entry, where so many processes with so many
// runs append as many in all.
func appending(t *testing.T, processes, runs, all int) float64 {
	dir := filepath.Join(t.TempDir(), "state")
	var start []io.Closer
	var group errgroup.Group
	for range processes {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %s", appendsEnv, runs, all/processes/runs, dir))
		cmd.Stderr = os.Stderr
		in, out := must(cmd.StdinPipe())(t), must(cmd.StdoutPipe())(t)
		check(t, cmd.Start())
		start = append(start, in)
		must(bufio.NewReader(out).ReadString('\n'))(t)
		group.Go(cmd.Wait)
	}
	began := time.Now()
	for _, in := range start {
		check(t, in.Close())
	}
	check(t, group.Wait())
	return float64(time.Since(began)) / float64(all)
}

// processesAppend shows that what runs wait for at the same time is written together.
func processesAppend() measure {
	return measure{
		name: "journal entry of one of 32 runs in 4 processes", floor: "of the only run", goal: goal{ratio: .25},
		once: func(t *testing.T) (ours, floor float64) {
			const all = 6400
			for range 3 {
				ours, floor = least(ours, appending(t, 4, 8, all)), least(floor, appending(t, 1, 1, all))
			}
			return ours, floor
		},
	}
}
