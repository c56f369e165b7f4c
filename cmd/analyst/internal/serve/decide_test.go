package serve

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/jitagent/jitagent/state/approval"
)

// only decides one request.
type only struct {
	approval.Decider
	id string
}

func (o only) Decide(_ context.Context, id string, _ approval.Decision) error {
	if id != o.id {
		return approval.ErrDecided
	}
	return nil
}

// TestWorkersAreToldOfDecisions: of those that count, and a worker that cannot be told
// undoes none.
func TestWorkersAreToldOfDecisions(t *testing.T) {
	var told []string
	var broken error
	h := hinting{only{id: "jit_1"}, func(_ context.Context, id string) error {
		told = append(told, id)
		return broken
	}, slog.New(slog.DiscardHandler)}
	if err := h.Decide(t.Context(), "jit_2", approval.Decision{}); !errors.Is(err, approval.ErrDecided) {
		t.Errorf("a decision that came late: %v", err)
	}
	broken = errors.New("no database")
	if err := h.Decide(t.Context(), "jit_1", approval.Decision{}); err != nil || !slices.Equal(told, []string{"jit_1"}) {
		t.Errorf("%v, told %q", err, told)
	}
}
