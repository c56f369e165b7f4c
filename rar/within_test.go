package rar_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/rar"
)

func extra(pairs ...string) map[string]json.RawMessage {
	m := make(map[string]json.RawMessage)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return m
}

// ceiling is what the tests below compare with: every member is limited.
func ceiling() rar.Detail {
	return rar.Detail{
		Type:       "file_access",
		Locations:  []string{"https://api.acme-corp.com", "https://eu.acme-corp.com"},
		Actions:    []string{"read", "list"},
		DataTypes:  []string{"text", "table"},
		Identifier: "doc_9982",
		Privileges: []string{"member"},
		Extra:      extra("max", "10", "filter", `{"owner":"me","tags":["a","b"]}`),
	}
}

// widenings change a detail that lies within ceiling so that it no longer does.
func widenings() map[string]struct {
	member string
	change func(*rar.Detail)
} {
	type d = *rar.Detail
	set := func(name, value string) func(d) { return func(x d) { x.Extra[name] = json.RawMessage(value) } }
	return map[string]struct {
		member string
		change func(*rar.Detail)
	}{
		"other type":                {"type", func(x d) { x.Type = "file_admin" }},
		"type in another case":      {"type", func(x d) { x.Type = "File_access" }},
		"no type":                   {"", func(x d) { x.Type = "" }},
		"other identifier":          {"identifier", func(x d) { x.Identifier = "doc_9983" }},
		"identifier left out":       {"identifier", func(x d) { x.Identifier = "" }},
		"identifier wildcard":       {"identifier", func(x d) { x.Identifier = "*" }},
		"identifier prefix":         {"identifier", func(x d) { x.Identifier = "doc_998" }},
		"identifier longer":         {"identifier", func(x d) { x.Identifier = "doc_9982/versions" }},
		"identifier in other case":  {"identifier", func(x d) { x.Identifier = "DOC_9982" }},
		"identifier look-alike":     {"identifier", func(x d) { x.Identifier = "d\u043ec_9982" }},
		"identifier with a space":   {"identifier", func(x d) { x.Identifier = "doc_9982 " }},
		"identifier, hidden":        {"", func(x d) { x.Identifier = "doc_9982\u200b" }},
		"extra action":              {"actions", func(x d) { x.Actions = append(x.Actions, "delete") }},
		"other action":              {"actions", func(x d) { x.Actions = []string{"delete"} }},
		"action wildcard":           {"actions", func(x d) { x.Actions = []string{"*"} }},
		"action in other case":      {"actions", func(x d) { x.Actions = []string{"READ"} }},
		"actions joined":            {"actions", func(x d) { x.Actions = []string{"read,list"} }},
		"actions left out":          {"actions", func(x d) { x.Actions = nil }},
		"actions empty":             {"", func(x d) { x.Actions = []string{} }},
		"extra location":            {"locations", func(x d) { x.Locations = append(x.Locations, "https://evil.test") }},
		"location path":             {"locations", func(x d) { x.Locations = []string{"https://api.acme-corp.com/admin"} }},
		"location slash":            {"locations", func(x d) { x.Locations = []string{"https://api.acme-corp.com/"} }},
		"location port":             {"locations", func(x d) { x.Locations = []string{"https://api.acme-corp.com:443"} }},
		"location scheme":           {"locations", func(x d) { x.Locations = []string{"http://api.acme-corp.com"} }},
		"location host case":        {"locations", func(x d) { x.Locations = []string{"https://API.acme-corp.com"} }},
		"locations left out":        {"locations", func(x d) { x.Locations = nil }},
		"extra data type":           {"datatypes", func(x d) { x.DataTypes = append(x.DataTypes, "image") }},
		"data types left out":       {"datatypes", func(x d) { x.DataTypes = nil }},
		"extra privilege":           {"privileges", func(x d) { x.Privileges = append(x.Privileges, "admin") }},
		"privileges left out":       {"privileges", func(x d) { x.Privileges = nil }},
		"unknown member":            {"recursive", set("recursive", "true")},
		"unknown member, null":      {"recursive", set("recursive", "null")},
		"member of a known name":    {"", set("actions", `["delete"]`)},
		"case variant":              {"", set("Actions", `["delete"]`)},
		"extra value higher":        {"max", set("max", "11")},
		"extra value lower":         {"max", set("max", "9")},
		"extra value a string":      {"max", set("max", `"10"`)},
		"extra value null":          {"max", set("max", "null")},
		"extra value in an array":   {"max", set("max", "[10]")},
		"extra value, lossy number": {"", set("max", "10.00000000000000000001")},
		"extra object, less":        {"filter", set("filter", `{"owner":"me"}`)},
		"extra object, reordered":   {"filter", set("filter", `{"owner":"me","tags":["b","a"]}`)},
		"extra left out":            {"max", func(x d) { delete(x.Extra, "max") }},
		"extra all left out":        {"filter", func(x d) { x.Extra = nil }},
	}
}

func TestWithinRefusesWidenings(t *testing.T) {
	if err := rar.Within(ceiling(), ceiling()); err != nil {
		t.Fatalf("the ceiling is not within itself: %v", err)
	}
	for name, w := range widenings() {
		t.Run(name, func(t *testing.T) {
			asked := ceiling()
			w.change(&asked)
			err := rar.Within(asked, ceiling())
			outside, ok := errors.AsType[*rar.OutsideError](err)
			if !ok {
				t.Fatalf("Within(%v) = %v, want an *OutsideError", asked, err)
			}
			if outside.Member != w.member || outside.Reason == "" {
				t.Errorf("Within(%v): member %q, reason %q, want member %q", asked, outside.Member, outside.Reason, w.member)
			}
			if !strings.HasPrefix(err.Error(), "rar: outside the ceiling: "+w.member) || strings.Count(err.Error(), "rar: ") != 1 {
				t.Errorf("Within(%v): error %q", asked, err)
			}
			// By the rules, too, with and without one for another type.
			for _, rules := range []rar.Rules{nil, {"other": func(rar.Detail, rar.Detail) error { return nil }}} {
				if err := rules.Within(check(asked), check(ceiling())); err == nil {
					t.Errorf("Rules.Within(%v) = nil", asked)
				}
				if i, err := rules.WithinAny(check(asked), []rar.Checked{check(ceiling()), check(ceiling())}); err == nil || i != -1 {
					t.Errorf("Rules.WithinAny(%v) = %d, %v", asked, i, err)
				}
			}
		})
	}
}

// What the ceiling does not speak of is outside, whatever it is.
func TestWithinRefusesWhatTheCeilingLacks(t *testing.T) {
	for name, asked := range map[string]rar.Detail{
		"identifier": {Type: "a", Identifier: "b"},
		"locations":  {Type: "a", Locations: []string{"b"}},
		"actions":    {Type: "a", Actions: []string{"b"}},
		"datatypes":  {Type: "a", DataTypes: []string{"b"}},
		"privileges": {Type: "a", Privileges: []string{"b"}},
		"max":        {Type: "a", Extra: extra("max", "1")},
	} {
		err := rar.Within(asked, rar.Detail{Type: "a"})
		if outside, ok := errors.AsType[*rar.OutsideError](err); !ok || outside.Member != name {
			t.Errorf("Within(%v, {a}) = %v, want outside for %s", asked, err, name)
		}
	}
}

// A ceiling that is not valid holds nothing, not even what it says.
func TestWithinRefusesInvalidCeilings(t *testing.T) {
	for name, c := range map[string]rar.Detail{
		"zero":          {},
		"empty actions": {Type: "a", Actions: []string{}},
		"empty action":  {Type: "a", Actions: []string{""}},
		"bad extra":     {Type: "a", Extra: extra("x", "{")},
		"case variant":  {Type: "a", Extra: extra("Actions", `["read"]`)},
	} {
		err := rar.Within(rar.Detail{Type: "a"}, c)
		if err == nil || !strings.Contains(err.Error(), "the ceiling is not valid") {
			t.Errorf("%s: Within({a}, %v) = %v", name, c, err)
		}
	}
}

func TestWithin(t *testing.T) {
	for name, tt := range map[string]struct{ asked, ceiling rar.Detail }{
		"itself":          {ceiling(), ceiling()},
		"type alone":      {rar.Detail{Type: "a"}, rar.Detail{Type: "a"}},
		"fewer actions":   {rar.Detail{Type: "a", Actions: []string{"b"}}, rar.Detail{Type: "a", Actions: []string{"c", "b"}}},
		"other order":     {rar.Detail{Type: "a", Actions: []string{"b", "c"}}, rar.Detail{Type: "a", Actions: []string{"c", "b"}}},
		"repeated":        {rar.Detail{Type: "a", Actions: []string{"b", "b"}}, rar.Detail{Type: "a", Actions: []string{"b"}}},
		"other spelling":  {extraX(`{"b":1e1,"a":"\u0041"}`), extraX(`{"a":"A","b":10}`)},
		"empty extra map": {rar.Detail{Type: "a", Extra: extra()}, rar.Detail{Type: "a"}},
	} {
		if err := rar.Within(tt.asked, tt.ceiling); err != nil {
			t.Errorf("%s: Within(%v, %v) = %v", name, tt.asked, tt.ceiling, err)
		}
	}
}

func TestOutsideErrorQuotesSafely(t *testing.T) {
	asked := rar.Detail{Type: "a", Identifier: strings.Repeat("é", 1000)}
	err := rar.Within(asked, rar.Detail{Type: "a", Identifier: "b"})
	if len(err.Error()) > 500 || strings.Contains(err.Error(), "é") {
		t.Errorf("Within: error %q, want it short and in ASCII", err)
	}
	name := rar.Detail{Type: "a", Extra: extra("actions: nothing wrong;", "1")}
	err = rar.Within(name, rar.Detail{Type: "a"})
	if want := `rar: outside the ceiling: "actions: nothing wrong;": the ceiling has no such member`; err.Error() != want {
		t.Errorf("Within: error %s, want %s", err, want)
	}
}

// check is the checked value of a detail, or none.
func check(d rar.Detail) rar.Checked {
	c, _ := d.Check()
	return c
}

func TestRules(t *testing.T) {
	cause := errors.New("over the budget")
	rules := rar.Rules{
		"refuses":   func(rar.Detail, rar.Detail) error { return cause },
		"wraps":     func(rar.Detail, rar.Detail) error { return fmt.Errorf("rule: %w", &rar.OutsideError{Member: "max"}) },
		"typed":     func(rar.Detail, rar.Detail) error { return &rar.OutsideError{Member: "max", Reason: "too much"} },
		"typed nil": func(rar.Detail, rar.Detail) error { var o *rar.OutsideError; return o },
		"panics":    func(rar.Detail, rar.Detail) error { panic("a token in it") },
		"nil panic": func(rar.Detail, rar.Detail) error { panic(nil) },
		"nil":       nil,
		"allows":    func(rar.Detail, rar.Detail) error { return nil },
		"scribbles": func(asked, ceiling rar.Detail) error {
			asked.Actions[0], ceiling.Actions[0] = "scribbled", "scribbled"
			asked.Extra["x"][0] = '9'
			return nil
		},
	}
	for typ, want := range map[string]string{
		"refuses":   "over the budget",
		"wraps":     "rule: rar: outside the ceiling: max: ",
		"typed":     "max: too much",
		"typed nil": "panicked",
		"panics":    "panicked",
		"nil panic": "panicked",
		"nil":       "panicked",
	} {
		d := rar.Detail{Type: typ}
		err := rules.Within(check(d), check(d))
		if _, ok := errors.AsType[*rar.OutsideError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: Within = %v, want an *OutsideError with %q", typ, err, want)
		} else if strings.Contains(err.Error(), "token") {
			t.Errorf("%s: Within: %q tells what was panicked with", typ, err)
		}
		if i, err := rules.WithinAny(check(d), []rar.Checked{check(d)}); i != -1 || err == nil {
			t.Errorf("%s: WithinAny = %d, %v", typ, i, err)
		}
	}
	if err := rules.Within(check(rar.Detail{Type: "refuses"}), check(rar.Detail{Type: "refuses"})); !errors.Is(err, cause) {
		t.Errorf("Within = %v, want the rule's error in it", err)
	}

	// A rule decides in place of the default, but not on other types or invalid details.
	wide := rar.Detail{Type: "allows", Actions: []string{"anything"}}
	if err := rules.Within(check(wide), check(rar.Detail{Type: "allows"})); err != nil {
		t.Errorf("Within = %v, want what the rule says", err)
	}
	for name, tt := range map[string][2]rar.Detail{
		"other type":      {wide, {Type: "other"}},
		"other type back": {{Type: "other"}, wide},
		"invalid asked":   {{Type: "allows", Actions: []string{}}, wide},
		"invalid ceiling": {wide, {Type: "allows", Actions: []string{}}},
	} {
		if err := rules.Within(check(tt[0]), check(tt[1])); err == nil {
			t.Errorf("%s: Within = nil although the rule must not be asked", name)
		}
	}

	// A rule works on copies, with Extra in canonical form.
	asked := rar.Detail{Type: "scribbles", Actions: []string{"read"}, Extra: extra("x", "1")}
	limit := rar.Detail{Type: "scribbles", Actions: []string{"read"}}
	if err := rules.Within(check(asked), check(limit)); err != nil {
		t.Fatal(err)
	}
	if asked.Actions[0] != "read" || limit.Actions[0] != "read" || string(asked.Extra["x"]) != "1" {
		t.Errorf("the rule changed its caller's details: %v, %v", asked, limit)
	}
}

func TestWithinAny(t *testing.T) {
	detail := func(identifier string) rar.Detail {
		return rar.Detail{Type: "a", Actions: []string{"read"}, Identifier: identifier}
	}
	for _, ceilings := range [][]rar.Detail{nil, {}} {
		i, err := rar.WithinAny(detail("x"), ceilings)
		if _, ok := errors.AsType[*rar.OutsideError](err); !ok || i != -1 || !strings.Contains(err.Error(), "no ceiling") {
			t.Errorf("WithinAny without ceilings = %d, %v", i, err)
		}
	}
	if i, err := rar.WithinAny(rar.Detail{}, []rar.Detail{{}}); i != -1 || err == nil {
		t.Errorf("WithinAny of the zero detail = %d, %v", i, err)
	}

	// Two ceilings together do not hold what neither holds.
	both := rar.Detail{Type: "a", Actions: []string{"read", "write"}}
	halves := []rar.Detail{{Type: "a", Actions: []string{"read"}}, {Type: "a", Actions: []string{"write"}}}
	i, err := rar.WithinAny(both, halves)
	if want := `rar: outside the ceiling: in none of 2 ceilings: ` +
		`(1) actions: "write" is not in the ceiling's list (2) actions: "read" is not in the ceiling's list`; i != -1 || err.Error() != want {
		t.Errorf("WithinAny = %d, %v\nwant -1, %s", i, err, want)
	}
	if n := len(err.(interface{ Unwrap() []error }).Unwrap()); n != 2 { //nolint:errorlint // its own method is meant
		t.Errorf("WithinAny: error wraps %d, want 2", n)
	}

	many := make([]rar.Detail, 9)
	for i := range many {
		many[i] = detail(fmt.Sprint(i))
	}
	if i, err := rar.WithinAny(detail("x"), many); i != -1 || !strings.HasSuffix(err.Error(), " and 5 more") {
		t.Errorf("WithinAny = %d, %v", i, err)
	}
	if i, err := rar.WithinAny(detail("5"), many); i != 5 || err != nil {
		t.Errorf("WithinAny = %d, %v, want 5", i, err)
	}
	// One invalid ceiling does not hide a valid one, and the first that holds counts.
	if i, err := rar.WithinAny(detail("5"), []rar.Detail{{}, detail("4"), detail("5"), detail("5")}); i != 2 || err != nil {
		t.Errorf("WithinAny = %d, %v, want 2", i, err)
	}
	// Of ceilings of other types there is nothing to say.
	for want, ceilings := range map[string][]rar.Detail{
		`type: "a" is that of none of 2 ceilings`:  {{Type: "b"}, {Type: "c"}},
		`identifier: "x" is not the ceiling's "y"`: {{Type: "b"}, detail("y"), {Type: "c"}},
	} {
		if i, err := rar.WithinAny(detail("x"), ceilings); i != -1 || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("WithinAny = %d, %v, want %s", i, err, want)
		}
	}
	single := rar.Within(detail("x"), detail("y"))
	if _, err := rar.WithinAny(detail("x"), []rar.Detail{detail("y")}); !cmp.Equal(err.Error(), single.Error()) {
		t.Errorf("WithinAny with one ceiling = %v, want %v", err, single)
	}
}
