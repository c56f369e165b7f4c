package jit_test

import (
	"sync"
	"testing"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

// A grant is sent with as many requests as the operator allows, however many calls want it
// at a time; the next one asks anew.
func TestGrantUses(t *testing.T) {
	for uses, grants := range map[int]int{0: 1, 1: 12, 4: 3, 100: 1} {
		authority := &fake.Authority{}
		c := offline(t, jit.Config{Authority: authority, GrantUses: uses}, nil)
		c.want200(t, "doc_1")
		for range 5 {
			c.want200(t, "doc_1")
		}
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if err := fetch(t.Context(), c, "doc_1"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := authority.Redeemed(); got != grants {
			t.Errorf("with %d uses each, 12 requests took %d grants, want %d", uses, got, grants)
		}
	}
}

// Acquire counts as a request.
func TestAcquireUses(t *testing.T) {
	authority := &fake.Authority{}
	c := offline(t, jit.Config{Authority: authority, GrantUses: 2}, nil)
	for range 5 {
		if _, err := jit.Acquire(c.task.Call(t.Context(), jit.Call{Tool: "db", Ceiling: []rar.Detail{read("doc_1")}}), read("doc_1")); err != nil {
			t.Fatal(err)
		}
	}
	if got := authority.Redeemed(); got != 3 {
		t.Errorf("5 uses took %d grants, want 3", got)
	}
}
