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
	start, pauses := time.Now(), (*backoff.ExponentialBackOff)(nil)
	for try := 1; ; try++ {
		got, err := attempt(ctx)
		if err == nil {
			return got, nil
		}
		wait, again := temporary(err)
		if !again || rule != repeatAlways && (try >= c.tries || wait > c.maxWait) { // the caller learns how long, and decides
			return got, err
		}
		if pauses == nil || wait > 0 {
			pauses = newPauses(c.maxWait)
			pauses.Reset()
		}
		pause := pauses.NextBackOff()
		if wait = min(wait, c.maxWait); wait > 0 {
			pause = wait + rand.N(wait/10+1)
		}
		if _, bounded := ctx.Deadline(); !bounded && rule == repeatAlways && time.Since(start)+pause > endless {
			return got, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return got, fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
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
