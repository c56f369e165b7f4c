package lumoauth

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/jit"
)

const (
	firstPause = 500 * time.Millisecond // between tries, before jitter
	// maxRetryAfter bounds what a server may ask for.
	maxRetryAfter = time.Hour
	// endless bounds a call that tries until its context ends, when that context
	// has no deadline.
	endless = 5 * time.Minute
)

// newPauses returns growing pauses with jitter, so that clients which failed
// together do not come back together.
func newPauses(longest time.Duration) *backoff.ExponentialBackOff {
	longest -= longest / 3 // half of jitter goes on top
	return &backoff.ExponentialBackOff{
		InitialInterval:     min(firstPause, longest),
		RandomizationFactor: 0.5,
		Multiplier:          2,
		MaxInterval:         longest,
	}
}

// retry makes attempts until one succeeds, one fails for good, the bounds are
// reached or ctx ends. The error is the last attempt's.
func retry[T any](ctx context.Context, c *Client, rule repeat, attempt func(context.Context) (T, error)) (T, error) {
	opts := []backoff.RetryOption{
		backoff.WithBackOff(newPauses(c.maxWait)),
		backoff.WithMaxTries(uint(c.tries)),
		backoff.WithMaxElapsedTime(0),
	}
	if rule == repeatAlways {
		opts = append(opts, backoff.WithMaxTries(0))
		if _, ok := ctx.Deadline(); !ok {
			opts = append(opts, backoff.WithMaxElapsedTime(endless))
		}
	}
	var last error
	got, err := backoff.Retry(ctx, func() (T, error) {
		var got T
		got, last = attempt(ctx)
		if last == nil {
			return got, nil
		}
		wait, again := temporary(last)
		switch {
		case !again:
			return got, backoff.Permanent(last)
		case wait > c.maxWait && rule != repeatAlways:
			return got, backoff.Permanent(last) // the caller learns how long, and decides
		case wait > 0:
			wait = min(wait, c.maxWait)
			return got, &backoff.RetryAfterError{Duration: wait + rand.N(wait/10+1)}
		}
		return got, last
	}, opts...)
	if err == nil {
		return got, nil
	}
	if ctx.Err() != nil {
		if _, again := temporary(last); again {
			return got, fmt.Errorf("%w: %w", last, ctx.Err())
		}
	}
	return got, last
}

func temporary(err error) (time.Duration, bool) {
	if t, ok := errors.AsType[jit.Temporary](err); ok {
		return t.Temporary()
	}
	return 0, false
}

// retryAfter reads the Retry-After header, up to maxRetryAfter.
func retryAfter(h http.Header, received time.Time) (time.Duration, bool) {
	wait, said := peer.RetryAfter(h, received)
	return min(wait, maxRetryAfter), said
}
