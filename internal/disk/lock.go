package disk

import (
	"context"
	"fmt"
	"os"
	"time"
)

// Lock waits for the lock of f, see [TryLock]. Whoever holds it does so for moments,
// unless it was stopped in the middle: after patience that is an error.
func Lock(ctx context.Context, f *os.File, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, time.Millisecond) {
		if ok, err := TryLock(f); ok || err != nil {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s is locked by another process: %w", f.Name(), ctx.Err())
		}
	}
}
