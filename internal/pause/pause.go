// Package pause waits, between tries as well.
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

// Retry does something until it works, or fails for good: with an error of which again
// says no, after longest, or at the end of ctx. Its error is the last one. It pauses for a
// hundredth of a second, then twice as long each time, a second at most.
func Retry(ctx context.Context, longest time.Duration, again func(error) bool, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		if err := do(); err == nil || !again(err) || !For(ctx, wait) {
			return err
		}
	}
}
