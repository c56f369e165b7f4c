package pause_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/internal/pause"
)

func TestRetry(t *testing.T) {
	away, final := errors.New("away"), errors.New("final")
	for name, tt := range map[string]struct {
		stop  time.Duration // when the context ends
		do    func(try int) error
		want  error
		tries int
		after time.Duration
	}{
		"at once":     {time.Hour, func(int) error { return nil }, nil, 1, 0},
		"in the end":  {time.Hour, func(try int) error { return map[bool]error{true: away}[try < 4] }, nil, 4, 70 * time.Millisecond},
		"for good":    {time.Hour, func(int) error { return final }, final, 1, 0},
		"too late":    {time.Hour, func(int) error { return away }, away, 11, 5 * time.Second}, // 10 ms to 640 ms, then a second each
		"interrupted": {15 * time.Millisecond, func(int) error { return away }, away, 2, 15 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.stop)
				defer cancel()
				began, tries := time.Now(), 0
				err := pause.Retry(ctx, 5*time.Second, func(err error) bool { return errors.Is(err, away) }, func() error { tries++; return tt.do(tries) })
				if took := time.Since(began); !errors.Is(err, tt.want) || tries != tt.tries || took != tt.after {
					t.Errorf("Retry() = %v after %d tries and %s, want %v, %d and %s", err, tries, took, tt.want, tt.tries, tt.after)
				}
			})
		})
	}
}
