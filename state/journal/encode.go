package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
)

// stampLayout is how times are written: all of one length, so that they sort.
const stampLayout = "2006-01-02T15:04:05.000000Z"

// appendTo puts the value of a field into the form in which it can be kept, and appends
// it to a text as canonical JSON; nothing for the zero value.
func (f field) appendTo(text []byte) ([]byte, error) {
	switch v := f.at.(type) {
	case *string:
		if len(*v) > maxName || !utf8.ValidString(*v) {
			return nil, errors.New("is too long or not UTF-8")
		}
		return quote(text, *v)
	case *freeText:
		*v = freeText(clip(string(*v)))
		return quote(text, string(*v))
	case *tokenHash:
		if *v != "" && !isHash(string(*v)) {
			return nil, errors.New("is not one")
		}
		return quote(text, string(*v))
	case *json.RawMessage: // as text: canonical form would round its numbers
		if *v = json.RawMessage(clip(string(*v))); len(*v) == 0 {
			*v = nil
		}
		return quote(text, string(*v))
	case *time.Time:
		if *v = moment(*v); v.IsZero() {
			return text, nil
		}
		return append(v.AppendFormat(append(text, '"'), stampLayout), '"'), nil
	case *jit.Status:
		if !known(*v) {
			return text, nil
		}
		return quote(text, v.String())
	case **Head:
		if *v == nil {
			return text, nil
		}
		return quote(text, (*v).String())
	case **rar.Detail:
		if *v == nil {
			return text, nil
		}
		one, err := (*v).Canonical()
		return append(text, one...), err
	case *[]rar.Detail:
		return appendList(text, *v)
	case *int:
		return appendInt(text, int64(*v))
	case *int64:
		return appendInt(text, *v)
	}
	panic("journal: field " + f.name + " is of a type that is not kept")
}

// known reports whether a status has a name of its own.
func known(s jit.Status) bool { return s.String() != jit.StatusUnknown.String() }

func quote(text []byte, s string) ([]byte, error) {
	if s == "" {
		return text, nil
	}
	return jsontext.AppendQuote(text, s) // as RFC 8785 has it
}

func appendInt(text []byte, n int64) ([]byte, error) {
	switch {
	case n == 0:
		return text, nil
	case n > maxInt || n < -maxInt:
		return nil, errors.New("is too large")
	}
	return strconv.AppendInt(text, n, 10), nil
}

func appendList(text []byte, details []rar.Detail) ([]byte, error) {
	if details == nil {
		return text, nil
	}
	text = append(text, '[')
	for i, d := range details {
		one, err := d.Canonical()
		if err != nil {
			return nil, err
		}
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, one...)
	}
	return append(text, ']'), nil
}

// errForm refuses what Record.encode would have written otherwise.
var errForm = errors.New("it is not in the form in which entries are written")

// Decode reads the text of an entry, and refuses what [Record.JSON] would not have
// written. The hash is for [Chain] to check. Its errors quote no value.
func Decode(text []byte) (Record, error) {
	var r Record
	if len(text) > MaxEntry {
		return r, errForm
	}
	in := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true)) // see below
	if start, err := in.ReadToken(); err != nil || start.Kind() != '{' {
		return Record{}, errForm
	}
	all := r.fields()
	fields := all[:]
	for in.PeekKind() == '"' {
		token, err := in.ReadToken()
		if err != nil {
			return Record{}, errForm
		}
		name := token.String()
		for len(fields) > 0 && fields[0].name < name { // both are sorted
			fields = fields[1:]
		}
		value, err := in.ReadValue()
		if err != nil || len(fields) == 0 || fields[0].name != name || fields[0].decode(value) != nil {
			return Record{}, errForm
		}
	}
	// However loosely it was read, twice the same name included: only what would be
	// written alike counts.
	again, err := encode(all[:])
	if err != nil || !bytes.Equal(again, text) || r.Kind == "" {
		return Record{}, errForm
	}
	return r, nil
}

// decode reads the JSON of a value into the field.
func (f field) decode(value jsontext.Value) error {
	switch v := f.at.(type) {
	case **rar.Detail, *[]rar.Detail:
		return strictjson.Exact(value, v)
	case *int, *int64:
		return json.Unmarshal(value, v)
	}
	unquoted, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return err
	}
	s := string(unquoted)
	switch v := f.at.(type) {
	case *string:
		*v = s
	case *freeText:
		*v = freeText(s)
	case *tokenHash:
		*v = tokenHash(s)
	case *json.RawMessage:
		*v = json.RawMessage(s)
	case *time.Time:
		at, err := time.Parse(stampLayout, s)
		*v = at
		return err
	case *jit.Status:
		for *v = jit.StatusUnknown + 1; known(*v) && v.String() != s; *v++ {
		}
	case **Head:
		head, err := ParseHead(s)
		*v = &head
		return err
	}
	return nil
}
