package policy_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/policy"
)

// What a judgement costs does not grow with the product of the words and the names: a
// result that calls one thing by ten thousand names, all of which a long message has
// within others, is read once.
func TestManyNamesInManyWords(t *testing.T) {
	var text strings.Builder
	var names []any
	for i := range 9_999 {
		name := fmt.Sprintf("the annual review of the numbers of region %d and what follows from it for all", i)
		fmt.Fprintf(&text, "Read %s now. ", name)
		names = append(names, m{"id": "doc_1", "title": name})
	}
	var c policy.Conversation
	c.Said(text.String())
	c.Returned(find, names)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	first := c.Judge("read", read, m{"id": "doc_1"})
	runtime.ReadMemStats(&after)
	if size := uint64(text.Len()); !first.Named() || after.TotalAlloc-before.TotalAlloc > 128*size { // the words are read for it as well
		t.Errorf("%v: %d bytes were made to judge one call on %d", first, after.TotalAlloc-before.TotalAlloc, size)
	}
	if n := testing.AllocsPerRun(1, func() { c.Judge("read", read, m{"id": "doc_2"}) }); n > 1000 {
		t.Errorf("the next call: %.0f allocations", n)
	}
	c.Said("And the budget.")
	c.Returned(find, []any{m{"id": "doc_2", "title": "budget"}})
	if v := c.Judge("change", change, m{"id": "doc_2"}); strings.Contains(v.String(), "did not say") {
		t.Errorf("what came later is not heard: %v", v)
	}
}
