package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/adk/v2/model"
)

// A RetryPolicy bounds how often and how long [Retry] tries. The zero policy is
// ready to use.
type RetryPolicy struct {
	// Attempts bounds the calls of one answer, the first among them. 0 means 4,
	// 1 means that nothing is tried again.
	Attempts int
	// Initial is the wait before the second attempt; each further one waits twice as
	// long, up to Max. Chance makes each wait up to a third shorter or longer. 0
	// means 500 ms and 8 s.
	Initial, Max time.Duration
	// MaxRetryAfter bounds the wait that a provider may ask for. One that asks for
	// more is not tried again: its error, which says how long, is returned at once.
	// 0 means 30 s.
	MaxRetryAfter time.Duration
	// Logger hears each retry at info level: provider, model, status, reason, number
	// of the attempt and wait; and at debug level [Error.Said]. nil discards.
	Logger *slog.Logger
}

// Retry returns llm with temporary failures tried again, as long as nothing of the
// answer has been yielded: what a caller has seen is never taken back or repeated.
// A failure is temporary when an [Error] in it says so. The wait is the longer of
// backoff and what the provider asked for. It ends with the context, and is not
// begun when the context would end first. The last error is returned as it is.
//
// The result is as safe for concurrent use as llm is.
func Retry(llm model.LLM, p RetryPolicy) model.LLM {
	p.Attempts = cmp.Or(max(p.Attempts, 0), 4)
	p.Initial, p.Max = cmp.Or(max(p.Initial, 0), 500*time.Millisecond), cmp.Or(max(p.Max, 0), 8*time.Second)
	p.MaxRetryAfter = cmp.Or(max(p.MaxRetryAfter, 0), 30*time.Second)
	p.Logger = cmp.Or(p.Logger, slog.New(slog.DiscardHandler))
	return &retrying{llm, p}
}

type retrying struct {
	model.LLM
	policy RetryPolicy
}

// GenerateContent implements [model.LLM].
func (r *retrying) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		waits := backoff.ExponentialBackOff{
			InitialInterval: r.policy.Initial, MaxInterval: r.policy.Max, Multiplier: 2, RandomizationFactor: 1. / 3,
		}
		for attempt := 1; ; attempt++ {
			failure, again := r.attempt(ctx, req, stream, attempt, yield)
			if !again {
				return
			}
			wait := max(waits.NextBackOff(), failure.RetryAfter)
			if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
				yield(nil, failure)
				return
			}
			r.policy.Logger.InfoContext(ctx, "model call failed, trying again", "provider", failure.Provider, "model", failure.Model,
				"status", failure.Status, "reason", failure.Reason, "attempt", attempt, "wait", wait)
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				yield(nil, fmt.Errorf("models: %s/%s: %w", failure.Provider, failure.Model, ctx.Err()))
				return
			}
		}
	}
}

// attempt passes on one call, and reports a failure that may be tried again.
func (r *retrying) attempt(ctx context.Context, req *model.LLMRequest, stream bool, n int, yield func(*model.LLMResponse, error) bool) (*Error, bool) {
	fresh := true
	for resp, err := range r.LLM.GenerateContent(ctx, req, stream) {
		if failure, ok := errors.AsType[*Error](err); ok && ctx.Err() == nil {
			if words := failure.Said(); words != "" {
				r.policy.Logger.DebugContext(ctx, "the provider says", "provider", failure.Provider, "model", failure.Model, "status", failure.Status, "message", words)
			}
			if fresh && n < r.policy.Attempts {
				if wait, temporary := failure.Temporary(); temporary && wait <= r.policy.MaxRetryAfter {
					return failure, true
				}
			}
		}
		fresh = false
		if !yield(resp, err) || err != nil {
			return nil, false
		}
	}
	return nil, false
}
