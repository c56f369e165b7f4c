package jit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// poll looks at a pending request until it is decided, its window ends, or ctx
// does. One look is under way at a time; the interval counts from sending the
// last one, with jitter, and a server's Retry-After makes it longer. A temporary
// fault costs one look, not the wait.
func (s *scope) poll(ctx context.Context, pending Decision) (Decision, error) {
	last := pending
	next := time.Now().Add(s.interval(pending.RetryAfter))
	for {
		final := !next.Before(pending.ExpiresAt)
		if final {
			next = pending.ExpiresAt // a decision in the last moment still counts
		}
		if err := sleepUntil(ctx, next); err != nil {
			return last, err
		}
		sent := time.Now()
		dec, err := s.task.engine.cfg.Authority.Status(ctx, pending.RequestID)
		wait := dec.RetryAfter
		switch {
		case err == nil && dec.Status != StatusPending:
			return dec, nil
		case err == nil:
			last = dec
		default:
			var again bool
			if wait, again = temporary(err); !again || ctx.Err() != nil {
				return last, fmt.Errorf("jit: status of request %s: %w", pending.RequestID, err)
			}
			s.task.engine.log.DebugContext(ctx, "poll failed, will try again", "request_id", pending.RequestID, "error", err)
		}
		if final {
			expired := last
			expired.RequestID, expired.Status = pending.RequestID, StatusExpired
			return expired, nil
		}
		next = sent.Add(s.interval(wait))
	}
}

// interval returns the time from one look to the next: the configured one with a
// tenth of jitter, so that many waiters spread out, or the server's if longer.
func (s *scope) interval(retryAfter time.Duration) time.Duration {
	base := s.task.engine.cfg.PollInterval
	jitter := time.Duration((rand.Float64() - 0.5) * 0.2 * float64(base))
	return max(base+jitter, retryAfter)
}

func sleepUntil(ctx context.Context, when time.Time) error {
	timer := time.NewTimer(time.Until(when))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
