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

// deadTasks is how many tasks a process leaves in the measure of recovery.
const deadTasks = 50

// tasksRecovered gives back what a dead process left.
func tasksRecovered() measure {
	return measure{
		name: "dead task given back", floor: "completing it by hand", goal: goal{ratio: 1.5},
		open: onRecorded(func(ctx context.Context, c *calls, j *sqlite.Journal) (*pair, error) {
			dir := filepath.Dir(j.Path())
			var left []*hand
			return &pair{
				each: deadTasks, most: 1,
				ours: side{
					prepare: func(n int) error { return c.abandon(ctx, dir, n*deadTasks) },
					run: func() error {
						report, err := recovery.Sweep(ctx, recovery.Config{Journal: j, Authority: "bench", Completer: c.authority})
						if err == nil && report.Left() > 0 {
							err = fmt.Errorf("%d tasks are left", report.Left())
						}
						return err
					},
				},
				floor: side{
					prepare: func(n int) error {
						left = left[:0]
						for range n * deadTasks {
							h, err := c.world.hand(ctx)
							if err != nil {
								return err
							}
							left = append(left, h)
						}
						return nil
					},
					run: func() error {
						for _, h := range left {
							if err := h.complete(ctx); err != nil {
								return err
							}
						}
						return nil
					},
				},
			}, nil
		}),
	}
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
		for _, e := range []jit.Entry{
			{Kind: jit.EntryTaskOpening, Run: run, Authority: "bench"},
			{Kind: jit.EntryTaskOpened, Run: run, TaskID: info.ID, ExpiresAt: info.ExpiresAt},
		} {
			if err := j.Append(ctx, e); err != nil {
				return errors.Join(err, j.Close())
			}
		}
	}
	return j.Close()
}
