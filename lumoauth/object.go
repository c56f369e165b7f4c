package lumoauth

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/rar"
)

// An object is a JSON object, strictly decoded, whose members are read one by
// one. Servers differ in what they send and leave out, so a member of the wrong
// kind reads as absent, except where a wrong value could widen what is granted:
// those getters return errors.
type object map[string]jsontext.Value

func decodeObject(data []byte) (object, error) {
	if len(data) == 0 {
		return nil, errors.New("empty body")
	}
	var o object
	if err := strictjson.Unmarshal(data, &o); err != nil {
		return nil, errors.New("not one strict JSON object") // the decoder's own text quotes the body
	}
	if o == nil {
		return nil, errors.New("null in place of an object")
	}
	return o, nil
}

// has reports whether the member is there and not null.
func (o object) has(name string) bool {
	v, ok := o[name]
	return ok && v.Kind() != 'n'
}

func (o object) text(name string) string {
	var s string
	if v := o[name]; v.Kind() == '"' && strictjson.Unmarshal(v, &s) == nil {
		return s
	}
	return ""
}

// firstText returns the first text that is not empty.
func (o object) firstText(names ...string) string {
	for _, name := range names {
		if s := o.text(name); s != "" {
			return s
		}
	}
	return ""
}

func (o object) flag(name string) bool { return o[name].Kind() == 't' }

func (o object) object(name string) object {
	if o[name].Kind() != '{' {
		return nil
	}
	inner, _ := decodeObject(o[name])
	return inner
}

// texts returns the strings of an array, or of a single string.
func (o object) texts(name string) []string {
	if s := o.text(name); s != "" {
		return []string{s}
	}
	var values []jsontext.Value
	if o[name].Kind() != '[' || strictjson.Unmarshal(o[name], &values) != nil {
		return nil
	}
	var out []string
	for _, v := range values {
		var s string
		if v.Kind() == '"' && strictjson.Unmarshal(v, &s) == nil {
			out = append(out, s)
		}
	}
	return out
}

// objects returns the objects of an array; ok is false when there is no array.
func objects(v jsontext.Value) (out []object, ok bool) {
	var values []jsontext.Value
	if v.Kind() != '[' || strictjson.Unmarshal(v, &values) != nil {
		return nil, false
	}
	for _, v := range values {
		if o, err := decodeObject(v); err == nil {
			out = append(out, o)
		}
	}
	return out, true
}

// number reads a number, or a string that holds one (some servers quote them). ok
// is false when the member is absent.
func (o object) number(name string) (n float64, ok bool, err error) {
	if !o.has(name) {
		return 0, false, nil
	}
	literal := o[name]
	if literal.Kind() == '"' {
		literal = jsontext.Value(o.text(name))
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

// seconds reads a lifetime; a fraction is cut off.
func (o object) seconds(name string) (d time.Duration, ok bool, err error) {
	n, ok, err := o.number(name)
	if err != nil || !ok {
		return 0, ok, err
	}
	if n < 0 || n > maxSeconds {
		return 0, true, fmt.Errorf("%s is out of range", name)
	}
	return time.Duration(n) * time.Second, true, nil
}

// lifetime is seconds for a token: one that is there must be at least a second.
func (o object) lifetime(name string) (time.Duration, error) {
	d, ok, err := o.seconds(name)
	if err == nil && ok && d == 0 {
		err = fmt.Errorf("%s is out of range", name)
	}
	return d, err
}

// time reads a date-time; zero when there is none that can be read.
func (o object) time(name string) time.Time {
	s := o.text(name)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05-0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

// unix reads a time in Unix seconds (RFC 7519, section 2); zero when absent.
func (o object) unix(name string) (time.Time, error) {
	n, ok, err := o.number(name)
	if err != nil || !ok {
		return time.Time{}, err
	}
	if n < 0 || n > 1<<40 {
		return time.Time{}, fmt.Errorf("%s is out of range", name)
	}
	return time.Unix(int64(n), 0), nil
}

// details reads authorization details, one object or an array. Absent and null
// read as nil, which means that the server does not say; an empty array is an
// error, since it would mean a token for nothing.
func (o object) details() ([]rar.Detail, error) {
	if !o.has(memberDetails) {
		return nil, nil
	}
	details, err := rar.Parse(o[memberDetails])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", memberDetails, err)
	}
	return details, nil
}

const memberDetails = "authorization_details"

// checkID accepts what may stand in a path, a log line and a journal.
func checkID(name, id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%s is missing", name)
	case len(id) > 256 || !visible(id) || id == "." || id == "..":
		return fmt.Errorf("%s is not an identifier", name)
	}
	return nil
}
