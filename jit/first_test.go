package jit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

// slow is an API whose first answer takes a while, and what it saw.
type slow struct {
	first  time.Duration
	inner  tripper
	seen   atomic.Int32
	with   sync.Map // request number to the time when it came
	refuse atomic.Int32
}

func (s *slow) RoundTrip(r *http.Request) (*http.Response, error) {
	n := s.seen.Add(1)
	s.with.Store(n, time.Now())
	if n == 1 {
		time.Sleep(s.first)
	}
	resp, err := s.inner(r)
	if err == nil && resp.StatusCode == http.StatusForbidden {
		s.refuse.Add(1)
	}
	return resp, err
}

// open demands nothing.
func open(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

// atOnce makes n calls at once, each about the document that id names, and returns
// how long the longest took.
func atOnce(t *testing.T, c *client, n int, id func(int) string, ceiling ...rar.Detail) time.Duration {
	t.Helper()
	start := time.Now()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			ceiling := ceiling
			if ceiling == nil {
				ceiling = []rar.Detail{read(id(i))}
			}
			resp, err := c.get(t.Context(), id(i), ceiling...)
			if err != nil {
				t.Errorf("call %d: %v", i, err)
				return
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("call %d: status %d", i, resp.StatusCode)
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

func same(int) string      { return "doc_1" }
func another(i int) string { return fmt.Sprint("doc_", i) }

// Of many calls of a kind that nothing is known of, one finds out.
func TestOneOfManyCallsIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		id    func(int) string
		asked int
	}{
		"the same document": {same, 1},
		"other documents":   {another, 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				authority := &fake.Authority{}
				api := &slow{first: 50 * time.Millisecond, inner: guarded(needsPath)}
				c := offline(t, jit.Config{Authority: authority}, nil).over(api)
				took := atOnce(t, c, 20, tt.id)
				if api.refuse.Load() != 1 || api.seen.Load() != 21 || len(authority.Requests()) != tt.asked || authority.Redeemed() != tt.asked {
					t.Errorf("%d of %d calls were refused, %d requests and %d tokens; want 1 of 21, %d and %d",
						api.refuse.Load(), api.seen.Load(), len(authority.Requests()), authority.Redeemed(), tt.asked, tt.asked)
				}
				if took != api.first {
					t.Errorf("the calls took %s, want no longer than the first answer, %s", took, api.first)
				}
			})
		})
	}
}

// An API that works a minute before it answers must not be used by one call at a
// time.
func TestSlowFirstAnswerIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &slow{first: time.Minute, inner: open}
		c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil).over(api)
		done := make(chan time.Duration)
		go func() { done <- atOnce(t, c, 10, same) }()
		time.Sleep(99 * time.Millisecond)
		synctest.Wait()
		before := api.seen.Load()
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if after := api.seen.Load(); before != 1 || after != 10 {
			t.Errorf("the API saw %d calls before a tenth of a second and %d after, want 1 and 10", before, after)
		}
		if took := <-done; took != time.Minute {
			t.Errorf("the calls took %s, want a minute", took)
		}
	})
}

// What demands nothing is found out once, not before each group of calls.
func TestKindThatDemandsNothingIsFoundOutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &slow{inner: open}
		c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil).over(api)
		atOnce(t, c, 1, same)
		api.inner = func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return open(nil)
		}
		if took := atOnce(t, c, 10, same); took != time.Second {
			t.Errorf("ten later calls took %s, want a second: none waits for another", took)
		}
	})
}

func TestCallThatMayAskForNothingWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &slow{first: 50 * time.Millisecond, inner: open}
		c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil).over(api)
		atOnce(t, c, 3, same, []rar.Detail{}...)
		api.with.Range(func(n, at any) bool {
			if since := time.Since(at.(time.Time)); since != api.first {
				t.Errorf("call %d was sent %s before the end, want %s", n, since, api.first)
			}
			return true
		})
	})
}

// The first call may fail in any way; the others then find out for themselves.
func TestFailureOfTheFirstCallIsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &slow{first: 50 * time.Millisecond}
		inner := guarded(needsPath)
		api.inner = func(r *http.Request) (*http.Response, error) {
			if time.Since(must2(api.with.Load(int32(1)))) == api.first && r.Header.Get("First") != "" {
				return nil, errors.New("connection reset")
			}
			return inner(r)
		}
		c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil).over(api)
		failed := make(chan error)
		call := jit.Call{Tool: "fetch", Ceiling: []rar.Detail{read("doc_1")}}
		go func() {
			_, _, err := c.send(t.Context(), call, "GET", c.base+"/docs/doc_1", "", "First", "yes")
			failed <- err
		}()
		synctest.Wait()
		atOnce(t, c, 5, same)
		if err := <-failed; err == nil || !strings.Contains(err.Error(), "connection reset") {
			t.Errorf("the first call = %v, want its own failure", err)
		}
	})
}

func must2(v any, ok bool) time.Time {
	if !ok {
		panic("no such request")
	}
	return v.(time.Time)
}

func TestWaitForTheFirstAnswerEndsWithTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &slow{first: time.Minute, inner: open}
		c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil).over(api)
		go atOnce(t, c, 1, same)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := c.get(ctx, "doc_1", read("doc_1"))
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 10*time.Millisecond || api.seen.Load() != 1 {
			t.Errorf("GET = %v after %s and %d calls, want its deadline after 10ms and one", err, took, api.seen.Load())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
	})
}
