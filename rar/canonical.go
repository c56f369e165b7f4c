package rar

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"unicode/utf16"

	"github.com/go-json-experiment/json/jsontext"
)

// A Checked is a detail that was found valid, with its canonical form. Comparisons
// take Checked values, so that a detail is looked at once, however often it is
// compared. The zero Checked is the zero Detail, which is valid nowhere and lies
// within nothing. A Checked shares the lists of the detail that it was made of,
// which must not change any more. It is safe for concurrent use.
type Checked struct {
	detail Detail // with Extra in canonical form
	text   string
}

// Check returns d as a checked value, or why [Parse] would not accept it. A list
// that is empty but not nil is an error, so that a filter which leaves nothing never
// reads as "left out", which is wider.
func (d Detail) Check() (Checked, error) {
	c, err := d.check()
	if err != nil {
		return Checked{}, fmt.Errorf("rar: %w", err)
	}
	return c, nil
}

// CheckAll checks each detail, in order. One that is not valid is the zero Checked,
// and the error is that of the first such.
func CheckAll(details []Detail) (all []Checked, err error) {
	all = make([]Checked, len(details))
	for i, d := range details {
		c, fault := d.Check()
		if all[i] = c; err == nil {
			err = fault
		}
	}
	return all, err
}

// Detail returns the detail, with Extra in canonical form.
func (c Checked) Detail() Detail { return c.detail }

// Canonical returns the canonical form, see [Detail.Canonical].
func (c Checked) Canonical() string { return c.text }

// Digest returns the SHA-256 of the canonical form in base64url without padding.
// Two details have the same digest exactly when they are [Equal].
func (c Checked) Digest() string {
	sum := sha256.Sum256([]byte(c.text))
	return string(base64.RawURLEncoding.AppendEncode(make([]byte, 0, 43), sum[:])) // which are as many
}

// Canonical returns d as one JSON object in canonical form (RFC 8785): members
// sorted, no white space, one spelling for each string and number. Lists keep
// their order. It fails where [Detail.Check] does.
func (d Detail) Canonical() ([]byte, error) {
	c, err := d.Check()
	if err != nil {
		return nil, err
	}
	return []byte(c.text), nil
}

// Digest is [Checked.Digest]. It fails where [Detail.Check] does.
func (d Detail) Digest() (string, error) {
	c, err := d.Check()
	if err != nil {
		return "", err
	}
	return c.Digest(), nil
}

// MarshalJSON returns the canonical form. It fails where [Detail.Check] does:
// what a peer would have to refuse is not sent.
func (d Detail) MarshalJSON() ([]byte, error) { return d.Canonical() }

// Equal reports whether a and b are both valid and have the same canonical form.
// Lists that hold the same elements in another order are not equal; each lies
// [Within] the other.
func Equal(a, b Detail) bool {
	x, err := a.check()
	if err != nil {
		return false
	}
	y, err := b.check()
	return err == nil && x.text == y.text
}

// assemble writes the canonical form of a detail whose members are in theirs.
func assemble(d Detail) (string, error) {
	// The members that are there, the known ones in canonical order.
	names := make([]string, 0, 8)
	for _, name := range [...]string{memberActions, memberDataTypes, memberIdentifier, memberLocations, memberPrivileges, memberType} {
		list := d.list(name)
		if name == memberType || name == memberIdentifier && d.Identifier != "" || list != nil && *list != nil {
			names = append(names, name)
		}
	}
	if len(d.Extra) > 0 {
		for name := range d.Extra {
			names = append(names, name)
		}
		slices.SortFunc(names, func(a, b string) int { // RFC 8785, section 3.2.3
			return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
		})
	}
	text := append(make([]byte, 0, 128), '{')
	var err error
	write := func(s string) {
		if err == nil {
			text, err = jsontext.AppendQuote(text, s)
		}
	}
	for i, name := range names {
		if i > 0 {
			text = append(text, ',')
		}
		write(name)
		text = append(text, ':')
		switch list := d.list(name); {
		case name == memberType:
			write(d.Type)
		case name == memberIdentifier:
			write(d.Identifier)
		case list != nil:
			for j, s := range *list {
				text = append(text, "[,"[min(j, 1)])
				write(s)
			}
			text = append(text, ']')
		default:
			text = append(text, d.Extra[name]...)
		}
	}
	if err != nil {
		return "", plainError(err)
	}
	return string(append(text, '}')), nil
}
