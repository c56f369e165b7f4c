package rar_test

import (
	"errors"
	"fmt"

	"github.com/jitagent/jitagent/rar"
)

func ExampleParse() {
	details, err := rar.Parse([]byte(`{"type":"file_access","actions":["read"],"identifier":"doc_9982"}`))
	fmt.Println(details, err)

	_, err = rar.Parse([]byte(`{"type":"file_access","actions":["read"],"Actions":["delete"]}`))
	fmt.Println(err)
	// Output:
	// [file_access read doc_9982] <nil>
	// rar: member "Actions" differs from "actions" in case only
}

// A server may demand what it likes. The ceiling says what the client is ready to
// ask for.
func ExampleWithin() {
	ceiling := rar.Detail{Type: "file_access", Actions: []string{"read", "list"}, Identifier: "doc_9982"}

	demanded := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_9982"}
	fmt.Println(rar.Within(demanded, ceiling))

	demanded.Actions = []string{"read", "delete"}
	err := rar.Within(demanded, ceiling)
	fmt.Println(err)
	if outside, ok := errors.AsType[*rar.OutsideError](err); ok {
		fmt.Println(outside.Member)
	}
	// Output:
	// <nil>
	// rar: outside the ceiling: actions: "delete" is not in the ceiling's list
	// actions
}

// A type whose members are ordered can say so. The rule must refuse what it does
// not know, so it leaves the rest to Within.
func ExampleRules() {
	rules := rar.Rules{"payment": func(asked, ceiling rar.Detail) error {
		var most, want int
		if _, err := fmt.Sscan(string(ceiling.Extra["max_cents"]), &most); err != nil {
			return errors.New("the ceiling has no amount")
		}
		if _, err := fmt.Sscan(string(asked.Extra["max_cents"]), &want); err != nil || want > most || want < 0 {
			return &rar.OutsideError{Member: "max_cents", Reason: fmt.Sprintf("more than %d", most)}
		}
		asked.Extra["max_cents"] = ceiling.Extra["max_cents"]
		return rar.Within(asked, ceiling)
	}}
	payment := func(cents string) rar.Checked {
		d, err := rar.ParseOne([]byte(`{"type":"payment","identifier":"inv_7","max_cents":` + cents + `}`))
		if err != nil {
			panic(err)
		}
		checked, err := d.Check()
		if err != nil {
			panic(err)
		}
		return checked
	}
	fmt.Println(rules.Within(payment("1200"), payment("5000")))
	fmt.Println(rules.Within(payment("9900"), payment("5000")))
	// Output:
	// <nil>
	// rar: outside the ceiling: max_cents: more than 5000
}

func ExampleDetail_Digest() {
	a, _ := rar.ParseOne([]byte(`{"type":"file_access","identifier":"doc_9982","max":1e1}`))
	b, _ := rar.ParseOne([]byte(`{ "max": 10.0, "identifier": "doc_\u0039982", "type": "file_access" }`))
	x, _ := a.Digest()
	y, _ := b.Digest()
	fmt.Println(x == y, rar.Equal(a, b))
	// Output: true true
}
