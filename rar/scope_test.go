package rar_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/rar"
)

func TestScopes(t *testing.T) {
	d := rar.Scopes("files:write", "files:read", "files:read")
	text, err := d.Canonical()
	if err != nil || string(text) != `{"actions":["files:read","files:write"],"type":"oauth_scope"}` {
		t.Errorf("Canonical() = %s, %v", text, err)
	}
	if one, none := d.String(), rar.Scopes().String(); one != "scopes files:read,files:write" || none != "scopes (a login)" {
		t.Errorf("String() = %q, and of none %q", one, none)
	}
	var back rar.Detail
	if err := json.Unmarshal(text, &back); err != nil || !rar.Equal(back, d) {
		t.Errorf("what was kept is read as %v, %v", back, err)
	}
	for _, said := range []string{string(text), "[" + string(text) + "]", `[{"type":"a"},` + string(text) + "]", `{"\u0074ype":"oauth\u005fscope","actions":["a"]}`} {
		if got, err := rar.Parse([]byte(said)); err == nil {
			t.Errorf("Parse(%s) = %v: a peer has made scopes of details", said, got)
		}
	}
}

// A type is not taken for scopes.
func TestATypeNamedScopes(t *testing.T) {
	if text := (rar.Detail{Type: "scopes", Actions: []string{"a"}}).String(); text != `"scopes" a` {
		t.Errorf("String() = %s", text)
	}
}

func TestScopesWithin(t *testing.T) {
	for name, tt := range map[string]struct {
		asked, ceiling rar.Detail
		within         bool
	}{
		"the same":          {rar.Scopes("a", "b"), rar.Scopes("b", "a"), true},
		"one of them":       {rar.Scopes("b"), rar.Scopes("a", "b"), true},
		"one more":          {rar.Scopes("a", "b", "c"), rar.Scopes("a", "b"), false},
		"another case":      {rar.Scopes("A"), rar.Scopes("a"), false},
		"a longer one":      {rar.Scopes("files:read:all"), rar.Scopes("files:read"), false},
		"a shorter one":     {rar.Scopes("files"), rar.Scopes("files:read"), false},
		"no wildcard":       {rar.Scopes("files:read"), rar.Scopes("files:*"), false},
		"a detail":          {rar.Detail{Type: "a", Actions: []string{"a"}}, rar.Scopes("a"), false},
		"none":              {rar.Scopes(), rar.Scopes("a"), false},
		"none in neither":   {rar.Scopes(), rar.Scopes(), true},
		"some in none":      {rar.Scopes("a"), rar.Scopes(), false},
		"two in one":        {rar.Scopes("a b"), rar.Scopes("a b"), false},
		"empty":             {rar.Scopes(""), rar.Scopes(""), false},
		"quoted":            {rar.Scopes(`a"`), rar.Scopes(`a"`), false},
		"not ASCII":         {rar.Scopes("ä"), rar.Scopes("ä"), false},
		"a member beside":   {with(rar.Scopes("a"), func(d *rar.Detail) { d.Identifier = "x" }), with(rar.Scopes("a"), func(d *rar.Detail) { d.Identifier = "x" }), false},
		"privileges beside": {with(rar.Scopes("a"), func(d *rar.Detail) { d.Privileges = []string{"x"} }), with(rar.Scopes("a"), func(d *rar.Detail) { d.Privileges = []string{"x"} }), false},
		"datatypes beside":  {with(rar.Scopes("a"), func(d *rar.Detail) { d.DataTypes = []string{"x"} }), with(rar.Scopes("a"), func(d *rar.Detail) { d.DataTypes = []string{"x"} }), false},
		"locations beside":  {with(rar.Scopes("a"), func(d *rar.Detail) { d.Locations = []string{"x"} }), rar.Scopes("a"), false},
		"extra beside":      {with(rar.Scopes("a"), func(d *rar.Detail) { d.Extra = extra("x", "1") }), rar.Scopes("a"), false},
		"too many":          {rar.Scopes(strings.Split("a"+strings.Repeat(",", rar.MaxList), ",")...), rar.Scopes("a"), false},
	} {
		if err := rar.Within(tt.asked, tt.ceiling); (err == nil) != tt.within {
			t.Errorf("%s: Within(%v, %v) = %v", name, tt.asked, tt.ceiling, err)
		}
	}
}

func with(d rar.Detail, change func(*rar.Detail)) rar.Detail {
	change(&d)
	return d
}
