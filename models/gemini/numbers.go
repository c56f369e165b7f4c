package gemini

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// Google's library reads every number as a float64, which makes another number of a
// long one. So long numbers reach it as text under a mark, and arguments of calls get
// them back as they were written.

const numeric = "0123456789.eE+-"

// mark is another one in each process, so that no text that a model writes, or was
// made to repeat, is taken for a number.
var mark = rand.Text() + ":"

// exact returns c with long numbers in its answers marked.
func exact(c *http.Client) *http.Client {
	out := *c
	out.Transport = &marking{c.Transport}
	return &out
}

type marking struct{ base http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t *marking) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	if err == nil {
		resp.Body = &marker{ReadCloser: resp.Body, in: bufio.NewReader(resp.Body)}
	}
	return resp, err
}

// marker marks the long numbers of JSON text, or of events that hold it.
type marker struct {
	io.ReadCloser
	in                *bufio.Reader
	inString, escaped bool
	out               []byte
	err               error
}

// Read implements [io.Reader].
func (m *marker) Read(p []byte) (int, error) {
	for len(m.out) == 0 {
		if m.err != nil {
			return 0, m.err
		}
		m.fill()
	}
	n := copy(p, m.out)
	m.out = m.out[n:]
	return n, nil
}

// fill takes what is there, and of a number all of it.
func (m *marker) fill() {
	for first := true; first || m.in.Buffered() > 0 && len(m.out) < 4<<10; first = false {
		var c byte
		if c, m.err = m.in.ReadByte(); m.err != nil {
			return
		}
		switch {
		case m.inString:
			m.inString = c != '"' || m.escaped
			m.escaped = c == '\\' && !m.escaped
		case c == '"':
			m.inString = true
		case c == '-' || c >= '0' && c <= '9':
			number := m.number(c)
			if _, long := strictjson.Numbers(json.Number(number)).(json.Number); long {
				number = `"` + mark + number + `"`
			}
			m.out = append(m.out, number...)
			continue
		}
		m.out = append(m.out, c)
	}
}

func (m *marker) number(first byte) string {
	number := []byte{first}
	for {
		var c byte
		if c, m.err = m.in.ReadByte(); m.err != nil {
			break
		}
		if strings.IndexByte(numeric, c) < 0 {
			_ = m.in.UnreadByte() // it was just read
			break
		}
		number = append(number, c)
	}
	return string(number)
}

// unmark puts numbers back where marks are.
func unmark(args map[string]any) map[string]any {
	for name, v := range args {
		args[name] = unmarked(v)
	}
	return args
}

func unmarked(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return unmark(v)
	case []any:
		for i := range v {
			v[i] = unmarked(v[i])
		}
	case string:
		if number, marked := strings.CutPrefix(v, mark); marked && strings.Trim(number, numeric) == "" && json.Valid([]byte(number)) {
			return json.Number(number)
		}
	}
	return v
}
