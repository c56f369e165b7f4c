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
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"

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
	if err := checkDepth(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v, options...); err != nil {
		return &decodeError{describe(err), err}
	}
	return nil
}

// Object decodes data, which must be one JSON object, into its members. They share
// memory with data.
func Object(data []byte) (map[string]jsontext.Value, error) {
	if err := checkDepth(data); err != nil {
		return nil, err
	}
	members := map[string]jsontext.Value{}
	dec := jsontext.NewDecoder(bytes.NewBuffer(data))
	start, err := dec.ReadToken()
	if err == nil && start.Kind() != '{' {
		return nil, errors.New("not an object")
	}
	for err == nil && dec.PeekKind() != '}' {
		var name jsontext.Token
		if name, err = dec.ReadToken(); err != nil {
			break
		}
		key := name.String()
		var value jsontext.Value
		value, err = dec.ReadValue()
		end := int(dec.InputOffset())
		members[key] = data[end-len(value) : end : end]
	}
	if err == nil {
		_, err = dec.ReadToken() // '}'
	}
	if err == nil {
		if _, err = dec.ReadToken(); err == io.EOF { //nolint:errorlint // the decoder returns it as it is
			return members, nil
		}
		err = cmp.Or(err, errors.New("more after the value"))
	}
	return nil, &decodeError{describe(err), err}
}

// checkDepth refuses data nested deeper than [MaxDepth]. The decoder's own bound
// is 10 000, which is far more than recursive code downstream should meet.
func checkDepth(data []byte) error {
	depth := 0
	inString := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			if depth++; depth > MaxDepth {
				return fmt.Errorf("nested deeper than %d", MaxDepth)
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return nil
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
