package run

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/pause"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/approval"
)

// endedOne decides what still waits: all but some.
type endedOne map[string]bool

func (endedOne) Pending(context.Context) ([]approval.Request, bool, error) { return nil, true, nil }

func (e endedOne) Decide(_ context.Context, id string, _ approval.Decision) error {
	if e[id] {
		return approval.ErrDecided
	}
	return nil
}

// A prompt waits for the other calls of the turn as long as something happens, and not for
// ever.
func TestPromptIsForTheWholeTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{}
		gathered := func(events int) time.Duration {
			start := time.Now()
			d.seen = start
			var run sync.WaitGroup
			defer run.Wait()
			run.Go(func() {
				for range events {
					pause.For(t.Context(), gathering-time.Millisecond)
					d.mu.Lock()
					d.seen = time.Now()
					d.mu.Unlock()
				}
			})
			d.gather(t.Context())
			return time.Since(start)
		}
		if took := gathered(3); took < 3*gathering || took > 4*gathering {
			t.Errorf("with three events it took %s", took)
		}
		if took := gathered(20); took < 10*gathering || took > 11*gathering {
			t.Errorf("with events all the while it took %s", took)
		}
	})
}

// An answer counts for those that wait, and the person is told which do not; and that a
// request is not among too many, which is not the same as decided.
func TestAnswerForSeveral(t *testing.T) {
	var told bytes.Buffer
	d := &desk{prompter: &prompter{p: &cli.Program{Stderr: &told}}, decided: func() {}}
	group := approval.Request{ID: "jit_1", Details: []rar.Detail{{Type: "x"}}, Also: []approval.Request{{ID: "jit_2"}, {ID: "jit_3"}}}
	yes := func(int) bool { return true }
	d.decider = endedOne{"jit_2": true}
	if err := d.enter(t.Context(), []approval.Request{group}, nil, yes); err != nil ||
		!strings.Contains(told.String(), "2 of 3 requests were decided here, but not jit_2: the request can no longer be decided") {
		t.Errorf("enter() = %v, told %q", err, told.String())
	}
	d.decider = endedOne{"jit_1": true, "jit_2": true, "jit_3": true}
	if err := d.enter(t.Context(), []approval.Request{group}, nil, yes); !errors.Is(err, approval.ErrDecided) {
		t.Errorf("enter() of what was decided = %v", err)
	}
	if err := d.question(t.Context(), t.Context(), []string{"jit_9"}, d.end); err == nil {
		t.Error("a request that is not listed among too many passes for decided")
	}
}
