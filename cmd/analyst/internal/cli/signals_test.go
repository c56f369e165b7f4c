package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

// TestEndsFromOutside: a reader that goes away is no fault of the journal whose export
// it read, and a terminal that closes is no interruption.
func TestEndsFromOutside(t *testing.T) {
	gone := &fs.PathError{Op: "write", Path: os.Stdout.Name(), Err: syscall.EPIPE}
	hangup, cancel := context.WithCancelCause(t.Context())
	cancel(Signal{syscall.SIGHUP})
	interrupt, cancel := context.WithCancelCause(t.Context())
	cancel(Signal{os.Interrupt})
	for _, tt := range []struct {
		err  error
		code int
		text string
	}{
		{StateError(fmt.Errorf("export: %w", gone), VerifyHint), ExitUnread, "exit 141"},
		{StateError(errors.New("torn"), ""), ExitFailed, "torn"},
		{Interrupted(hangup), ExitHangup, "hung up"},
		{Interrupted(interrupt), ExitInterrupted, "interrupted"},
	} {
		if e := Exit(tt.err); e.Code != tt.code || e.Error() != tt.text {
			t.Errorf("Exit(%v) = %d, %q; want %d, %q", tt.err, e.Code, e, tt.code, tt.text)
		}
	}
}
