package journal

import (
	"context"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
)

// Killing returns the entry by which a store begins to kill the task of a run. It fails
// with [ErrNotFound] for a run that there is not.
func Killing(ctx context.Context, s Store, run, reason string) (jit.Entry, error) {
	t, err := s.Task(ctx, run)
	if err == nil && t.Run != run {
		err = ErrNotFound
	}
	return jit.Entry{
		Kind: jit.EntryTaskKilled, TaskID: t.ID, Session: t.Session, Name: t.Name, OnBehalfOf: t.OnBehalfOf, Authority: t.Authority,
		Message: plain.Line(reason, 300),
	}, err
}
