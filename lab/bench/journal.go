package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/recovery"
	"github.com/jitagent/jitagent/state/sqlite"
)

// recorded opens calls whose engine keeps a journal on disk.
func recorded(ctx context.Context) (*calls, *sqlite.Journal, error) {
	dir, err := os.MkdirTemp("", "bench-journal-")
	if err != nil {
		return nil, nil, err
	}
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: filepath.Join(dir, "state")})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	drop := func() error { return errors.Join(j.Close(), os.RemoveAll(dir)) }
	c, err := newCalls(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, drop())
	}
	engine, err := jit.New(jit.Config{Authority: c.authority, Journal: j, AuthorityName: "bench"})
	if err == nil {
		c.closers = append([]func() error{drop}, c.closers...) // closed last
		before := c.task
		c.closers = append(c.closers, func() error { return before.Complete(context.WithoutCancel(ctx)) })
		c.engine = engine
		c.task, err = engine.Open(ctx, jit.TaskSpec{Name: "bench"})
	}
	if err != nil {
		return nil, nil, errors.Join(err, c.close())
	}
	return c, j, nil
}

// onRecorded is [onCalls] for an engine with a journal.
func onRecorded(open func(ctx context.Context, c *calls, j *sqlite.Journal) (*pair, error)) func(context.Context) (*pair, error) {
	return func(ctx context.Context) (*pair, error) {
		c, j, err := recorded(ctx)
		if err != nil {
			return nil, err
		}
		return c.pair(open(ctx, c, j))
	}
}

// fsync writes a page at the end of a file and waits for the disk, which is the
// least that anything durable costs.
func fsync() (run func() error, closing func() error, err error) {
	f, err := os.CreateTemp("", "bench-fsync-")
	if err != nil {
		return nil, nil, err
	}
	page := make([]byte, 4096)
	run = func() error {
		if _, err := f.Write(page); err != nil {
			return err
		}
		return f.Sync()
	}
	return run, func() error { return errors.Join(f.Close(), os.Remove(f.Name())) }, nil
}

// journalEntry is what stands before each grant and effect.
func journalEntry() measure {
	return measure{
		name: "journal entry that waits for the disk", floor: "a page written and synced", goal: goal{ratio: 1.5},
		open: onRecorded(func(ctx context.Context, _ *calls, j *sqlite.Journal) (*pair, error) {
			sync, closing, err := fsync()
			if err != nil {
				return nil, err
			}
			entry := jit.Entry{Kind: jit.EntryCallSent, Run: "bench", CallID: "1", Tool: "post", IdempotencyKey: "k", Method: "POST", URL: "https://api.test/x"}
			return &pair{
				ours:  side{run: func() error { return j.Append(ctx, entry) }},
				floor: side{run: sync},
				close: closing,
			}, nil
		}),
	}
}

// coveredCallRecorded shows that a call which a live grant covers waits for no disk.
func coveredCallRecorded() measure {
	return measure{
		name: "call covered by a live grant, journal on disk", floor: "the same call without a journal",
		open: onRecorded(func(ctx context.Context, c *calls, _ *sqlite.Journal) (*pair, error) {
			bare, err := newCalls(ctx)
			if err != nil {
				return nil, err
			}
			id := c.next()
			call := callOf("fetch", id)
			return &pair{
				ours:  side{run: func() error { return get(c.task.Call(ctx, call), c.jit, c.url(id), "") }},
				floor: side{run: func() error { return get(bare.task.Call(ctx, call), bare.jit, bare.url(id), "") }},
				close: bare.close,
			}, nil
		}),
	}
}

// effectRecorded is a POST under a live grant: known to the disk before it leaves.
func effectRecorded() measure {
	return measure{
		name: "POST under a live grant, journal on disk", floor: "the same by hand, and a page synced",
		open: onRecorded(func(ctx context.Context, c *calls, _ *sqlite.Journal) (*pair, error) {
			id := c.next()
			token, err := c.hand.grant(ctx, wanted{Type: "file_access", Actions: []string{"read"}, Identifier: id}, "use it")
			if err != nil {
				return nil, err
			}
			sync, closing, err := fsync()
			if err != nil {
				return nil, err
			}
			plain, n := c.plain(), 0
			post := func(ctx context.Context, client *http.Client, bearer string) error {
				n++
				return effect(ctx, client, c.url(id), bearer, "n="+strconv.Itoa(n))
			}
			call := callOf("post", id)
			return &pair{
				ours: side{run: func() error { return post(c.task.Call(ctx, call), c.jit, "") }},
				floor: side{run: func() error {
					return errors.Join(sync(), post(ctx, plain, token))
				}},
				close: closing,
			}, nil
		}),
	}
}

// effect makes a POST.
func effect(ctx context.Context, client *http.Client, url, bearer, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("POST: status %d", resp.StatusCode)
	}
	return nil
}

// tasksRecovered gives back what a dead process left, some at a time.
func tasksRecovered() measure {
	const dead, atATime = 10_000, 4
	return measure{
		name: "one of 10 000 dead tasks given back", floor: "completing it by hand, 4 at a time", goal: goal{ratio: 1.3},
		once: func(ctx context.Context) (f figure, err error) {
			c, j, err := recorded(ctx)
			if err != nil {
				return f, err
			}
			defer func() { err = errors.Join(err, c.close()) }()
			for range 3 { // the best of some: the disk is not always as fast
				if err := c.abandon(ctx, filepath.Dir(j.Path()), dead); err != nil {
					return f, err
				}
				start := time.Now()
				report, err := recovery.Sweep(ctx, recovery.Config{Journal: j, Authority: app, Completer: c.authority, Parallel: atATime})
				if err != nil || report.Left() > 0 {
					return f, fmt.Errorf("%d tasks are left: %w", report.Left(), err)
				}
				f.ours = least(f.ours, float64(time.Since(start))/dead)
				left := make([]*hand, dead)
				for i := range left {
					if left[i], err = c.world.hand(ctx); err != nil {
						return f, err
					}
				}
				start = time.Now()
				group, ctx := errgroup.WithContext(ctx)
				group.SetLimit(atATime)
				for _, h := range left {
					group.Go(func() error { return h.complete(ctx) })
				}
				if err := group.Wait(); err != nil {
					return f, err
				}
				f.floor = least(f.floor, float64(time.Since(start))/dead)
			}
			return f, nil
		},
	}
}

// least is the lesser of two figures, of which the first may not be there yet.
func least(a, b float64) float64 {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// abandon opens tasks under a journal of its own in the same directory, and closes
// that as a process does that dies: without completing any.
func (c *calls) abandon(ctx context.Context, dir string, n int) error {
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		return err
	}
	for range n {
		info, err := c.authority.CreateTask(ctx, jit.TaskSpec{Name: "abandoned"})
		if err != nil {
			return errors.Join(err, j.Close())
		}
		c.n++
		run := "run-" + strconv.Itoa(c.n) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
		j.Note(jit.Entry{Kind: jit.EntryTaskOpening, Run: run, Authority: "bench"}) // on disk when it is closed
		j.Note(jit.Entry{Kind: jit.EntryTaskOpened, Run: run, TaskID: info.ID, ExpiresAt: info.ExpiresAt})
	}
	return j.Close()
}
