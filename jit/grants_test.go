package jit

import (
	"fmt"
	"testing"
	"time"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// granted returns a grant for reading id that lives for a minute from start.
func granted(t *testing.T, id string, start time.Time) *Grant {
	t.Helper()
	d, err := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: id}.Check()
	if err != nil {
		t.Fatal(err)
	}
	return newGrant(Issued{Token: secret.New("token of " + id)}, d, keyOf(Origin{}, d), start, time.Minute)
}

// A task that goes on for days must not keep a token of each document that it ever
// read.
func TestExpiredGrantsAreForgotten(t *testing.T) {
	set, start := newGrants(&Engine{}), time.Now()
	for i := range 10_000 {
		now := start.Add(time.Duration(i) * time.Second)
		g := granted(t, fmt.Sprint("doc_", i), now)
		set.add(g, now)
		if len(set.asked) > 2*minSweep+1 || len(set.places) > len(set.asked) {
			t.Fatalf("after %d grants, of which 60 live at most, %d are kept at %d places", i+1, len(set.asked), len(set.places))
		}
		if set.asked[g.key] != g || len(set.places[set.placeOf(Origin{}, g.Detail)]) != 1 {
			t.Fatalf("the newest grant is not there")
		}
	}
}

func TestGrantForTheSameDemandReplacesTheOther(t *testing.T) {
	set, now := newGrants(&Engine{}), time.Now()
	old, renewed := granted(t, "doc_1", now), granted(t, "doc_1", now.Add(time.Second))
	set.add(old, now)
	set.add(renewed, now)
	if got := set.asked[old.key]; got != renewed || len(set.places[set.placeOf(Origin{}, old.Detail)]) != 1 {
		t.Errorf("%d grants are kept, want the newer one only", len(set.places))
	}
	set.drop(old)
	if set.asked[old.key] != renewed {
		t.Error("dropping the old grant took the new one with it")
	}
	set.drop(renewed)
	if set.asked[old.key] != nil || len(set.places) != 0 {
		t.Error("a grant that was dropped is still there")
	}
	if set.close(); set.add(renewed, now) || set.asked[renewed.key] != nil {
		t.Error("a grant was added after the end")
	}
}
