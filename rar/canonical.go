package rar

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// Canonical returns d as one JSON object in canonical form (RFC 8785): members
// sorted, no white space, one spelling for each string and number. Lists keep
// their order. It fails where [Detail.Valid] does.
func (d Detail) Canonical() ([]byte, error) {
	text, _, err := d.checked()
	if err != nil {
		return nil, fmt.Errorf("rar: %w", err)
	}
	return text, nil
}

// Digest returns the SHA-256 of the canonical form in base64url without padding.
// Two valid details have the same digest exactly when they are [Equal].
func (d Detail) Digest() (string, error) {
	text, err := d.Canonical()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// MarshalJSON returns the canonical form. It fails where [Detail.Valid] does:
// what a peer would have to refuse is not sent.
func (d Detail) MarshalJSON() ([]byte, error) { return d.Canonical() }

// Equal reports whether a and b are both valid and have the same canonical form.
// Lists that hold the same elements in another order are not equal; each lies
// [Within] the other.
func Equal(a, b Detail) bool {
	x, _, err := a.checked()
	if err != nil {
		return false
	}
	y, _, err := b.checked()
	return err == nil && bytes.Equal(x, y)
}

// assemble writes a checked detail.
func assemble(d Detail) ([]byte, error) {
	if len(d.Extra) == 0 {
		return assemblePlain(d)
	}
	var buf bytes.Buffer
	enc := jsontext.NewEncoder(&buf)
	w := writer{enc: enc}
	w.token(jsontext.BeginObject)
	w.member(memberType, d.Type)
	if d.Identifier != "" {
		w.member(memberIdentifier, d.Identifier)
	}
	for _, name := range known() {
		list := d.list(name)
		if list == nil || *list == nil {
			continue
		}
		w.token(jsontext.String(name))
		w.token(jsontext.BeginArray)
		for _, s := range *list {
			w.token(jsontext.String(s))
		}
		w.token(jsontext.EndArray)
	}
	for name, value := range d.Extra { // in any order: Canonicalize sorts
		w.token(jsontext.String(name))
		w.value(jsontext.Value(value))
	}
	w.token(jsontext.EndObject)
	if w.err != nil {
		return nil, plainError(w.err)
	}
	text := jsontext.Value(bytes.TrimSpace(buf.Bytes()))
	if err := text.Canonicalize(); err != nil {
		return nil, plainError(err)
	}
	return text, nil
}

// assemblePlain is assemble for a detail without Extra, which nearly every one is:
// its members are written in canonical order, so there is nothing to sort.
func assemblePlain(d Detail) ([]byte, error) {
	text := append(make([]byte, 0, 128), '{')
	var err error
	quote := func(s string) {
		if err == nil {
			text, err = jsontext.AppendQuote(text, s)
		}
	}
	member := func(name string) {
		if len(text) > 1 {
			text = append(text, ',')
		}
		quote(name)
		text = append(text, ':')
	}
	one := func(name, value string) {
		if value != "" {
			member(name)
			quote(value)
		}
	}
	list := func(name string, values []string) {
		if values == nil {
			return
		}
		member(name)
		text = append(text, '[')
		for i, v := range values {
			if i > 0 {
				text = append(text, ',')
			}
			quote(v)
		}
		text = append(text, ']')
	}
	list(memberActions, d.Actions)
	list(memberDataTypes, d.DataTypes)
	one(memberIdentifier, d.Identifier)
	list(memberLocations, d.Locations)
	list(memberPrivileges, d.Privileges)
	one(memberType, d.Type)
	if err != nil {
		return nil, plainError(err)
	}
	return append(text, '}'), nil
}

// A writer keeps the first error, so that assemble reads as what it writes.
type writer struct {
	enc *jsontext.Encoder
	err error
}

func (w *writer) token(t jsontext.Token) {
	if w.err == nil {
		w.err = w.enc.WriteToken(t)
	}
}

func (w *writer) value(v jsontext.Value) {
	if w.err == nil {
		w.err = w.enc.WriteValue(v)
	}
}

func (w *writer) member(name, value string) {
	w.token(jsontext.String(name))
	w.token(jsontext.String(value))
}
