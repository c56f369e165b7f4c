package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/sqlite"
)

// A figure is what is measured once: it takes too long for batches, or is no time.
type figure struct{ ours, floor float64 }

// decider is a grantor to whom somebody says yes at the moment that a document is called
// by, in nanoseconds of Unix time.
type decider struct{ grantor }

func decided(document string) time.Time {
	n, _ := strconv.ParseInt(document, 10, 64)
	return time.Unix(0, n)
}

func (decider) Request(_ context.Context, r jit.Request) (jit.Decision, error) {
	return jit.Decision{RequestID: r.Detail.Identifier, Status: jit.StatusPending, ExpiresAt: time.Now().Add(time.Hour)}, nil
}

func (decider) Status(_ context.Context, id string) (jit.Decision, error) {
	if time.Now().Before(decided(id)) {
		return jit.Decision{Status: jit.StatusPending}, nil
	}
	return jit.Decision{Status: jit.StatusApproved}, nil
}

func (d decider) Token(ctx context.Context, id string) (jit.Issued, error) {
	issued, err := d.grantor.Token(ctx, id)
	issued.Details = []rar.Detail{read(id)}
	return issued, err
}

// decisions is how long a call still waits when somebody has decided, the worst but
// one in a hundred, of calls that wait at once.
func decisions() measure {
	const interval = 200 * time.Millisecond
	return measure{
		name: "decision to the call that it lets go on, p99", floor: "one poll interval", goal: goal{ratio: 2},
		once: func(ctx context.Context) (f figure, err error) {
			engine, err := jit.New(jit.Config{PollInterval: interval, Wait: time.Minute, Authority: decider{}})
			if err != nil {
				return f, err
			}
			var mu sync.Mutex
			var waits []float64
			task := engine.Start(ctx, jit.TaskSpec{Name: app}, nil)
			for range 5 {
				err = errors.Join(err, atOnce(func() error {
					wait := time.Duration((2 + 8*rand.Float64()) * float64(interval)) //nolint:gosec // no secret
					id := strconv.FormatInt(time.Now().Add(wait).UnixNano(), 10)
					_, err := jit.Acquire(task.Call(ctx, callOf(app, id)), read(id))
					mu.Lock()
					defer mu.Unlock()
					waits = append(waits, float64(time.Since(decided(id))))
					return err
				}))
			}
			return figure{quantile(waits, .99), float64(interval)}, errors.Join(err, task.Complete(ctx))
		},
	}
}

// longLived is the memory of a server, an API and an engine after many flows: a task, a
// document for which authority is asked, and the end. It is the highest of some looks,
// since what has ended is forgotten in steps.
func longLived(flows int) measure {
	const warm, look = 10_000, 500
	return measure{
		name: fmt.Sprintf("live memory after %d flows", max(flows, 2*warm)), floor: fmt.Sprintf("after %d", warm), unit: "MB", goal: goal{ratio: 1.1},
		once: func(ctx context.Context) (f figure, err error) {
			c, err := newCalls(ctx)
			if err != nil {
				return f, err
			}
			defer func() { err = errors.Join(err, c.close()) }()
			for n := range max(flows, 2*warm) {
				id := c.next()
				task := c.engine.Start(ctx, jit.TaskSpec{Name: app}, nil)
				if err := errors.Join(get(task.Call(ctx, callOf(app, id)), c.jit, c.url(id), ""), task.Complete(ctx)); err != nil {
					return f, err
				}
				if n%look > 0 {
					continue
				}
				if heap := liveHeap() / 1e6; n < warm {
					f.floor = max(f.floor, heap)
				} else {
					f.ours = max(f.ours, heap)
				}
			}
			return f, nil
		},
	}
}

// programSize is how large the program is without what debuggers read.
func programSize() measure {
	return measure{
		name: "the program, stripped", floor: "what it should stay below", unit: "MB", goal: goal{ratio: 1},
		once: func(ctx context.Context) (figure, error) {
			p, err := buildProgram(ctx, "-ldflags=-s -w")
			if err != nil {
				return figure{}, err
			}
			info, err := os.Stat(p.path)
			if err != nil {
				return figure{}, errors.Join(err, p.close())
			}
			return figure{float64(info.Size()) / 1e6, 30}, p.close()
		},
	}
}

// appendsEnv tells this program, started by itself, to append entries to the journal
// in a directory: how many runs at once, and how many each.
const appendsEnv = "BENCH_APPENDS"

func appendEntries(ctx context.Context, job string) (err error) {
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
	if _, err := io.ReadAll(os.Stdin); err != nil {
		return err
	}
	var group errgroup.Group
	for run := range runs {
		group.Go(func() error {
			e := jit.Entry{Kind: jit.EntryCallSent, Run: fmt.Sprint(os.Getpid(), "-", run), CallID: "1", Tool: "post", IdempotencyKey: "k", Method: "POST", URL: "https://api.test/x"}
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
func appending(ctx context.Context, processes, runs, all int) (float64, error) {
	dir, err := os.MkdirTemp("", "bench-appends-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var start []io.Closer
	var group errgroup.Group
	for range processes {
		cmd := exec.CommandContext(ctx, os.Args[0]) //nolint:gosec // this program
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %s", appendsEnv, runs, all/processes/runs, filepath.Join(dir, "state")))
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return 0, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return 0, err
		}
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			return 0, errors.Join(err, in.Close(), cmd.Wait())
		}
		start = append(start, in)
		group.Go(cmd.Wait)
	}
	began := time.Now()
	for _, in := range start {
		err = errors.Join(err, in.Close())
	}
	err = errors.Join(err, group.Wait())
	return float64(time.Since(began)) / float64(all), err
}

// processesAppend shows that what runs wait for at the same time is written together.
func processesAppend() measure {
	return measure{
		name: "journal entry of one of 32 runs in 4 processes", floor: "of the only run", goal: goal{ratio: .25},
		once: func(ctx context.Context) (f figure, err error) {
			const all = 6400
			for range 3 {
				ours, failure := appending(ctx, 4, 8, all)
				floor, other := appending(ctx, 1, 1, all)
				f.ours, f.floor, err = least(f.ours, ours), least(f.floor, floor), errors.Join(err, failure, other)
			}
			return f, err
		},
	}
}
