package runner_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/runner"
)

// What was decided before the run holds for a call that waits for a decision and for one
// that nobody named, and the model is asked again only where the run goes on.
func TestUnattended(t *testing.T) {
	for name, tt := range map[string]struct {
		unattended runner.Unattended
		deny       bool
		pending    runner.Outcome
		unnamed    runner.Outcome
		asked      int // models, for the one; the run goes on after each denial
		err        error
	}{
		"not said": {"", false, runner.Pending, runner.Denied, 1, nil},
		"deny":     {"", true, runner.Denied, runner.Denied, 2, nil},
		"suspend":  {runner.UnattendedSuspend, false, runner.Pending, runner.Pending, 1, nil},
		"fail":     {runner.UnattendedFail, false, runner.Failed, runner.Failed, 1, runner.ErrUnattended},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				call    string
				outcome runner.Outcome
			}{{"doc_1", tt.pending}, {"doc_9", tt.unnamed}} {
				w := review(t, asks("act "+c.call), says("done"))
				kept := w.config
				w.config = func(cfg *runner.Config) { kept(cfg); cfg.AllowUnnamed, cfg.Unattended = false, tt.unattended }
				w.engine.DenyPending = tt.deny
				got := w.say(t, "act on doc_1")
				asked := tt.asked
				if c.outcome == runner.Denied {
					asked = 2
				}
				if got.finished.Outcome != c.outcome || !errors.Is(got.err, tt.err) || w.llm.(*script).calls != asked || w.ran != nil {
					t.Errorf("%s: %s, %v after %d model calls, ran %v; want %s, %v after %d",
						c.call, got.finished.Outcome, got.err, w.llm.(*script).calls, w.ran, c.outcome, tt.err, asked)
				}
				if suspended := len(got.finished.Waiting) == 1; suspended != (c.outcome == runner.Pending) {
					t.Errorf("%s: waiting %v", c.call, got.finished.Waiting)
				}
			}
		})
	}
}

// A call that nobody named waits until somebody can be asked, and is not let through by
// being resumed, nor by a store that forgets why it waits.
func TestUnnamedCallWaits(t *testing.T) {
	for name, tt := range map[string]struct {
		ask     func(context.Context, jitmw.Question) (bool, error)
		forget  bool
		sent    bool // by a process that somebody had allowed it, and that is gone
		outcome runner.Outcome
		ran     []string
	}{
		"allowed":           {func(context.Context, jitmw.Question) (bool, error) { return true, nil }, false, false, runner.Done, []string{"doc_9"}},
		"refused":           {func(context.Context, jitmw.Question) (bool, error) { return false, nil }, false, false, runner.Denied, nil},
		"nobody, again":     {nil, false, false, runner.Pending, nil},
		"it was sent":       {nil, false, true, runner.InDoubt, []string{"doc_9"}},
		"the store forgets": {nil, true, false, runner.Failed, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := review(t, asks("act doc_9"), says("done"))
			w.decide("doc_9", jit.StatusApproved)
			kept := w.config
			w.config = func(cfg *runner.Config) {
				kept(cfg)
				cfg.AllowUnnamed, cfg.Unattended = false, runner.UnattendedSuspend
			}
			first := w.say(t, "act on doc_1")
			if len(first.finished.Waiting) != 1 || !strings.Contains(first.finished.Waiting[0].Unnamed, "doc_9") || len(w.authority.Requests()) != 0 {
				t.Fatalf("waiting %+v, %v after %d requests", first.finished.Waiting, first.err, len(w.authority.Requests()))
			}
			if tt.sent {
				w.journal.Note(jit.Entry{Kind: jit.EntryCallSent, Run: w.run(t), CallID: "call_0", Tool: "act", IdempotencyKey: "key", Time: time.Now()})
			}
			if tt.forget {
				for at, text := range w.kept.texts {
					before, after, _ := strings.Cut(text, `"unnamed":"`)
					_, after, _ = strings.Cut(after, `",`)
					w.kept.texts[at] = before + after
				}
			}
			w.config = func(cfg *runner.Config) {
				kept(cfg)
				cfg.AllowUnnamed, cfg.Unattended, cfg.Ask = false, runner.UnattendedSuspend, tt.ask
			}
			got := w.resume(t)
			if got.finished.Outcome != tt.outcome || !slices.Equal(w.ran, tt.ran) || tt.forget != errors.Is(got.err, jit.ErrChanged) {
				t.Errorf("resumed: %s, %v, ran %v; want %s, %v", got.finished.Outcome, got.err, w.ran, tt.outcome, tt.ran)
			}
		})
	}
}
