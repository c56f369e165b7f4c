package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

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

// newCalls makes calls whose engine keeps a journal, if there is one.
func newCalls(t *testing.T, journal jit.Journal) *calls {
	c := &calls{world: newWorld(t, false), ctx: t.Context()}
	if journal != nil {
		c.engine = must(jit.New(jit.Config{Authority: c.authority, Journal: journal, AuthorityName: app}))(t)
	}
	c.jit = &http.Client{Transport: &jit.Transport{Origin: must(jit.OriginOf(c.API))(t), Base: c.base}}
	c.hand, c.task = c.world.hand(t), openTask(t, c.engine)
	return c
}

// next returns a document that nothing is known of.
func (c *calls) next() string {
	c.n++
	return "doc_" + strconv.Itoa(c.n)
}

// fetch makes a call about a document as a tool's handler does.
func (c *calls) fetch(ctx context.Context, id string) error {
	return c.send(ctx, c.jit, http.MethodGet, id, "", "")
}

// plainly fetches a document by hand.
func (c *calls) plainly(id, token string) error {
	return c.send(c.ctx, c.plain, http.MethodGet, id, token, "")
}

// send makes a request and reads its answer.
func (c *calls) send(ctx context.Context, client *http.Client, method, id, bearer, body string) error {
	req, err := http.NewRequestWithContext(ctx, method, c.url(id), strings.NewReader(body))
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
		return fmt.Errorf("%s: status %d", method, resp.StatusCode)
	}
	return nil
}

func (c *calls) url(id string) string { return c.API.String() + "/documents/" + id }

func callOf(tool, id string) jit.Call {
	return jit.Call{ID: id, Tool: tool, Ceiling: []rar.Detail{read(id)}, Justification: "read " + id}
}

// under returns a context for one call about one document.
func (c *calls) under(tool, id string) context.Context { return c.task.Call(c.ctx, callOf(tool, id)) }

func coveredCall() measure {
	return measure{
		name: "call covered by a live grant", floor: "http.Client, static bearer", goal: goal{ratio: 1.05, allocs: 6},
		open: func(t *testing.T) pair {
			c := newCalls(t, nil)
			id := c.next()
			token, call := must(c.hand.grant(reading(id)))(t), callOf("fetch", id)
			return pair{
				ours:  does(func() error { return c.fetch(c.task.Call(c.ctx, call), id) }),
				floor: does(func() error { return c.plainly(id, token) }),
			}
		},
	}
}

func firstEscalation() measure {
	return measure{
		name: "first escalation", floor: "its four round trips by hand", goal: goal{ratio: 1.10},
		open: func(t *testing.T) pair {
			c := newCalls(t, nil)
			return pair{
				ours: does(func() error {
					id := c.next()
					return c.fetch(c.under(id, id), id) // a tool of its own: nothing is known of it
				}),
				floor: does(func() error {
					_, err := c.hand.escalate(http.MethodGet, c.url(c.next()), nil)
					return err
				}),
				notes: func(row) []string {
					return []string{fmt.Sprintf("%d documents were granted, in one task for each side", c.n)}
				},
			}
		},
	}
}

func nextDocument() measure {
	return measure{
		name: "the same kind of call, another document", floor: "three round trips by hand", goal: goal{ratio: 1.10},
		open: func(t *testing.T) pair {
			c := newCalls(t, nil)
			return pair{
				ours: does(func() error {
					id := c.next()
					return c.fetch(c.under("fetch", id), id)
				}),
				floor: does(func() error {
					id := c.next()
					token, err := c.hand.grant(reading(id))
					if err != nil {
						return err
					}
					_, err = c.hand.call(http.MethodGet, c.url(id), token, nil)
					return err
				}),
			}
		},
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
		open: func(t *testing.T) pair {
			c := newCalls(t, nil)
			ours := func() error {
				id := c.next()
				call := c.under(id, id)
				return atOnce(func() error { return c.fetch(call, id) })
			}
			return pair{
				ours: does(ours),
				floor: does(func() error {
					id := c.next()
					token, err := c.hand.escalate(http.MethodGet, c.url(id), nil)
					if err != nil {
						return err
					}
					return atOnce(func() error { return c.plainly(id, token) })
				}),
				notes: func(row) []string {
					before := c.Auth.Snapshot().Totals
					check(t, ours())
					after := c.Auth.Snapshot().Totals
					return []string{fmt.Sprintf("100 calls made %d request and got %d token", after.Requests-before.Requests, after.Tokens-before.Tokens)}
				},
			}
		},
	}
}
