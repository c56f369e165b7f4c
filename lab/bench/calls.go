package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
)

// calls is a world with the thin API, a task, and both ways to call.
type calls struct {
	*world
	ctx  context.Context
	task *jit.Task
	jit  *http.Client
	hand *hand
	n    int // documents used up
}

func newCalls(ctx context.Context) (*calls, error) {
	w, err := newWorld(ctx, false)
	if err != nil {
		return nil, err
	}
	c := &calls{world: w, ctx: ctx}
	c.jit = w.escalating()
	if c.hand, err = w.hand(ctx); err == nil {
		c.task, err = w.engine.Open(ctx, jit.TaskSpec{Name: "bench"})
	}
	if err != nil {
		_ = w.close()
		return nil, err
	}
	w.closers = append(w.closers, func() error { return c.task.Complete(context.WithoutCancel(ctx)) })
	return c, nil
}

// next returns a document that nothing is known of.
func (c *calls) next() string {
	c.n++
	return "doc_" + strconv.Itoa(c.n)
}

func (c *calls) url(id string) string { return c.API.String() + "/documents/" + id }

// get is what a tool's handler does: a request, and its answer read.
func get(ctx context.Context, client *http.Client, url, bearer string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET: status %d", resp.StatusCode)
	}
	return nil
}

func callOf(tool, id string) jit.Call {
	return jit.Call{ID: id, Tool: tool, Ceiling: []rar.Detail{read(id)}, Justification: "read " + id}
}

// under returns a context for one call about one document.
func (c *calls) under(tool, id string) context.Context { return c.task.Call(c.ctx, callOf(tool, id)) }

// onCalls opens a pair over calls, and closes them with it.
func onCalls(open func(ctx context.Context, c *calls) (*pair, error)) func(context.Context) (*pair, error) {
	return func(ctx context.Context) (*pair, error) {
		c, err := newCalls(ctx)
		if err != nil {
			return nil, err
		}
		return c.pair(open(ctx, c))
	}
}

// pair is p, which closes c after what it closes itself.
func (c *calls) pair(p *pair, err error) (*pair, error) {
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	own := p.close
	p.close = func() error {
		if own == nil {
			return c.close()
		}
		return errors.Join(own(), c.close())
	}
	return p, nil
}

func coveredCall() measure {
	return measure{
		name: "call covered by a live grant", floor: "http.Client, static bearer", goal: goal{ratio: 1.05, allocs: 6},
		open: onCalls(func(ctx context.Context, c *calls) (*pair, error) {
			id := c.next()
			token, err := c.hand.grant(ctx, wanted{Type: "file_access", Actions: []string{"read"}, Identifier: id}, "read it")
			if err != nil {
				return nil, err
			}
			plain, call := c.plain(), callOf("fetch", id)
			return &pair{
				ours:  side{run: func() error { return get(c.task.Call(ctx, call), c.jit, c.url(id), "") }},
				floor: side{run: func() error { return get(ctx, plain, c.url(id), token) }},
			}, nil
		}),
	}
}

func firstEscalation() measure {
	return measure{
		name: "first escalation", floor: "its four round trips by hand", goal: goal{ratio: 1.10},
		open: onCalls(func(ctx context.Context, c *calls) (*pair, error) {
			return &pair{
				ours: side{run: func() error {
					id := c.next()
					return get(c.under(id, id), c.jit, c.url(id), "") // a tool of its own: nothing is known of it
				}},
				floor: side{run: func() error {
					id := c.next()
					_, err := c.hand.escalate(ctx, http.MethodGet, c.url(id), nil, "read "+id)
					return err
				}},
				notes: func(*Row) ([]string, error) {
					return []string{fmt.Sprintf("%d documents were granted, in one task for each side", c.n)}, nil
				},
			}, nil
		}),
	}
}

func nextDocument() measure {
	return measure{
		name: "the same kind of call, another document", floor: "three round trips by hand", goal: goal{ratio: 1.10},
		open: onCalls(func(ctx context.Context, c *calls) (*pair, error) {
			return &pair{
				ours: side{run: func() error {
					id := c.next()
					return get(c.under("fetch", id), c.jit, c.url(id), "")
				}},
				floor: side{run: func() error {
					id := c.next()
					token, err := c.hand.grant(ctx, wanted{Type: "file_access", Actions: []string{"read"}, Identifier: id}, "read "+id)
					if err != nil {
						return err
					}
					return c.hand.call(ctx, http.MethodGet, c.url(id), token, nil)
				}},
			}, nil
		}),
	}
}

// parallel is how many calls are made at once.
const parallel = 100

// atOnce runs f parallel times at once.
func atOnce(f func() error) error {
	errs := make([]error, parallel)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func parallelCalls() measure {
	return measure{
		name: "100 identical calls at once", floor: "an escalation by hand, then 100 plain calls at once", goal: goal{ratio: 1.20},
		open: onCalls(func(ctx context.Context, c *calls) (*pair, error) {
			plain := c.plain()
			ours := func() error {
				id := c.next()
				call := c.under(id, id)
				return atOnce(func() error { return get(call, c.jit, c.url(id), "") })
			}
			return &pair{
				ours: side{run: ours},
				floor: side{run: func() error {
					id := c.next()
					token, err := c.hand.escalate(ctx, http.MethodGet, c.url(id), nil, "read "+id)
					if err != nil {
						return err
					}
					return atOnce(func() error { return get(ctx, plain, c.url(id), token) })
				}},
				notes: func(*Row) ([]string, error) {
					before := c.Auth.Snapshot().Totals
					if err := ours(); err != nil {
						return nil, err
					}
					after := c.Auth.Snapshot().Totals
					return []string{fmt.Sprintf("100 calls made %d request and got %d token",
						after.Requests-before.Requests, after.Tokens-before.Tokens)}, nil
				},
			}, nil
		}),
	}
}
