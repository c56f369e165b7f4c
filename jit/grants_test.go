package jit

import (
	"fmt"
	"testing"
	"time"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// granted returns a grant for reading id that lives for a minute from start.
func granted(t *testing.T, id string, start time.Time) (*Engine, place, *Grant) {
	t.Helper()
	d := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: id}
	key, err := keyOf(Origin{}, d)
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{}
	return e, e.placeOf(Origin{}, d), newGrant(Issued{Token: secret.New("token of " + id)}, d, key, start, time.Minute)
}

// A task that goes on for days must not keep a token of each document that it ever
// read.
func TestExpiredGrantsAreForgotten(t *testing.T) {
	var set grantSet
	start := time.Now()
	for i := range 10_000 {
		now := start.Add(time.Duration(i) * time.Second)
		_, p, g := granted(t, fmt.Sprint("doc_", i), now)
		set.add(p, g, now)
		if len(set.asked) > 2*minSweep+1 || len(set.places) > len(set.asked) {
			t.Fatalf("after %d grants, of which 60 live at most, %d are kept at %d places", i+1, len(set.asked), len(set.places))
		}
		if !set.holds(g) || len(set.places[p]) != 1 {
			t.Fatalf("the newest grant is not there")
		}
	}
}

func TestGrantForTheSameDemandReplacesTheOther(t *testing.T) {
	var set grantSet
	now := time.Now()
	_, p, old := granted(t, "doc_1", now)
	_, _, renewed := granted(t, "doc_1", now.Add(time.Second))
	set.add(p, old, now)
	set.add(p, renewed, now)
	if set.holds(old) || !set.holds(renewed) || len(set.places[p]) != 1 {
		t.Errorf("%d grants are kept, want the newer one only", len(set.places[p]))
	}
	set.remove(p, old)
	if !set.holds(renewed) {
		t.Error("dropping the old grant took the new one with it")
	}
	set.remove(p, renewed)
	if set.holds(renewed) || len(set.places) != 0 {
		t.Error("a grant that was dropped is still there")
	}
}
