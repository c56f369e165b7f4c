package serve

import (
	"context"
	"log/slog"

	"github.com/jitagent/jitagent/state/approval"
)

// A hinting decider tells the workers of each decision, which else ask for it later. They
// believe nothing of that: they ask at once.
type hinting struct {
	approval.Decider
	hint   func(ctx context.Context, request string) error
	logger *slog.Logger
}

// Decide implements [approval.Decider].
func (h hinting) Decide(ctx context.Context, id string, how approval.Decision) error {
	err := h.Decider.Decide(ctx, id, how)
	if err == nil {
		if err := h.hint(context.WithoutCancel(ctx), id); err != nil {
			h.logger.WarnContext(ctx, "the run that waits for a decision goes on later", "error", err)
		}
	}
	return err
}
