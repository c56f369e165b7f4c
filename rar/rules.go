package rar

import (
	"fmt"
	"strings"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// A Rule decides for one type whether asked lies within ceiling: nil when it
// does. It decides in place of [Within], so it must itself refuse each member
// that it does not know. It gets copies of two valid details of the same type,
// with Extra in canonical form, and may be called concurrently.
type Rule func(asked, ceiling Detail) error

// Rules holds the rules of the types that have one of their own, by type. A nil
// Rules is ready for use. Rules are safe for concurrent use while nobody changes
// the map.
type Rules map[string]Rule

// Within reports whether asked lies within ceiling by the rule of their type, or as
// the function [Within] says where the type has none. Whatever the rule, both
// details must be of one type. A rule that panics, or is nil, puts everything
// outside. The error is always an [*OutsideError]; it wraps that of the rule.
func (r Rules) Within(asked, ceiling Checked) error {
	a, c := asked.detail, ceiling.detail
	rule, own := r[a.Type]
	switch {
	case asked.text == "" || ceiling.text == "":
		return &OutsideError{Reason: "one of the two is not valid"}
	case a.Type != c.Type:
		return &OutsideError{
			Member: memberType,
			Reason: fmt.Sprintf("%s is not the ceiling's %s", strictjson.Quote(a.Type), strictjson.Quote(c.Type)),
		}
	case !own && asked.text == ceiling.text:
		return nil // the usual case
	case !own:
		return within(a, c)
	}
	if err := apply(rule, a.Clone(), c.Clone()); err != nil {
		return err
	}
	return nil
}

// apply runs a rule and turns whatever it does but return nil into an error.
func apply(rule Rule, asked, ceiling Detail) (outside *OutsideError) {
	defer func() {
		if v := recover(); v != nil {
			// The value may hold anything; only its type is told.
			outside = &OutsideError{Reason: fmt.Sprintf("the rule for the type panicked (%T)", v)}
		}
	}()
	err := rule(asked, ceiling)
	if err == nil {
		return nil
	}
	if o, ok := err.(*OutsideError); ok && o != nil { //nolint:errorlint // a wrapped one keeps its wrapping
		return o
	}
	return &OutsideError{Reason: err.Error(), causes: []error{err}}
}

// WithinAny returns the index of the first ceiling that asked lies within. When
// there is none it returns -1 and an [*OutsideError] that says why not, for each
// ceiling of its type in turn.
func (r Rules) WithinAny(asked Checked, ceilings []Checked) (index int, err error) {
	if len(ceilings) == 0 {
		return -1, &OutsideError{Reason: "there is no ceiling"}
	}
	var near []error // of those that could have held it
	for i, ceiling := range ceilings {
		err := r.Within(asked, ceiling)
		if err == nil {
			return i, nil
		}
		if len(ceilings) == 1 || asked.detail.Type == ceiling.detail.Type {
			near = append(near, err)
		}
	}
	switch len(near) {
	case 0:
		return -1, &OutsideError{Member: memberType, Reason: fmt.Sprintf("%s is that of none of %d ceilings", strictjson.Quote(asked.detail.Type), len(ceilings))}
	case 1:
		return -1, near[0]
	}
	return -1, &OutsideError{Reason: summary(near), causes: near}
}

// WithinAny is [Rules.WithinAny] for details that were not checked, by the default
// comparison.
func WithinAny(asked Detail, ceilings []Detail) (index int, err error) {
	a, err := asked.check()
	if err != nil {
		return -1, &OutsideError{Reason: "what is asked is not valid: " + err.Error()}
	}
	all, _ := CheckAll(ceilings) // nothing lies within an invalid one
	return Rules(nil).WithinAny(a, all)
}

// summary puts the reasons of several ceilings into one line, the first few in
// full.
func summary(causes []error) string {
	const most = 4
	var b strings.Builder
	fmt.Fprintf(&b, "in none of %d ceilings:", len(causes))
	for i, err := range causes {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(causes)-most)
			break
		}
		fmt.Fprintf(&b, " (%d) %s", i+1, strings.TrimPrefix(err.Error(), "rar: outside the ceiling: "))
	}
	return b.String()
}
