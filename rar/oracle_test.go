package rar_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/rar"
)

// atoms is the independent oracle: it expands a detail into the single
// permissions that it stands for, one per combination of location, action, data
// type and privilege. A list that is left out stands for the marker "any", which
// no ceiling with a list holds, and the reverse. One detail lies within another
// exactly when its atoms are a subset. Nothing of this knows how Within compares.
func atoms(d rar.Detail) map[string]bool {
	text, err := json.Marshal(map[string]any{"d": d})
	if err != nil {
		return nil
	}
	var tree struct{ D map[string]any }
	if err := json.Unmarshal(text, &tree); err != nil {
		panic(err)
	}
	object := tree.D
	dimension := func(name string) []string {
		list, ok := object[name].([]any)
		delete(object, name)
		if !ok {
			return []string{"any"}
		}
		var out []string
		for _, element := range list {
			out = append(out, fmt.Sprintf("only %q", element))
		}
		return out
	}
	actions, locations := dimension("actions"), dimension("locations")
	dataTypes, privileges := dimension("datatypes"), dimension("privileges")
	// Type, identifier and whatever else is left are one fixed condition, written
	// by encoding/json with sorted keys.
	rest, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	set := make(map[string]bool)
	for _, a := range actions {
		for _, l := range locations {
			for _, dt := range dataTypes {
				for _, p := range privileges {
					set[fmt.Sprint(a, "|", l, "|", dt, "|", p, "|", string(rest))] = true
				}
			}
		}
	}
	return set
}

func oracle(asked, ceiling rar.Detail) bool {
	a, c := atoms(asked), atoms(ceiling)
	if len(a) == 0 || len(c) == 0 {
		return false
	}
	for atom := range a {
		if !c[atom] {
			return false
		}
	}
	return true
}

// anyDetail draws from few values, so that pairs are often within each other.
func anyDetail() *rapid.Generator[rar.Detail] {
	list := func(values ...string) *rapid.Generator[[]string] {
		return rapid.OneOf(
			rapid.Just([]string(nil)),
			rapid.SliceOfN(rapid.SampledFrom(values), 1, 4),
		)
	}
	return rapid.Custom(func(t *rapid.T) rar.Detail {
		d := rar.Detail{
			Type:       rapid.SampledFrom([]string{"a", "a", "a", "b"}).Draw(t, "type"),
			Identifier: rapid.SampledFrom([]string{"", "x", "x", "y"}).Draw(t, "identifier"),
			Actions:    list("read", "list", "delete").Draw(t, "actions"),
			Locations:  list("https://a.test", "https://a.test/").Draw(t, "locations"),
			DataTypes:  list("text", "Text").Draw(t, "datatypes"),
			Privileges: list("member").Draw(t, "privileges"),
		}
		values := rapid.SampledFrom([]string{"1", "1.0", "2", `"1"`, "null", `{"a":1,"b":2}`, ` {"b":2,"a":1e0}`, "[1,2]", "[2,1]"})
		for _, name := range []string{"max", "filter"} {
			if rapid.IntRange(0, 2).Draw(t, name+"?") == 0 {
				if d.Extra == nil {
					d.Extra = make(map[string]json.RawMessage)
				}
				d.Extra[name] = json.RawMessage(values.Draw(t, name))
			}
		}
		return d
	})
}

// narrowed draws a detail that lies within d: lists lose or repeat elements and
// change order.
func narrowed(t *rapid.T, d rar.Detail) rar.Detail {
	d = d.Clone()
	for name, list := range map[string]*[]string{"a": &d.Actions, "l": &d.Locations, "d": &d.DataTypes, "p": &d.Privileges} {
		if *list != nil {
			*list = rapid.SliceOfN(rapid.SampledFrom(*list), 1, 5).Draw(t, name)
		}
	}
	return d
}

func TestWithinAgreesWithOracle(t *testing.T) {
	held := 0
	rapid.Check(t, func(t *rapid.T) {
		ceiling := anyDetail().Draw(t, "ceiling")
		asked := anyDetail().Draw(t, "asked")
		if rapid.Bool().Draw(t, "near") {
			asked = narrowed(t, ceiling)
			if rapid.Bool().Draw(t, "swap one member") {
				other := anyDetail().Draw(t, "other")
				switch rapid.IntRange(0, 5).Draw(t, "member") {
				case 0:
					asked.Actions = other.Actions
				case 1:
					asked.Locations = other.Locations
				case 2:
					asked.DataTypes = other.DataTypes
				case 3:
					asked.Privileges = other.Privileges
				case 4:
					asked.Identifier = other.Identifier
				case 5:
					asked.Extra = other.Extra
				}
			}
		}
		want := oracle(asked, ceiling)
		if err := rar.Within(asked, ceiling); (err == nil) != want {
			t.Fatalf("Within(%v, %v) = %v, the oracle says %v", asked, ceiling, err, want)
		}
		if want {
			held++
		}
	})
	if held == 0 {
		t.Error("no pair lay within: the test shows nothing")
	}
}

// Whatever lies within stays there until it is widened, and then never does.
func TestPlantedWidenings(t *testing.T) {
	planted := widenings()
	names := slices.Sorted(maps.Keys(planted))
	rapid.Check(t, func(t *rapid.T) {
		limit := ceiling()
		asked := narrowed(t, limit)
		if err := rar.Within(asked, limit); err != nil || !oracle(asked, limit) {
			t.Fatalf("Within(%v) = %v, oracle %v, want within", asked, err, oracle(asked, limit))
		}
		for range 6 { // each of them is tried once by TestWithinRefusesWidenings
			name := rapid.SampledFrom(names).Draw(t, "widening")
			wide := asked.Clone()
			planted[name].change(&wide)
			if err := rar.Within(wide, limit); err == nil {
				t.Errorf("%s: Within(%v) = nil", name, wide)
			}
			if oracle(wide, limit) {
				t.Errorf("%s: the oracle misses %v", name, wide)
			}
		}
	})
}

// Within is an order: it holds for itself and carries over.
func TestWithinIsAnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anyDetail().Draw(t, "a")
		if err := rar.Within(a, a); err != nil {
			t.Fatalf("Within(%v, itself) = %v", a, err)
		}
		b := narrowed(t, a)
		c := narrowed(t, b)
		if err := rar.Within(c, a); err != nil {
			t.Fatalf("%v within %v within %v, but Within = %v", c, b, a, err)
		}
	})
}
