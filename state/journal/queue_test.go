package journal_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/jitagent/jitagent/state/journal"
)

// A counter is a medium that counts transactions.
type counter struct {
	journal.Medium
	n int
}

func (*counter) Writable() error { return nil }

func (c *counter) Transact(_ bool, _ int, do func(*journal.Txn) error) error {
	c.n++
	return do(&journal.Txn{})
}

// TestThoseWhoComeTogetherShareATransaction, also where there is only one processor for
// them, on which the first would be done before the second has begun.
func TestThoseWhoComeTogetherShareATransaction(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var c counter
	w, err := journal.NewWriter(&c, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := w.Submit(t.Context(), false, 0, func(*journal.Txn) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if c.n > 5 {
		t.Errorf("50 changes at once made %d transactions", c.n)
	}
}
