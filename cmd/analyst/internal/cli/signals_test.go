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
	stdout := func(why error) error {
		_, err := (&Output{To: closed{&fs.PathError{Op: "write", Path: os.Stdout.Name(), Err: why}}}).Write([]byte("x"))
		return fmt.Errorf("export: %w", err)
	}
	hangup, cancel := context.WithCancelCause(t.Context())
	cancel(Signal{syscall.SIGHUP})
	interrupt, cancel := context.WithCancelCause(t.Context())
	cancel(Signal{os.Interrupt})
	for _, tt := range []struct {
		err  error
		code int
		text string
	}{
		{StateError(stdout(syscall.EPIPE), VerifyHint), ExitUnread, "exit 141"},
		{StateError(stdout(syscall.ENOSPC), VerifyHint), ExitFailed, "the output cannot be written: no space left on device"},
		{stdout(syscall.EIO), ExitHangup, "the output cannot be written: input/output error"},
		{StateError(errors.New("torn"), ""), ExitFailed, "torn"},
		{Interrupted(hangup), ExitHangup, "hung up"},
		{Interrupted(interrupt), ExitInterrupted, "interrupted"},
	} {
		if e := Exit(tt.err); e.Code != tt.code || e.Error() != tt.text {
			t.Errorf("Exit(%v) = %d, %q; want %d, %q", tt.err, e.Code, e, tt.code, tt.text)
		}
	}
}

// closed is an output that takes nothing.
type closed struct{ err error }

func (c closed) Write([]byte) (int, error) { return 0, c.err }
