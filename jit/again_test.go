package jit_test

import (
	"crypto/rand"
	"errors"
	"testing"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

// A call made right after one that did not wait looks for itself: it does not join
// what the earlier one has just left.
func TestCallRightAfterAPendingOneLooks(t *testing.T) {
	task := fake.Task(t, &fake.Authority{Decide: func(jit.Request) (jit.Decision, error) {
		return jit.Decision{Status: jit.StatusPending}, nil
	}})
	for range 2000 {
		d := read(rand.Text())
		call := task.Call(t.Context(), jit.Call{Ceiling: []rar.Detail{d}})
		if _, err := jit.Acquire(call, d); !errors.Is(err, jit.ErrPending) {
			t.Fatalf("Acquire() = %v, want ErrPending", err)
		}
		if _, err := jit.Acquire(call, d); err != nil { // approved meanwhile
			t.Fatalf("Acquire() again = %v", err)
		}
	}
}
