package jit

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/jitagent/jitagent/rar"
)

// poll looks at a pending request until it is decided, its window ends, or ctx
// does. One look is under way at a time; the interval counts from sending the
// last one (sent), with jitter; a server's Retry-After makes it longer, and each
// SlowDown all that follow, and [Engine.Look] ends it. A temporary fault costs one
// look, not the wait.
func (s *scope) poll(ctx context.Context, key grantKey, d rar.Checked, pending Decision, sent time.Time) (Decision, error) {
	wait, slower, woken := pending.RetryAfter, time.Duration(0), s.task.engine.awake()
	decided := pending.Decided
	for {
		next := sent.Add(max(s.interval()+slower, wait))
		if !next.Before(pending.ExpiresAt) {
			next = pending.ExpiresAt // a decision in the last moment still counts
		}
		if err := sleepUntil(ctx, next, woken, decided); err != nil {
			return pending, err
		}
		sent, woken = time.Now(), s.task.engine.awake()
		dec, err := s.look(ctx, key, d, pending)
		decided = dec.Decided
		if err != nil || dec.Status != StatusPending {
			return dec, err
		}
		if !sent.Before(pending.ExpiresAt) {
			dec.Status = StatusExpired
			return dec, nil
		}
		if wait = dec.RetryAfter; dec.SlowDown {
			slower += slowDown
		}
	}
}

// look reads the state of a pending request once. After a temporary fault the
// request is as it was, with the wait that the fault asks for.
func (s *scope) look(ctx context.Context, key grantKey, d rar.Checked, pending Decision) (Decision, error) {
	if err := s.task.Alive(ctx); err != nil {
		return pending, err
	}
	dec, err := s.task.engine.cfg.Authority.Status(ctx, pending.RequestID)
	if err != nil {
		wait, again := temporary(err)
		if !again || ctx.Err() != nil {
			return pending, &AuthorityError{opStatus, err}
		}
		s.task.engine.log.DebugContext(ctx, "poll failed, will try again", "request_id", pending.RequestID, "error", err)
		pending.RetryAfter, pending.Decided = wait, nil
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
	s.compare(key, d, &dec)
	if dec.Status == StatusPending {
		dec.ExpiresAt = pending.ExpiresAt // the window is fixed when the request is made
	}
	return dec, nil
}

// compare takes a decision about another request than was made for none. Nobody decided
// what this call wants; it is no denial of that either, so a later call asks anew.
func (s *scope) compare(key grantKey, d rar.Checked, dec *Decision) {
	if field := s.otherThan(key, d, *dec); field != "" {
		dec.Status, dec.Message = StatusUnknown, "the request that the server has is another one than was made: its "+field+" differs"
	}
}

// otherThan names what a server holds a request to be that differs from what the call
// asks; "" when nothing does. What the server leaves out differs in nothing, and less
// authority than was asked for is what a person may leave of it.
func (s *scope) otherThan(key grantKey, d rar.Checked, dec Decision) string {
	if dec.Details != nil {
		if _, err := s.task.engine.granted(dec.Details, d); err != nil {
			return "authorization_details"
		}
	}
	want := s.purpose(key.origin)
	switch {
	case dec.For == nil:
	case dec.For.Tool != want.Tool:
		return "tool"
	case dec.For.Origin != want.Origin:
		return "origin"
	case dec.For.User != want.User:
		return "user"
	case !sameArgs(dec.For.Args, want.Args):
		return "arguments"
	}
	return ""
}

// sameArgs compares arguments whatever servers they went through: other spaces and
// another order are the same, another spelling of a number is not.
func sameArgs(a, b json.RawMessage) bool {
	if len(a) == 0 || len(b) == 0 || bytes.Equal(a, b) {
		return len(a) == len(b)
	}
	var values [2]any
	for i, text := range []json.RawMessage{a, b} {
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		if dec.Decode(&values[i]) != nil {
			return false
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}

// slowDown is what a server's wish to be looked at less often adds.
const slowDown = 5 * time.Second

// interval returns the configured time from one look to the next with a tenth of
// jitter, so that many waiters spread out.
func (s *scope) interval() time.Duration {
	base := s.task.engine.cfg.PollInterval
	return base + time.Duration((rand.Float64()-0.5)*0.2*float64(base))
}

// sleepUntil returns at a time, or when woken or decided is closed.
func sleepUntil(ctx context.Context, when time.Time, woken, decided <-chan struct{}) error {
	timer := time.NewTimer(time.Until(when))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-woken:
		return nil
	case <-decided:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
