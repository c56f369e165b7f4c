package rar

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// An OutsideError says why one detail does not lie within another.
type OutsideError struct {
	// Member is the name of the member that decided; empty when it was no single
	// one.
	Member string
	// Reason says what is wrong with it, for people. Text of the detail is quoted
	// and cut short in it.
	Reason string

	causes []error // errors of rules, or one per ceiling
}

// Error returns the member and the reason.
func (e *OutsideError) Error() string {
	if e.Member == "" {
		return "rar: outside the ceiling: " + e.Reason
	}
	return "rar: outside the ceiling: " + label(e.Member) + ": " + e.Reason
}

// Unwrap returns the errors that led to this one, if any: that of a [Rule], or
// one for each ceiling of the type.
func (e *OutsideError) Unwrap() []error { return e.causes }

// label returns a member's name for a message: as it is when it is a plain word.
func label(name string) string {
	if plain := word(name); len(plain) <= 64 {
		return plain
	}
	return strictjson.Quote(name)
}

// Within reports whether asked lies within ceiling: nil when it does, else an
// [*OutsideError].
//
//   - The types are equal, and so are the identifiers. An identifier on one side
//     only is outside.
//   - Each list of asked is a subset of the ceiling's. A list that only one side
//     has is outside: left out in asked it is wider, and left out in the ceiling
//     it was never thought of.
//   - Extra has the same members on both sides, with the same canonical JSON.
//   - An invalid detail, on either side, is outside.
//
// Whoever compares often checks first, and uses [Rules.Within].
//
// Strings compare byte by byte: there are no wildcards, no prefixes, and no two
// spellings of one URL.
func Within(asked, ceiling Detail) error {
	a, err := asked.check()
	if err != nil {
		return &OutsideError{Reason: "what is asked is not valid: " + err.Error()}
	}
	c, err := ceiling.check()
	if err != nil {
		return &OutsideError{Reason: "the ceiling is not valid: " + err.Error()}
	}
	return Rules(nil).Within(a, c)
}

// within is the default comparison, of details of one type.
func within(a, c Detail) error {
	if a.Identifier != c.Identifier {
		return &OutsideError{Member: memberIdentifier, Reason: identifierReason(a.Identifier, c.Identifier)}
	}
	for _, name := range known() {
		if list := a.list(name); list != nil {
			if reason := listReason(*list, *c.list(name)); reason != "" {
				return &OutsideError{Member: name, Reason: reason}
			}
		}
	}
	return extraWithin(a.Extra, c.Extra)
}

// Covers reports whether wide, read as RFC 9396 means it, includes all that narrow
// includes: what is left out is no limit, and a longer list is a wider one. It is for
// finding out what a refusal of narrow also refuses, and for bounds on what is allowed
// otherwise; never for allowing anything: see [Within].
func Covers(wide, narrow Checked) bool {
	w, n := wide.detail, narrow.detail
	if wide.text == "" || w.Type != n.Type || w.Identifier != "" && w.Identifier != n.Identifier {
		return false
	}
	for _, name := range known() {
		if list := w.list(name); list != nil && *list != nil {
			if have := *n.list(name); have == nil || listReason(have, *list) != "" {
				return false
			}
		}
	}
	for name, limit := range w.Extra {
		if !bytes.Equal(n.Extra[name], limit) {
			return false
		}
	}
	return true
}

func identifierReason(asked, ceiling string) string {
	switch {
	case asked == "":
		return "left out, which is wider than the ceiling's " + strictjson.Quote(ceiling)
	case ceiling == "":
		return strictjson.Quote(asked) + " where the ceiling has none"
	}
	return fmt.Sprintf("%s is not the ceiling's %s", strictjson.Quote(asked), strictjson.Quote(ceiling))
}

func listReason(asked, ceiling []string) string {
	switch {
	case asked == nil && ceiling == nil:
		return ""
	case asked == nil:
		return "left out, which is wider than the ceiling's list"
	case ceiling == nil:
		return "a list where the ceiling has none"
	}
	for _, s := range asked {
		if !slices.Contains(ceiling, s) {
			return strictjson.Quote(s) + " is not in the ceiling's list"
		}
	}
	return ""
}

func extraWithin(asked, ceiling map[string]rawMessage) error {
	if len(asked)+len(ceiling) == 0 {
		return nil // the usual case
	}
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		limit, ok := ceiling[name]
		switch {
		case !ok:
			return &OutsideError{Member: name, Reason: "the ceiling has no such member"}
		case !bytes.Equal(asked[name], limit):
			return &OutsideError{Member: name, Reason: "the value is not the ceiling's"}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ceiling)) {
		if _, ok := asked[name]; !ok {
			return &OutsideError{Member: name, Reason: "left out, which is wider than the ceiling's value"}
		}
	}
	return nil
}
