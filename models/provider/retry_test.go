package provider_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// flaky fails with errs in turn, each after so many responses, and then answers.
type flaky struct {
	after int
	errs  []error
	calls []time.Time
}

func (*flaky) Name() string { return "flaky" }

func (f *flaky) GenerateContent(context.Context, *model.LLMRequest, bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		n := len(f.calls)
		f.calls = append(f.calls, time.Now())
		for range f.after {
			if !yield(&model.LLMResponse{Partial: true}, nil) {
				return
			}
		}
		if n < len(f.errs) {
			yield(nil, f.errs[n])
			return
		}
		yield(&model.LLMResponse{TurnComplete: true}, nil)
	}
}

func status(code int, wait time.Duration) *provider.Error {
	e := target.Fail(provider.Problem{Text: "it failed", Remedy: "try again"}, nil)
	e.Status, e.RetryAfter = code, wait
	return e
}

func run(ctx context.Context, llm model.LLM) (n int, err error) {
	for resp, e := range llm.GenerateContent(ctx, &model.LLMRequest{}, true) {
		if resp != nil {
			n++
		}
		err = e
	}
	return n, err
}

func TestRetry(t *testing.T) {
	refused := target.Unanswered(nil, dial(syscall.ECONNREFUSED))
	for _, tt := range []struct {
		name  string
		llm   flaky
		calls int
		fails bool
	}{
		{"at once", flaky{}, 1, false},
		{"429", flaky{errs: []error{status(429, 0)}}, 2, false},
		{"408, 500, 503", flaky{errs: []error{status(408, 0), status(500, 0), status(503, 0)}}, 4, false},
		{"refused", flaky{errs: []error{refused}}, 2, false},
		{"wrapped", flaky{errs: []error{fmt.Errorf("x: %w", status(500, 0))}}, 2, false},
		{"bounded", flaky{errs: []error{status(500, 0), status(500, 0), status(500, 0), status(500, 0), status(500, 0)}}, 4, true},
		{"400", flaky{errs: []error{status(400, 0)}}, 1, true},
		{"401", flaky{errs: []error{status(401, 0)}}, 1, true},
		{"another error", flaky{errs: []error{errors.New("x")}}, 1, true},
		{"after a piece", flaky{after: 1, errs: []error{status(500, 0)}}, 1, true},
		{"asked to wait a little", flaky{errs: []error{status(429, 20*time.Second)}}, 2, false},
		{"asked to wait too long", flaky{errs: []error{status(429, 31*time.Second)}}, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, err := run(t.Context(), provider.Retry(&tt.llm, provider.RetryPolicy{}))
				if len(tt.llm.calls) != tt.calls || (err != nil) != tt.fails {
					t.Errorf("%d calls, want %d; error %v", len(tt.llm.calls), tt.calls, err)
				}
				if want := 1 + tt.llm.after; !tt.fails && n != want {
					t.Errorf("%d responses, want %d", n, want)
				}
				if tt.fails && (err == nil || len(tt.llm.calls) != tt.calls || err.Error() != tt.llm.errs[tt.calls-1].Error()) {
					t.Errorf("the error is not the last one: %v", err)
				}
			})
		})
	}
}

// Waits grow, are never the same for all, and never under what the provider asks.
func TestRetryWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		seen := map[time.Duration]bool{}
		for range 20 {
			llm := &flaky{errs: []error{status(500, 0), status(500, 0), status(500, 0), status(500, 0), status(429, 10*time.Second)}}
			if _, err := run(t.Context(), provider.Retry(llm, provider.RetryPolicy{Attempts: 6, Initial: time.Second, Max: 3 * time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))})); err != nil {
				t.Fatal(err)
			}
			for i, base := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second} {
				wait := llm.calls[i+1].Sub(llm.calls[i])
				if seen[wait] = true; wait < base*2/3-1 || wait > base*4/3+1 {
					t.Errorf("wait %d is %s, want about %s", i, wait, base)
				}
			}
			if wait := llm.calls[5].Sub(llm.calls[4]); wait != 10*time.Second {
				t.Errorf("the provider asked for 10 s and got %s", wait)
			}
		}
		if len(seen) < 40 {
			t.Errorf("only %d different waits of 80: many clients would come back at once", len(seen))
		}
		if line, _, _ := strings.Cut(log.String(), "\n"); strings.Count(log.String(), "\n") != 100 || !strings.Contains(line, `level=INFO msg="model call failed, trying again" provider=acme model=small status=500 reason="" attempt=1 wait=`) {
			t.Errorf("the first line of the log is %s", line)
		}
	})
}

func TestRetryEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		llm := &flaky{errs: []error{status(429, 20*time.Second), status(500, 0)}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		start := time.Now()
		_, err := run(ctx, provider.Retry(llm, provider.RetryPolicy{}))
		if !errors.Is(err, context.Canceled) || len(llm.calls) != 1 || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %d calls and %s", err, len(llm.calls), time.Since(start))
		}
		// A deadline before the next attempt: what went wrong says more than that time is up.
		llm = &flaky{errs: []error{status(429, 20*time.Second)}}
		ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start = time.Now()
		_, err = run(ctx, provider.Retry(llm, provider.RetryPolicy{}))
		if e, ok := errors.AsType[*provider.Error](err); !ok || e.Status != 429 || time.Since(start) != 0 {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

func TestRetryStopsWithItsConsumer(t *testing.T) {
	llm := &flaky{after: 3, errs: []error{status(500, 0)}}
	for range provider.Retry(llm, provider.RetryPolicy{}).GenerateContent(t.Context(), &model.LLMRequest{}, true) {
		break
	}
	if len(llm.calls) != 1 {
		t.Errorf("%d calls", len(llm.calls))
	}
}

func (*flaky) Check(context.Context) error { return provider.ErrCannotTell }

type google struct{ flaky }

func (*google) GetGoogleLLMVariant() genai.Backend { return genai.BackendVertexAI }

func TestModelPassesOnWhatItIsAsked(t *testing.T) {
	variant := func(once provider.Once) genai.Backend {
		return provider.NewModel(once, target, provider.RetryPolicy{}).GetGoogleLLMVariant()
	}
	if got := variant(&google{}); got != genai.BackendVertexAI {
		t.Errorf("Google's model is %v", got)
	}
	if got := variant(&flaky{}); got != genai.BackendUnspecified {
		t.Errorf("another's is %v", got)
	}
	if err := provider.NewModel(&flaky{}, target, provider.RetryPolicy{}).Check(t.Context()); !errors.Is(err, provider.ErrCannotTell) {
		t.Errorf("checked: %v", err)
	}
}

func ExampleRetry() {
	llm := &flaky{errs: []error{status(503, 0)}}
	for resp, err := range provider.Retry(llm, provider.RetryPolicy{Initial: time.Millisecond}).GenerateContent(context.Background(), &model.LLMRequest{}, false) {
		fmt.Println(resp.TurnComplete, err)
	}
	fmt.Println(len(llm.calls), "calls")
	// Output:
	// true <nil>
	// 2 calls
}
