// Package strictjson decodes JSON from peers that are not trusted.
//
// encoding/json matches member names in any case and lets the last duplicate
// win, so two readers of one text may see two different things. Here names match
// exactly, duplicates are errors at any depth, text must be valid UTF-8, nothing
// may follow the value, and size and depth are bounded. Client and server decode
// through this one package, so both read a text alike.
//
// Members that the Go type does not name are ignored unless Exact is used. The
// text null is accepted for any Go type and gives its zero value.
//
// Errors quote member names, cut short and escaped, and never values: the text may
// hold credentials.
package strictjson

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth bounds the nesting of arrays and objects.
const MaxDepth = 64

// ErrTooLarge reports input over the caller's limit.
var ErrTooLarge = errors.New("input over the size limit")

// Unmarshal decodes data, which must be one JSON value, into v. Pass a zero v: an
// object is merged into what v holds already, and an error may leave v half
// filled.
func Unmarshal(data []byte, v any) error {
	return unmarshal(data, v)
}

// Exact is Unmarshal, and refuses members that v does not name.
func Exact(data []byte, v any) error {
	return unmarshal(data, v, json.RejectUnknownMembers(true))
}

func unmarshal(data []byte, v any, options ...json.Options) error {
	if _, err := scan(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v, options...); err != nil {
		return &decodeError{Describe(err), err}
	}
	return nil
}

// Object decodes data, which must be one JSON object, into its members. They share
// memory with data.
func Object(data []byte) (map[string]jsontext.Value, error) {
	if _, err := scan(data); err != nil {
		return nil, err
	}
	o := object{data: data, text: string(data)}
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, &decodeError{Describe(cmp.Or(o.err, err)), err}
	}
	return o.members, nil
}

// An object takes part in [json.Unmarshal], which has decoders to lend.
type object struct {
	data    []byte
	text    string // data, of which most names are parts
	members map[string]jsontext.Value
	err     error // as it was before Unmarshal words it
}

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (o *object) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	o.err = o.read(dec)
	return o.err
}

func (o *object) read(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '{' {
		return errors.New("not an object")
	}
	o.members = map[string]jsontext.Value{}
	_, err := dec.ReadToken() // '{'
	for err == nil && dec.PeekKind() != '}' {
		var name, value jsontext.Value
		if name, err = dec.ReadValue(); err != nil {
			break
		}
		end := int(dec.InputOffset())
		key := o.text[end-len(name)+1 : end-1]
		if strings.ContainsRune(key, '\\') {
			unquoted, _ := jsontext.AppendUnquote(nil, name) // which was decoded
			key = string(unquoted)
		}
		value, err = dec.ReadValue()
		end = int(dec.InputOffset())
		o.members[key] = o.data[end-len(value) : end : end]
	}
	if err == nil {
		_, err = dec.ReadToken() // '}'
	}
	return err
}

// Values returns how many values JSON has, at most. Each costs whoever decodes it into no
// type of its own about a hundred bytes, though its text may be two.
func Values(data []byte) int {
	n, _ := scan(data)
	return n
}

// scan counts values, and refuses data nested deeper than [MaxDepth]. The decoder's own
// bound is 10 000, which is far more than recursive code downstream should meet.
func scan(data []byte) (values int, err error) {
	depth := 0
	inString := false
	values = 1
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == ',':
			values++
		case c == '[' || c == '{':
			values++
			if depth++; depth > MaxDepth {
				return values, fmt.Errorf("nested deeper than %d", MaxDepth)
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return values, nil
}

// ReadAll reads r to its end, or fails with [ErrTooLarge] after limit bytes. It
// reads one byte more than limit at most.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	if limit == math.MaxInt64 {
		limit-- // or limit+1 below is negative, and everything reads as empty
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w of %d bytes", ErrTooLarge, limit)
	}
	return b, nil
}
