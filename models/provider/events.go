package provider

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// Done is the value with which OpenAI's servers, and others after them, end a stream.
const Done = "[DONE]"

// ErrUnreadable is an answer that is not of the API's form. What is wrong with it is
// not told: it would quote the answer.
var ErrUnreadable = errors.New("unreadable answer")

// Values returns the values of an answer, one after another, in whatever form a server
// gives them: server-sent events (WHATWG HTML, section 9.2), JSON on lines of its own, the
// elements of an array, or one value alone. Servers differ further: they put a value on
// several lines, end an event without an empty line or a line with CR alone, and leave
// out the events where they answer with an error. What comes under the name "error" is
// {"error": what came}. A last event that is not whole is left out; a text that has no
// value at all is [ErrUnreadable]. A value is valid until the next one; it need not be
// JSON, and [Done] is none.
func Values(body io.Reader) iter.Seq2[jsontext.Value, error] {
	return func(yield func(jsontext.Value, error) bool) {
		for v := newValues(body); ; {
			value, err := v.next()
			if err == io.EOF || !yield(value, err) || err != nil { //nolint:errorlint // it is io.EOF itself
				return
			}
		}
	}
}

type values struct {
	lines *bufio.Scanner
	cr    bool   // the line before ended with CR, to which a LF may belong
	value []byte // what of a value has come
	end   Ending
	bare  bool // it is in no event
	fails bool // the event's name is "error"
	begun bool // there was a line
	odd   bool // there was one that no stream has
	some  bool // there was a value
	queue []jsontext.Value
	one   [1]jsontext.Value
}

func newValues(body io.Reader) *values {
	v := &values{lines: bufio.NewScanner(body)}
	v.lines.Buffer(make([]byte, 0, 4<<10), MaxStream+1) // a [Client] bounds the body
	v.lines.Split(v.split)
	return v
}

// split is a [bufio.SplitFunc] for lines that end in LF, CR LF or CR.
func (v *values) split(data []byte, atEOF bool) (int, []byte, error) {
	from := 0
	if v.cr && len(data) > 0 && data[0] == '\n' {
		from = 1
	}
	line := data[from:]
	end := bytes.IndexByte(line, '\n')
	if end < 0 {
		end = len(line)
	}
	if cr := bytes.IndexByte(line[:end], '\r'); cr >= 0 {
		end = cr
	}
	switch {
	case end < len(line):
		v.cr = line[end] == '\r'
		return from + end + 1, line[:end], nil
	case atEOF && len(line) > 0:
		return len(data), line, nil
	}
	return 0, nil, nil
}

// next returns the next value, and [io.EOF] after the last.
func (v *values) next() (jsontext.Value, error) {
	for len(v.queue) == 0 {
		if v.lines.Scan() {
			v.take(bytes.TrimSpace(v.lines.Bytes()))
			continue
		}
		switch err := v.lines.Err(); {
		case err != nil:
			return nil, err
		case v.fails:
			v.flush(v.value)
		case v.bare:
			return nil, io.ErrUnexpectedEOF
		case v.odd && !v.some:
			return nil, ErrUnreadable
		default:
			return nil, io.EOF
		}
	}
	value := v.queue[0]
	v.queue, v.some = v.queue[1:], true
	return value, nil
}

func (v *values) take(line []byte) {
	if !v.begun {
		line = bytes.TrimPrefix(line, []byte("\uFEFF"))
		v.begun = true
	}
	field, rest, named := bytes.Cut(line, []byte(":"))
	switch {
	case v.bare:
		v.add(line)
	case len(line) == 0:
		v.flush(v.value)
	case line[0] == '{' || line[0] == '[':
		v.bare = true
		v.add(line)
	case named && string(field) == "data":
		v.add(bytes.TrimSpace(rest))
	case named && string(field) == "event":
		v.fails = string(bytes.TrimSpace(rest)) == "error"
	default:
		known := slices.ContainsFunc([]string{"", "data", "event", "id", "retry"}, func(name string) bool {
			return string(field) == name || !named && strings.HasPrefix(name, string(field)) // cut
		})
		v.odd = v.odd || !known
	}
}

func (v *values) add(line []byte) {
	whole := v.end.Add(line)
	if whole && len(v.value) == 0 {
		v.flush(line)
		return
	}
	if len(v.value) > 0 && len(line) > 0 {
		v.value = append(v.value, ' ') // as good as the line break between two tokens
	}
	if v.value = append(v.value, line...); whole {
		v.flush(v.value)
	}
}

// flush ends value, whose bytes stay until the next line.
func (v *values) flush(value []byte) {
	if len(value) == 0 && !v.fails {
		return
	}
	if v.fails && !failed(value) {
		value = failure(value)
	}
	v.one[0] = value
	v.queue = v.one[:]
	if value[0] == '[' {
		v.queue = elements(value, v.queue)
	}
	v.value, v.end, v.bare, v.fails = v.value[:0], Ending{}, false, false
}

// elements returns those of an array, and otherwise for what is none.
func elements(data []byte, otherwise []jsontext.Value) (list []jsontext.Value) {
	if strictjson.Unmarshal(data, &list) != nil {
		return otherwise
	}
	return list
}

// An Ending finds the end of an object, array or string that comes in pieces. The zero
// Ending has seen nothing.
type Ending struct {
	depth             int
	inString, escaped bool
	reached           bool
}

// Add reports whether the value has ended, in piece or before.
func (e *Ending) Add(piece []byte) bool {
	for _, c := range piece {
		switch {
		case e.reached:
			return true
		case e.inString:
			if c == '"' && !e.escaped {
				e.inString, e.reached = false, e.depth == 0
			}
			e.escaped = c == '\\' && !e.escaped
		case c == '"':
			e.inString = true
		case c == '{' || c == '[':
			e.depth++
		case c == '}' || c == ']':
			e.depth--
			e.reached = e.depth <= 0
		}
	}
	return e.reached
}

// Reached reports whether the value has ended.
func (e *Ending) Reached() bool { return e.reached }

// failed reports whether data is an error, alone or in an array.
func failed(data []byte) bool {
	var v struct {
		Error jsontext.Value `json:"error"`
	}
	return strictjson.Unmarshal(unwrapped(data), &v) == nil && len(v.Error) > 0 && v.Error.Kind() != 'n'
}

// failure is an error that says what data does, which may be any text.
func failure(data []byte) []byte {
	said := jsontext.Value(data)
	if !said.IsValid() || said.Kind() == 'n' {
		said, _ = jsontext.AppendQuote(nil, data) // what is no UTF-8 is replaced
	}
	return slices.Concat([]byte(`{"error":`), said, []byte("}"))
}

// unwrapped returns the first element of an array, and anything else as it is:
// Google's servers wrap errors in an array wherever they could have streamed.
func unwrapped(data []byte) []byte {
	if list := elements(bytes.TrimSpace(data), nil); len(list) > 0 {
		return list[0]
	}
	return data
}

// rewritten is an answer in the form that a provider's library reads: see [Keep].Write.
type rewritten struct {
	io.Closer
	values   *values
	exchange *Exchange
	out      []byte
	err      error
}

// Read implements [io.Reader].
func (r *rewritten) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.exchange.ended(r.err)
		}
		var value jsontext.Value
		if value, r.err = r.values.next(); r.err == nil && string(value) != Done {
			r.out, r.err = r.exchange.keep.Write(r.out, value)
		}
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// Amount is a number, whatever form a server gives it; 0 for what is none.
func Amount(v jsontext.Value) float64 {
	n, err := strconv.ParseFloat(strings.Trim(string(v), `"`), 64)
	if err != nil || n != n {
		return 0
	}
	return max(-math.MaxInt32, min(n, math.MaxInt32))
}
