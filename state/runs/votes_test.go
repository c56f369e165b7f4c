package runs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/state/approval"
	"github.com/jitagent/jitagent/state/runs"
)

// A desk takes what is decided about one request.
type desk struct{ decided []approval.Decision }

var expires = time.Now().Add(time.Hour) // is a part of what is approved

func (*desk) Pending(context.Context) ([]approval.Request, bool, error) {
	return []approval.Request{{ID: "jit_1", ExpiresAt: expires}}, false, nil
}

func (d *desk) Decide(_ context.Context, _ string, how approval.Decision) error {
	d.decided = append(d.decided, how)
	return nil
}

// TestADecisionCountsWithoutAHint: a pool that cannot be told undoes none, and none is told
// of one that does not count.
func TestADecisionCountsWithoutAHint(t *testing.T) {
	each(t, func(w *world) {
		var said bytes.Buffer
		store, err := w.open(runs.Options{Journal: &process{world: w, id: "a", lost: make(chan struct{})}, Logger: slog.New(slog.NewTextHandler(&said, nil))})
		w.check(err)
		w.check(store.Close())
		for at, told := range map[approval.Decider]int{&desk{}: 1, late{&desk{}}: 0} {
			said.Reset()
			err := store.Hinting(at).Decide(w.Context(), "jit_1", approval.Decision{Approve: true})
			if _, decided := at.(*desk); decided != (err == nil) || strings.Count(said.String(), "goes on later") != told {
				w.Errorf("%T: %v, and %q is logged", at, err, said.String())
			}
		}
	})
}

// A late desk is one where somebody else was first.
type late struct{ *desk }

func (late) Decide(context.Context, string, approval.Decision) error { return approval.ErrDecided }

// TestTwoDecideAnywhere: a person is one in whatever process they approve, and two are two,
// also after the one of the first has ended. What ran out counts for nothing.
func TestTwoDecideAnywhere(t *testing.T) {
	each(t, func(w *world) {
		at := &desk{}
		decide := func(store *runs.Store, who string) error {
			rights := approval.Rights{Allow: []approval.Group{{Name: "blue"}}, Quorum: 2, Votes: store}
			ctx := approval.WithApprover(w.Context(), approval.Approver{ID: who, Groups: []string{"blue"}})
			return rights.Guard(at).Decide(ctx, "jit_1", approval.Decision{Approve: true})
		}
		gone, err := w.open(runs.Options{Journal: &process{world: w, id: "gone", lost: make(chan struct{})}})
		if err != nil {
			w.Fatal(err)
		}
		if err := decide(gone, "ada"); !errors.Is(err, approval.ErrOneMore) {
			w.Errorf("the first: %v", err)
		}
		w.check(gone.Close())
		a, b := w.start("a").store, w.start("b").store
		if err := decide(a, "ada"); !errors.Is(err, approval.ErrOneMore) || len(at.decided) > 0 {
			w.Errorf("the same person elsewhere: %v, decided %v", err, at.decided)
		}
		if err := decide(b, "bob"); err != nil || len(at.decided) != 1 || at.decided[0].Reason != "by ada and bob" {
			w.Errorf("another person: %v, decided %v", err, at.decided)
		}
		for who, until := range map[string]time.Time{"ada": time.Now().Add(-time.Minute), "bob": time.Now().Add(time.Hour)} {
			_, err := a.Vote(w.Context(), "other", who, until)
			w.check(err)
		}
		if all, err := b.Vote(w.Context(), "other", "cleo", time.Now().Add(time.Hour)); err != nil || !slices.Equal(all, []string{"bob", "cleo"}) {
			w.Errorf("after one has run out: %v, %v", all, err)
		}
	})
}
