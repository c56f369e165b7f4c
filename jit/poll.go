package jit

import (
	"context"
	"math/rand/v2"
	"time"
)

// poll looks at a pending request until it is decided, its window ends, or ctx
// does. One look is under way at a time; the interval counts from sending the
// last one (sent), with jitter, and a server's Retry-After makes it longer. A
// temporary fault costs one look, not the wait.
func (s *scope) poll(ctx context.Context, pending Decision, sent time.Time) (Decision, error) {
	wait := pending.RetryAfter
	for {
		next := sent.Add(s.interval(wait))
		final := !next.Before(pending.ExpiresAt)
		if final {
			next = pending.ExpiresAt // a decision in the last moment still counts
		}
		if err := sleepUntil(ctx, next); err != nil {
			return pending, err
		}
		sent = time.Now()
		dec, err := s.look(ctx, pending)
		if err != nil || dec.Status != StatusPending {
			return dec, err
		}
		if final {
			dec.Status = StatusExpired
			return dec, nil
		}
		wait = dec.RetryAfter
	}
}

// look reads the state of a pending request once. After a temporary fault the
// request is as it was, with the wait that the fault asks for.
func (s *scope) look(ctx context.Context, pending Decision) (Decision, error) {
	dec, err := s.task.engine.cfg.Authority.Status(ctx, pending.RequestID)
	if err != nil {
		wait, again := temporary(err)
		if !again || ctx.Err() != nil {
			return pending, &AuthorityError{opStatus, err}
		}
		s.task.engine.log.DebugContext(ctx, "poll failed, will try again", "request_id", pending.RequestID, "error", err)
		pending.RetryAfter = wait
		return pending, nil
	}
	// An answer may leave out what is known. It may not speak of something else:
	// the token of another request is not what was decided here.
	if err := identify(&dec, pending.RequestID, pending.TaskID); err != nil {
		return pending, &AuthorityError{opStatus, err}
	}
	if dec.Risk == "" {
		dec.Risk = pending.Risk
	}
	if dec.DecideAt == "" {
		dec.DecideAt = pending.DecideAt
	}
	if dec.Status == StatusPending {
		dec.ExpiresAt = pending.ExpiresAt // the window is fixed when the request is made
	}
	return dec, nil
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
