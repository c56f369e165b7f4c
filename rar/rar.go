// Package rar holds RFC 9396 authorization details: it decodes them strictly,
// writes them in canonical form (RFC 8785), and decides whether one lies within
// another.
//
// Invariants:
//
//   - Decoding reads a text in one way only. Duplicate members, members that
//     differ in case only ("Actions"), numbers that a float64 does not keep, and
//     anything over the limits are errors at any depth, never repaired. So are
//     null, empty lists, empty strings and invisible characters in the members
//     that RFC 9396 names.
//   - [Within] fails closed. Whatever it does not know is outside.
//
// The package does no I/O and knows no authorization server.
package rar

import (
	"encoding/json"
	"slices"
)

// Limits of what [Parse] accepts. They are far above any detail that a person
// could review.
const (
	MaxBytes   = 64 << 10 // of the whole text
	MaxDepth   = 16       // nested arrays and objects, the outer array included
	MaxDetails = 16       // objects in one array
	MaxMembers = 32       // members of one object, at any level
	MaxList    = 64       // elements of one array inside a detail
	MaxString  = 2048     // bytes of one string or member name
)

// A Detail is one authorization details object (RFC 9396, section 2). The zero
// Detail has no type and is valid nowhere. A Detail is read only by convention:
// copy it with [Detail.Clone] before changing a list. Detail values are safe for
// concurrent reads.
type Detail struct {
	// Type says which kind of authority this is, and with it what the other
	// members mean. Required.
	Type string

	// The common members of RFC 9396, section 2.2. A nil list is one that is
	// left out; an empty Identifier likewise.
	Locations  []string
	Actions    []string
	DataTypes  []string
	Identifier string
	Privileges []string

	// Extra holds members that the RFC does not name, by name, as JSON text.
	// nil when there are none.
	Extra map[string]json.RawMessage
}

// Clone returns a copy that shares nothing with d.
func (d Detail) Clone() Detail {
	d.Locations = slices.Clone(d.Locations)
	d.Actions = slices.Clone(d.Actions)
	d.DataTypes = slices.Clone(d.DataTypes)
	d.Privileges = slices.Clone(d.Privileges)
	if d.Extra != nil {
		extra := make(map[string]json.RawMessage, len(d.Extra))
		for name, value := range d.Extra {
			extra[name] = slices.Clone(value)
		}
		d.Extra = extra
	}
	return d
}
