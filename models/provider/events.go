package provider

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// events reads a stream of server-sent events and writes it as the libraries of
// providers expect it: one line, "data: " and the value, and an empty line for each
// event. Servers differ: they put one value on several data lines, as the standard
// has it, end an event without an empty line, and write an error as an array or as
// bare JSON after the events. An error is written bare, without "data: ", in every
// case, unless events are named: then each is under the name that it has as its type,
// which gateways leave out. Whatever comes under the name "error" is one, in the form
// {"error": what came}. A last event that is not whole is left out, like comments and other fields.
type events struct {
	io.ReadCloser
	lines *bufio.Scanner
	named bool
	event []byte // what of an event has come
	bare  bool   // what comes is JSON without a field's name, to the end
	fails bool   // the event's name is "error"
	out   []byte
	err   error
}

func newEvents(body io.ReadCloser, named bool) *events {
	return &events{ReadCloser: body, lines: Lines(body), named: named}
}

// Lines returns the lines of a stream that a [Client] bounds.
func Lines(r io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4<<10), MaxStream+1)
	return lines
}

// Read implements [io.Reader].
func (e *events) Read(p []byte) (int, error) {
	for len(e.out) == 0 {
		if e.err != nil {
			return 0, e.err
		}
		if e.lines.Scan() {
			e.take(bytes.TrimRight(e.lines.Bytes(), "\r"))
			continue
		}
		if e.err = e.lines.Err(); e.err == nil {
			e.err = io.EOF
		}
		if e.fails || whole(e.event) {
			e.flush()
		}
	}
	n := copy(p, e.out)
	e.out = e.out[n:]
	return n, nil
}

func (e *events) take(line []byte) {
	data, isData := bytes.CutPrefix(line, []byte("data:"))
	name, isName := bytes.CutPrefix(line, []byte("event:"))
	switch {
	case e.bare:
		e.add(line)
	case isData:
		if e.add(data); whole(e.event) {
			e.flush()
		}
	case isName:
		e.fails = string(bytes.TrimSpace(name)) == "error"
	case len(line) == 0:
		e.flush()
	case len(line) > 0 && (line[0] == '{' || line[0] == '['):
		e.flush()
		e.bare = true
		e.add(line)
	}
}

func (e *events) add(line []byte) {
	line = bytes.TrimSpace(line)
	if len(e.event) > 0 && len(line) > 0 {
		e.event = append(e.event, ' ') // as good as the line break between two tokens
	}
	e.event = append(e.event, line...)
}

func (e *events) flush() {
	if len(e.event) == 0 && !e.fails {
		return
	}
	if e.fails && !failed(e.event) {
		e.event = failure(e.event)
	}
	e.fails = false
	switch e.out = e.out[:0]; {
	case e.named:
		var v struct {
			Type string `json:"type"`
		}
		_ = strictjson.Unmarshal(e.event, &v) // what is no JSON has no name, and is not looked at
		if failed(e.event) {
			v.Type = "error"
		}
		e.out = append(append(e.out, "event: "+Code(v.Type)+"\ndata: "...), unwrapped(e.event)...)
	case bytes.Contains(e.event, []byte(`"error"`)) && failed(e.event):
		e.out = append(e.out, unwrapped(e.event)...)
	default:
		e.out = append(append(e.out, "data: "...), e.event...)
	}
	e.out = append(e.out, "\n\n"...)
	e.event = e.event[:0]
}

// whole reports whether data is all of an event.
func whole(data []byte) bool {
	return string(data) == "[DONE]" || jsontext.Value(data).IsValid()
}

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
	var list []jsontext.Value
	if trimmed := bytes.TrimSpace(data); len(trimmed) == 0 || trimmed[0] != '[' ||
		strictjson.Unmarshal(trimmed, &list) != nil || len(list) == 0 {
		return data
	}
	return list[0]
}

// Streams reports whether the body of resp is a stream of events: it says so, or a
// stream was asked for and it does not say that it is JSON.
func Streams(resp *http.Response) bool {
	const events = "text/event-stream"
	kind := resp.Header.Get("Content-Type")
	asked := resp.Request != nil && resp.Request.Header.Get("Accept") == events
	return strings.HasPrefix(kind, events) || asked && !strings.HasPrefix(kind, "application/json")
}
