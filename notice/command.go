package notice

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/jitagent/jitagent/internal/program"
)

// A command is a program that is run for each notice. What it writes is dropped.
type command []string

func (c command) tell(ctx context.Context, n Notice) error {
	cmd := program.Command(ctx, c)
	cmd.Stdin, cmd.WaitDelay = bytes.NewReader(n.json()), time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %w", errFinal, err) // it may have done half of it
	}
	return nil
}
