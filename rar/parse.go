package rar

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jitagent/jitagent/internal/strictjson"
)

// Parse decodes one authorization details object, or an array of at least one,
// and returns the details in the order of the text. It holds the text to the
// limits of this package and to everything that [Detail.Check] asks, so each
// detail that it returns has a canonical form which Parse accepts again.
// Members of Extra come back in canonical form. It is for what peers say, who have
// other words for scopes: a detail of [ScopeType] is refused.
//
// Errors name the first fault. They quote member names, cut short and escaped,
// and never values.
func Parse(data []byte) ([]Detail, error) {
	details, err := parse(data)
	if err == nil && slices.ContainsFunc(details, Detail.IsScopes) {
		err = errors.New("the type " + ScopeType + " is no peer's to use")
	}
	if err != nil {
		return nil, fmt.Errorf("rar: %w", err)
	}
	return details, nil
}

// ParseOne is [Parse] for a text that must hold exactly one detail: an object, or
// an array with one object in it.
func ParseOne(data []byte) (Detail, error) {
	details, err := Parse(data)
	if err != nil {
		return Detail{}, err
	}
	if len(details) != 1 {
		return Detail{}, fmt.Errorf("rar: %d details where one is expected", len(details))
	}
	return details[0], nil
}

// UnmarshalJSON decodes one object by the rules of [Parse], but for [ScopeType], since
// it reads what was kept; an array or null is an error. On error d is left as it was.
func (d *Detail) UnmarshalJSON(data []byte) error {
	if !startsObject(data) {
		return errors.New("rar: not an object")
	}
	details, err := parse(data)
	if err != nil {
		return fmt.Errorf("rar: %w", err)
	}
	*d = details[0]
	return nil
}

func startsObject(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	return len(data) > 0 && data[0] == '{'
}

func parse(data []byte) ([]Detail, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%d bytes, over the limit of %d", len(data), MaxBytes)
	}
	var r reading
	err := json.Unmarshal(data, &r)
	switch {
	case r.err != nil:
		return nil, plainError(r.err)
	case r.details == nil:
		return nil, plainError(err) // there is no value
	case err != nil:
		return nil, errors.New("more text after the value")
	}
	return r.details, nil
}

// A reading takes part in [json.Unmarshal], which has decoders to lend.
type reading struct {
	details []Detail
	err     error // as it was before Unmarshal words it
}

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (r *reading) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	r.details, r.err = decodeDetails(dec)
	return r.err
}

// decodeDetails reads an object, or an array of them.
func decodeDetails(dec *jsontext.Decoder) (details []Detail, err error) {
	array := dec.PeekKind() == '['
	if array {
		_, _ = dec.ReadToken() // it is there
	}
	for dec.PeekKind() == '{' {
		if len(details) == MaxDetails {
			return nil, fmt.Errorf("more than %d details", MaxDetails)
		}
		d, err := decodeDetail(dec)
		if err != nil {
			return nil, err
		}
		if details = append(details, d); !array {
			return details, nil
		}
	}
	tok, err := dec.ReadToken() // tells bad syntax from a value of another kind
	switch {
	case err != nil:
		return nil, err
	case !array:
		return nil, errors.New("neither an object nor an array of objects")
	case tok.Kind() != ']':
		return nil, errors.New("an element of the array is not an object")
	case len(details) == 0:
		return nil, errors.New("an empty array")
	}
	return details, nil
}

// decodeDetail reads one object. It checks what only the text can show: types,
// duplicates, and null or an empty string where a Detail would read "left out".
// The rest is left to check, so that a text and a Detail built in Go meet the
// same rules.
func decodeDetail(dec *jsontext.Decoder) (Detail, error) {
	if _, err := dec.ReadToken(); err != nil { // '{'
		return Detail{}, err
	}
	var d Detail
	for members := 1; dec.PeekKind() != '}'; members++ {
		if members > MaxMembers {
			return Detail{}, fmt.Errorf("more than %d members", MaxMembers)
		}
		name, err := dec.ReadValue()
		if err != nil {
			return Detail{}, err
		}
		if err := decodeMember(dec, &d, memberName(name)); err != nil {
			return Detail{}, err
		}
	}
	if _, err := dec.ReadToken(); err != nil { // '}'
		return Detail{}, err
	}
	c, err := d.check()
	return c.detail, err
}

// memberName returns a name as it is known, or else as it is written.
func memberName(quoted jsontext.Value) string {
	for _, name := range known() {
		if string(quoted[1:len(quoted)-1]) == name {
			return name
		}
	}
	name, _ := jsontext.AppendUnquote(nil, quoted) // which was decoded
	return string(name)
}

func decodeMember(dec *jsontext.Decoder, d *Detail, name string) error {
	switch name {
	case memberType:
		return decodeString(dec, name, &d.Type)
	case memberIdentifier:
		return decodeString(dec, name, &d.Identifier)
	}
	if list := d.list(name); list != nil {
		return decodeList(dec, name, list)
	}
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	if d.Extra == nil {
		d.Extra = make(map[string]rawMessage)
	}
	d.Extra[name] = bytes.Clone(value)
	return nil
}

func decodeString(dec *jsontext.Decoder, name string, to *string) error {
	tok, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() != '"' {
		return fmt.Errorf("%s: not a string", name)
	}
	if *to = tok.String(); *to == "" {
		return fmt.Errorf("%s: an empty string", name)
	}
	return nil
}

func decodeList(dec *jsontext.Decoder, name string, to *[]string) error {
	tok, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() != '[' {
		return fmt.Errorf("%s: not an array", name)
	}
	*to = []string{} // empty, not left out: check refuses it
	for dec.PeekKind() != ']' {
		if len(*to) == MaxList {
			return fmt.Errorf("%s: more than %d elements", name, MaxList)
		}
		var s string
		if err := decodeString(dec, name, &s); err != nil {
			return err
		}
		*to = append(*to, s)
	}
	_, err = dec.ReadToken() // ']'
	return err
}

// plainError replaces an error of the JSON decoder, which may quote long parts of
// the text, by one that gives the place and kind of the fault.
func plainError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON text ends early")
	}
	if _, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return errors.New(strictjson.Describe(err))
	}
	return err
}
