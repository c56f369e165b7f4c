package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// program is the built command.
type program struct {
	ctx     context.Context
	dir     string
	path    string
	running *exec.Cmd // waits to be reaped
}

func buildProgram(ctx context.Context, flags ...string) (*program, error) {
	dir, err := os.MkdirTemp("", "bench-analyst-")
	if err != nil {
		return nil, err
	}
	p := &program{ctx: ctx, dir: dir, path: filepath.Join(dir, "analyst")}
	//nolint:gosec // a path of our own
	build := exec.CommandContext(ctx, "go", append(append([]string{"build"}, flags...), "-o", p.path, "github.com/jitagent/jitagent/cmd/analyst")...)
	build.Stderr = os.Stderr
	return p, build.Run()
}

// version runs the program until it has printed its version.
func (p *program) version() error {
	return exec.CommandContext(p.ctx, p.path, "version").Run() //nolint:gosec // the program that was just built
}

// start runs the program until its model is about to be asked for the first time:
// flags read, both embedded servers up, agent assembled, session open.
func (p *program) start() error {
	//nolint:gosec // the program that was just built
	cmd := exec.CommandContext(p.ctx, p.path, "run", "--json", "--reports", filepath.Join(p.dir, "reports"), "Summarize doc_9982")
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
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
func (p *program) reap(int) error {
	if p.running == nil {
		return nil
	}
	_ = p.running.Process.Kill() // it may have ended by itself
	_ = p.running.Wait()         // with the signal, or with the broken pipe
	p.running = nil
	return nil
}

func (p *program) close() error {
	return errors.Join(p.reap(0), os.RemoveAll(p.dir))
}

func programStart() measure {
	return measure{
		name: "start of the binary to the first model call", floor: "the same binary printing its version", goal: goal{extra: 50 * time.Millisecond},
		open: func(ctx context.Context) (*pair, error) {
			p, err := buildProgram(ctx)
			if err != nil {
				return nil, err
			}
			return &pair{
				ours:  side{prepare: p.reap, run: p.start},
				floor: side{prepare: p.reap, run: p.version},
				most:  1, elsewhere: true,
				close: p.close,
			}, nil
		},
	}
}
