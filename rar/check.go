package rar

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jitagent/jitagent/internal/strictjson"
	"golang.org/x/text/cases"
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

// check is [Detail.Check] for this package: its errors have no prefix.
func (d Detail) check() (Checked, error) {
	if err := d.checkKnown(); err != nil {
		return Checked{}, err
	}
	var extra map[string]rawMessage
	if len(d.Extra) > 0 {
		if err := d.checkNames(); err != nil { // the others have names of their own
			return Checked{}, err
		}
		extra = make(map[string]rawMessage, len(d.Extra))
		for _, name := range slices.Sorted(maps.Keys(d.Extra)) {
			value, err := canonicalExtra(d.Extra[name])
			if err != nil {
				return Checked{}, fmt.Errorf("%s: %w", strictjson.Quote(name), plainError(err))
			}
			extra[name] = value
		}
	}
	d.Extra = extra
	text, err := assemble(d)
	if err != nil {
		return Checked{}, err
	}
	// Canonical numbers can be longer than those of the text: 1e20 has 21 digits.
	if len(text) > MaxBytes {
		return Checked{}, fmt.Errorf("%d bytes in canonical form, over the limit of %d", len(text), MaxBytes)
	}
	return Checked{d, text}, nil
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
	if d.IsScopes() {
		return d.checkScopes()
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

// checkNames checks the names and number of the outermost members.
func (d Detail) checkNames() error {
	names := nameSet{}
	n := 1 + len(d.Extra)
	for _, name := range known() {
		// Taken whether present or not: "Actions" alone is refused as well.
		names[fold(name)] = name
		if list := d.list(name); list != nil && *list != nil || name == memberIdentifier && d.Identifier != "" {
			n++
		}
	}
	if n > MaxMembers {
		return fmt.Errorf("%d members, over the limit of %d", n, MaxMembers)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Extra)) {
		if err := names.add(name); err != nil {
			return err
		}
	}
	return nil
}

// A nameSet collects the member names of one object.
type nameSet map[string]string // folded name to name

// add refuses a name that is no plain text, or that differs from an earlier one
// in nothing but case: a lenient reader would take one for the other.
func (s nameSet) add(name string) error {
	if name == "" {
		return errors.New("an empty member name")
	}
	if err := checkString(name); err != nil {
		return fmt.Errorf("member name %s: %w", strictjson.Quote(name), err)
	}
	folded := fold(name)
	other, taken := s[folded]
	switch {
	case taken && other == name:
		return fmt.Errorf("duplicate member %s", strictjson.Quote(name))
	case taken:
		return fmt.Errorf("member %s differs from %s in case only", strictjson.Quote(name), strictjson.Quote(other))
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

// fold maps names that differ in case only to the same text, for whichever reader:
// full case folding, as Python and PHP do it, and with it the simple one of
// encoding/json; and the Turkic i counts as i, as in Java.
func fold(s string) string {
	s = strings.NewReplacer("\u0130", "i", "\u0131", "i").Replace(s)
	return cases.Fold().String(s)
}
