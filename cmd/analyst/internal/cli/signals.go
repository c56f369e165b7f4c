package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// A Signal is the cause for which the context of [Listen] ends.
type Signal struct{ Signal os.Signal }

func (s Signal) Error() string { return s.Signal.String() }

// Listen returns a context that the first signal to end ends, so that work ends in
// order. A second one is answered with a line on stderr, since fingers repeat
// themselves, and ends the context of [Patience]; a third ends the process at once. A
// terminal that closes may say so twice, so SIGHUP counts only as the first; under nohup
// it does not count at all.
//
// A reader that goes away is an error of the write from then on and no signal, so that
// the work can end in order then, too.
func Listen(stderr io.Writer) context.Context {
	signal.Ignore(syscall.SIGPIPE)
	var handler atomic.Pointer[func() bool]
	patience, lose := context.WithCancel(context.Background())
	ctx := context.WithValue(context.WithValue(context.Background(), patienceKey{}, patience), handlerKey{}, &handler)
	ctx, cancel := context.WithCancelCause(ctx)
	ends := make(chan os.Signal, 4)
	signal.Notify(ends, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(ends, syscall.SIGHUP)
	}
	go func() {
		for s := range ends {
			if h := handler.Load(); s != os.Interrupt || h == nil || !(*h)() {
				cancel(Signal{s})
				break
			}
		}
		for s := range ends {
			if s != syscall.SIGHUP {
				break
			}
		}
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		_, _ = fmt.Fprintln(stderr, "analyst: ending: what was granted is being given back; once more leaves at once")
		lose()
	}()
	return ctx
}

// Interrupted is the end of a command whose context has ended.
func Interrupted(ctx context.Context) error {
	if s, ok := errors.AsType[Signal](context.Cause(ctx)); ok && s.Signal == syscall.SIGHUP {
		return Endf(ExitHangup, "", "hung up")
	}
	return Endf(ExitInterrupted, "", "interrupted")
}

// Stopped is [Interrupted] in place of an error that is there since ctx has ended, whatever
// it was that could not go on; other errors it returns.
func Stopped(ctx context.Context, err error) error {
	if code := Exit(err).Code; ctx.Err() == nil || code != ExitFailed && code != ExitUsage {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx)) {
		return Interrupted(ctx)
	}
	return err
}

// patienceKey is that of the context of [Patience].
type patienceKey struct{}

// Patience returns a context that the second signal to [Listen] ends: until then what was
// under way at the first may still end by itself. In other contexts it never ends.
func Patience(ctx context.Context) context.Context {
	if patience, ok := ctx.Value(patienceKey{}).(context.Context); ok {
		return patience
	}
	return context.WithoutCancel(ctx)
}

// handlerKey is that of a pointer to what is done at an interrupt.
type handlerKey struct{}

// OnInterrupt has an interrupt call f, from another goroutine, in place of ending the
// context of [Listen]; where f returns false it ends that too. It does so until the
// function that is returned is called. In other contexts it does nothing.
func OnInterrupt(ctx context.Context, f func() bool) (undo func()) {
	handler, ok := ctx.Value(handlerKey{}).(*atomic.Pointer[func() bool])
	if !ok {
		return func() {}
	}
	handler.Store(&f)
	return func() { handler.Store(nil) }
}
