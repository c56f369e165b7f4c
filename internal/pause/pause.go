// Package pause waits.
package pause

import (
	"context"
	"time"
)

// For waits for d, and reports whether it did: false means that ctx ended first, or had
// ended.
func For(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
