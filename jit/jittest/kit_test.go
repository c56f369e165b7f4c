package jittest_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when the worlds leave a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A recorder is a test that keeps its failures, so that assertions can be seen to
// fail.
type recorder struct {
	*testing.T

	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

// run runs fn as a test would be, with its cleanups, and returns the failures.
func run(t *testing.T, fn func(t *recorder)) []string {
	t.Helper()
	r := &recorder{T: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn(r)
	}()
	<-done
	r.mu.Lock()
	cleanups := slices.Backward(r.cleanups)
	r.mu.Unlock()
	for _, f := range cleanups {
		f()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failures
}

// wantFailure fails unless there is exactly one failure, which says want and tells
// the story.
func wantFailure(t *testing.T, failures []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(failures) > 0:
		t.Errorf("failed, and should not have: %q", failures)
	case want == "":
	case len(failures) != 1:
		t.Errorf("%d failures, want one: %q", len(failures), failures)
	case !strings.Contains(failures[0], want):
		t.Errorf("the failure is %q, want it to say %q", failures[0], want)
	case !strings.HasPrefix(failures[0], "jittest: ") || !strings.Contains(failures[0], "\nWhat happened:\n"):
		t.Errorf("the failure is %q, want it to tell the story", failures[0])
	}
}

// must returns what a call answered, and fails the test when it failed.
func must(t testing.TB) func(status int, body string, err error) string {
	return func(status int, body string, err error) string {
		t.Helper()
		if err != nil || status != 200 {
			t.Errorf("the call = %d %q, %v, want 200", status, body, err)
		}
		return body
	}
}
