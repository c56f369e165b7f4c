package rar

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// rawMessage keeps the rest of the package free of encoding/json, whose lenient
// decoder is not used here.
type rawMessage = json.RawMessage

// The members that RFC 9396, section 2, names.
const (
	memberType       = "type"
	memberLocations  = "locations"
	memberActions    = "actions"
	memberDataTypes  = "datatypes"
	memberIdentifier = "identifier"
	memberPrivileges = "privileges"
)

// known lists those members in the order in which they are checked and shown.
func known() [6]string {
	return [...]string{
		memberType, memberActions, memberIdentifier, memberLocations, memberDataTypes, memberPrivileges,
	}
}

// list returns the list that the member name stands for, or nil.
func (d *Detail) list(name string) *[]string {
	switch name {
	case memberLocations:
		return &d.Locations
	case memberActions:
		return &d.Actions
	case memberDataTypes:
		return &d.DataTypes
	case memberPrivileges:
		return &d.Privileges
	}
	return nil
}

// Valid reports why d would not be accepted by [Parse], or nil. A list that is
// empty but not nil is an error, so that a filter which leaves nothing never
// reads as "left out", which is wider.
func (d Detail) Valid() error {
	_, _, err := d.checked()
	if err != nil {
		return fmt.Errorf("rar: %w", err)
	}
	return nil
}

// checked returns the canonical form of d, and d with each member of Extra in
// canonical form; or why d is not valid.
func (d Detail) checked() ([]byte, Detail, error) {
	if err := d.checkKnown(); err != nil {
		return nil, Detail{}, err
	}
	if err := d.checkNames(); err != nil {
		return nil, Detail{}, err
	}
	var extra map[string]rawMessage
	if len(d.Extra) > 0 {
		extra = make(map[string]rawMessage, len(d.Extra))
	}
	for _, name := range slices.Sorted(maps.Keys(d.Extra)) {
		value, err := canonicalExtra(d.Extra[name])
		if err != nil {
			return nil, Detail{}, fmt.Errorf("%s: %w", quote(name), plainError(err))
		}
		extra[name] = value
	}
	d.Extra = extra
	text, err := assemble(d)
	if err != nil {
		return nil, Detail{}, err
	}
	// Canonical numbers can be longer than those of the text: 1e20 has 21 digits.
	if len(text) > MaxBytes {
		return nil, Detail{}, fmt.Errorf("%d bytes in canonical form, over the limit of %d", len(text), MaxBytes)
	}
	return text, d, nil
}

func (d Detail) checkKnown() error {
	if d.Type == "" {
		return errors.New("type: missing")
	}
	if err := checkString(d.Type); err != nil {
		return fmt.Errorf("%s: %w", memberType, err)
	}
	if err := checkString(d.Identifier); err != nil {
		return fmt.Errorf("%s: %w", memberIdentifier, err)
	}
	for _, name := range known() {
		list := d.list(name)
		if list == nil || *list == nil {
			continue
		}
		switch n := len(*list); {
		case n == 0:
			return fmt.Errorf("%s: an empty list", name)
		case n > MaxList:
			return fmt.Errorf("%s: %d elements, over the limit of %d", name, n, MaxList)
		}
		for _, s := range *list {
			if s == "" {
				return fmt.Errorf("%s: an empty string", name)
			}
			if err := checkString(s); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// checkNames checks the names of the outermost members.
func (d Detail) checkNames() error {
	if n := d.members(); n > MaxMembers {
		return fmt.Errorf("%d members, over the limit of %d", n, MaxMembers)
	}
	if len(d.Extra) == 0 {
		return nil // the others have names of their own
	}
	names := newNameSet()
	for _, name := range known() {
		// Taken whether present or not: "Actions" alone is refused as well.
		_ = names.add(name)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Extra)) {
		if err := names.add(name); err != nil {
			return err
		}
	}
	return nil
}

// members counts the members of d's object.
func (d Detail) members() int {
	n := 1 + len(d.Extra)
	if d.Identifier != "" {
		n++
	}
	for _, name := range known() {
		if list := d.list(name); list != nil && *list != nil {
			n++
		}
	}
	return n
}

// A nameSet collects the member names of one object.
type nameSet map[string]string // folded name to name

func newNameSet() nameSet { return make(nameSet) }

// add refuses a name that is no plain text, or that differs from an earlier one
// in nothing but case: a lenient reader would take one for the other.
func (s nameSet) add(name string) error {
	if name == "" {
		return errors.New("an empty member name")
	}
	if err := checkString(name); err != nil {
		return fmt.Errorf("member name %s: %w", quote(name), err)
	}
	folded := fold(name)
	other, taken := s[folded]
	switch {
	case taken && other == name:
		return fmt.Errorf("duplicate member %s", quote(name))
	case taken:
		return fmt.Errorf("member %s differs from %s in case only", quote(name), quote(other))
	}
	s[folded] = name
	return nil
}

// checkString refuses text that is too long or that a person cannot see as it is.
func checkString(s string) error {
	if len(s) > MaxString {
		return fmt.Errorf("a string of %d bytes, over the limit of %d", len(s), MaxString)
	}
	if !utf8.ValidString(s) {
		return errors.New("invalid UTF-8")
	}
	for _, r := range s {
		if hidden(r) {
			return fmt.Errorf("control or invisible character %U", r)
		}
	}
	return nil
}

// hidden reports whether r shows as nothing, or changes how its neighbours show:
// controls (C0, DEL, C1), format characters (bidi controls, zero width joiners,
// tags), line and paragraph separators, fillers and variation selectors. With
// one of them two different identifiers can look the same to whoever decides.
func hidden(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// fold maps names that differ in case only to the same text. It applies simple
// case folding, as encoding/json does; full folding where that gives ASCII, as
// Python and PHP do; and takes the Turkic i for i, as Java does.
func fold(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch r {
		case '\u0131', '\u0130': // dotless i, I with dot above
			b.WriteString("I")
		case '\u00df', '\u1e9e': // sharp s
			b.WriteString("SS")
		case '\ufb00':
			b.WriteString("FF")
		case '\ufb01':
			b.WriteString("FI")
		case '\ufb02':
			b.WriteString("FL")
		case '\ufb03':
			b.WriteString("FFI")
		case '\ufb04':
			b.WriteString("FFL")
		case '\ufb05', '\ufb06': // long s with t, s with t
			b.WriteString("ST")
		default:
			b.WriteRune(smallestFold(r))
		}
	}
	return b.String()
}

// smallestFold returns the first of the characters that r folds to: the orbit of
// SimpleFold goes up until it wraps.
func smallestFold(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}

// quote returns s for an error message: escaped, and cut after 64 bytes.
func quote(s string) string {
	const most = 64
	if len(s) <= most {
		return strconv.QuoteToASCII(s)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.QuoteToASCII(s[:cut]) + "..."
}
