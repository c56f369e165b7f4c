package oauth

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/rar"
)

// An Object is a JSON object, strictly decoded, whose members are read one by
// one. Servers differ in what they send and leave out, so a member of the wrong
// kind reads as absent, except where a wrong value could widen what is granted:
// those getters return errors.
type Object map[string]jsontext.Value

// Decode decodes one JSON object. Anything else, null too, is an error.
func Decode(data []byte) (Object, error) {
	if len(data) == 0 {
		return nil, errors.New("empty body")
	}
	o, err := strictjson.Object(data)
	if err != nil {
		return nil, errors.New("not one strict JSON object") // the decoder's own text quotes the body
	}
	return o, nil
}

// Has reports whether the member is there and not null.
func (o Object) Has(name string) bool {
	v, ok := o[name]
	return ok && v.Kind() != 'n'
}

// Text returns the first of these members that is a text and not empty.
func (o Object) Text(names ...string) string {
	for _, name := range names {
		if s := text(o[name]); s != "" {
			return s
		}
	}
	return ""
}

// text returns a value that is a text; "" for others.
func text(v jsontext.Value) string {
	switch {
	case v.Kind() != '"':
		return ""
	case !bytes.ContainsRune(v, '\\'):
		return string(v[1 : len(v)-1])
	}
	s, _ := jsontext.AppendUnquote(nil, v) // which was decoded before
	return string(s)
}

// Flag reports whether the member is true.
func (o Object) Flag(name string) bool { return o[name].Kind() == 't' }

// Object returns a member that is an object, or nil.
func (o Object) Object(name string) Object {
	if o[name].Kind() != '{' {
		return nil
	}
	inner, _ := Decode(o[name])
	return inner
}

// Texts returns the strings of an array, or of a single string.
func (o Object) Texts(name string) []string {
	if s := o.Text(name); s != "" {
		return []string{s}
	}
	var values []jsontext.Value
	if o[name].Kind() != '[' || strictjson.Unmarshal(o[name], &values) != nil {
		return nil
	}
	var out []string
	for _, v := range values {
		if v.Kind() == '"' {
			out = append(out, text(v))
		}
	}
	return out
}

// Objects returns the objects of an array; ok is false when there is no array.
func Objects(v jsontext.Value) (out []Object, ok bool) {
	var values []jsontext.Value
	if v.Kind() != '[' || strictjson.Unmarshal(v, &values) != nil {
		return nil, false
	}
	for _, v := range values {
		if o, err := Decode(v); err == nil {
			out = append(out, o)
		}
	}
	return out, true
}

// Number reads a number, or a string that holds one (some servers quote them). ok
// is false when the member is absent.
func (o Object) Number(name string) (n float64, ok bool, err error) {
	if !o.Has(name) {
		return 0, false, nil
	}
	literal := o[name]
	if literal.Kind() == '"' {
		literal = jsontext.Value(o.Text(name))
	}
	if len(literal) > 32 || !literal.IsValid() || literal.Kind() != '0' {
		return 0, true, fmt.Errorf("%s is not a number", name)
	}
	n, err = strconv.ParseFloat(string(literal), 64)
	if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
		return 0, true, fmt.Errorf("%s is out of range", name)
	}
	return n, true, nil
}

// maxSeconds is the longest lifetime that is believed.
const maxSeconds = 366 * 24 * 60 * 60

// Seconds reads a lifetime; a fraction is cut off.
func (o Object) Seconds(name string) (d time.Duration, ok bool, err error) {
	n, ok, err := o.Number(name)
	if err != nil || !ok {
		return 0, ok, err
	}
	if n < 0 || n > maxSeconds {
		return 0, true, fmt.Errorf("%s is out of range", name)
	}
	return time.Duration(n) * time.Second, true, nil
}

// Time reads a date-time; zero when there is none that can be read.
func (o Object) Time(name string) time.Time {
	s := o.Text(name)
	if s == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05-0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

// Unix reads a NumericDate, a number of seconds (RFC 7519, section 2); zero when
// absent. Unlike the lifetimes of token responses, which some servers write as text,
// a date as text is an error.
func (o Object) Unix(name string) (time.Time, error) {
	n, ok, err := o.Number(name)
	if err != nil || !ok {
		return time.Time{}, err
	}
	if n < 0 || n > 1<<40 || o[name].Kind() != '0' {
		return time.Time{}, fmt.Errorf("%s is no date in seconds", name)
	}
	return time.Unix(int64(n), 0), nil
}

// Details reads authorization details, one object or an array. Absent and null
// read as nil, which means that the server does not say; an empty array is an
// error, since it would mean a token for nothing, and so is a member of that name in
// other letters.
func (o Object) Details() ([]rar.Detail, error) {
	if err := o.once(memberDetails); err != nil {
		return nil, err
	}
	if !o.Has(memberDetails) {
		return nil, nil
	}
	details, err := rar.Parse(o[memberDetails])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", memberDetails, err)
	}
	return details, nil
}

const memberDetails = "authorization_details"
