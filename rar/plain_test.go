package rar_test

import (
	"encoding/json"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/rar"
)

// TestPlainDetailsAreCanonicalToo compares the short way of writing a detail that
// has no members of its own with RFC 8785 as the JSON library does it.
func TestPlainDetailsAreCanonicalToo(t *testing.T) {
	text := rapid.OneOf(
		rapid.StringMatching(`[ -~]{1,12}`),
		rapid.StringMatching(`[a-zA-Z0-9"\\/<>&'é日😀€]{1,8}`),
	)
	list := rapid.OneOf(rapid.Just([]string(nil)), rapid.SliceOfN(text, 1, 3))
	valid := 0
	rapid.Check(t, func(t *rapid.T) {
		d := rar.Detail{
			Type: text.Draw(t, "type"), Locations: list.Draw(t, "locations"), Actions: list.Draw(t, "actions"),
			DataTypes: list.Draw(t, "datatypes"), Identifier: rapid.OneOf(rapid.Just(""), text).Draw(t, "identifier"),
			Privileges: list.Draw(t, "privileges"),
		}
		got, err := d.Canonical()
		if err != nil {
			return
		}
		valid++
		members := map[string]any{"type": d.Type}
		for name, values := range map[string][]string{
			"locations": d.Locations, "actions": d.Actions, "datatypes": d.DataTypes, "privileges": d.Privileges,
		} {
			if values != nil {
				members[name] = values
			}
		}
		if d.Identifier != "" {
			members["identifier"] = d.Identifier
		}
		raw, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		want := jsontext.Value(raw)
		if err := want.Canonicalize(); err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("Canonical() = %s, want %s", got, want)
		}
	})
	if valid < 20 {
		t.Errorf("only %d details were valid", valid)
	}
}
