package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jitagent/jitagent/internal/disk"
)

// patience bounds the wait for locks that are held for moments only.
const patience = 10 * time.Second

// lockWithin waits for the lock of f. Whoever holds it does so for moments, unless
// it was stopped in the middle.
func lockWithin(ctx context.Context, f *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 20*time.Millisecond) {
		ok, err := disk.TryLock(f)
		if ok || err != nil {
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

// locked runs do while it holds the lock of the file at path, which is created if
// need be and stays.
func locked(ctx context.Context, path string, do func() error) error {
	f, err := disk.Open(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return failure(path, err, true)
	}
	if err := lockWithin(ctx, f); err != nil {
		return errors.Join(failure(path, err, true), f.Close())
	}
	return errors.Join(do(), f.Close()) // closing unlocks
}
