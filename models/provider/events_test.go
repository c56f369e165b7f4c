package provider_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/jitagent/jitagent/models/provider"
)

// Whatever the form in which a server writes its values, each comes once and whole.
func TestValues(t *testing.T) {
	for name, tt := range map[string]struct {
		body string
		want []string
		err  error
	}{
		"as usual":                    {"data: {\"a\":1}\n\ndata: [DONE]\n\n", []string{`{"a":1}`, "[DONE]"}, nil},
		"CR LF":                       {"data:{\"a\":1}\r\n\r\ndata: {\r\ndata: \"b\":2}\r\n\r\n", []string{`{"a":1}`, `{ "b":2}`}, nil},
		"CR alone":                    {"data: {\rdata: \"a\":1}\r\rdata: {\"b\":2}\r", []string{`{ "a":1}`, `{"b":2}`}, nil},
		"a byte order mark":           {"\uFEFFdata: {\"a\":1}\n\n", []string{`{"a":1}`}, nil},
		"a byte order mark, bare":     {"\uFEFF{\"a\":1}", []string{`{"a":1}`}, nil},
		"several lines":               {"data: {\ndata:   \"a\":\ndata: 1}\n\ndata: {\"b\":2}\n\n", []string{`{ "a": 1}`, `{"b":2}`}, nil},
		"no empty line":               {"data: {\"a\":1}\ndata: {\"b\":2}\n", []string{`{"a":1}`, `{"b":2}`}, nil},
		"no end of the last":          {"data: {\"a\":1}", []string{`{"a":1}`}, nil},
		"cut within the last":         {"data: {\"a\":1}\n\ndata: {\"b\":", []string{`{"a":1}`}, nil},
		"other fields":                {": ping\nid: 1\nevent: message\nretry: 3000\ndata: {\"a\":1}\n\n:x\n\n", []string{`{"a":1}`}, nil},
		"what is no JSON":             {"data: hello\n\n", []string{"hello"}, nil},
		"an error in an array":        {"data: [{\"error\":{\"code\":503}}]\n\n", []string{`{"error":{"code":503}}`}, nil},
		"an error by its name":        {"event: error\ndata: busy\n\n", []string{`{"error":"busy"}`}, nil},
		"an error by its name, cut":   {"event: error\ndata: {\"busy\":", []string{`{"error":"{\"busy\":"}`}, nil},
		"a bare error, over lines":    {"data: {\"a\":1}\n\n{\n  \"error\": {\n    \"code\": 503\n  }\n}\n", []string{`{"a":1}`, `{ "error": { "code": 503 } }`}, nil},
		"one value":                   {"{\n  \"a\": \"}\"\n}", []string{`{ "a": "}" }`}, nil},
		"one value, cut":              {"{\"a\":", nil, io.ErrUnexpectedEOF},
		"JSON on lines":               {"{\"a\":1}\n{\"b\":2}\n\n{\"c\":3}\n", []string{`{"a":1}`, `{"b":2}`, `{"c":3}`}, nil},
		"an array":                    {"[{\"a\":1}\n,\n{\"b\":2}\n]\n", []string{`{"a":1}`, `{"b":2}`}, nil},
		"an array, cut":               {"[{\"a\":1}\n,\n", nil, io.ErrUnexpectedEOF},
		"a page":                      {"<!doctype html>\n<p>x: y</p>\n", nil, provider.ErrUnreadable},
		"text":                        {"upstream: gone", nil, provider.ErrUnreadable},
		"nothing":                     {"", nil, nil},
		"one name twice, in an array": {"[{\"a\":1,\"a\":2}]", []string{`[{"a":1,"a":2}]`}, nil},
	} {
		for _, body := range []io.Reader{strings.NewReader(tt.body), iotest.OneByteReader(strings.NewReader(tt.body))} {
			var got []string
			var failed error
			for value, err := range provider.Values(body) {
				if failed = err; err == nil {
					got = append(got, string(value))
				}
			}
			if !slices.Equal(got, tt.want) || !errors.Is(failed, tt.err) || tt.err == nil && failed != nil {
				t.Errorf("%s: %q, %v, want %q, %v", name, got, failed, tt.want, tt.err)
			}
		}
	}
}

// A value on very many lines costs no more than one on one.
func TestAValueOnManyLines(t *testing.T) {
	const lines = 1 << 16
	for value, err := range provider.Values(strings.NewReader("data: [\n" + strings.Repeat("data: 0,\n", lines) + "data: 0]\n\n")) {
		if err != nil || string(value) != "0" {
			t.Fatalf("%q, %v", value, err)
		}
	}
}

// An answer is written as its reader wants it, and ends where that cannot be.
func TestAnswersAreRewritten(t *testing.T) {
	ctx, x := provider.Observe(t.Context(), provider.Keep{Error: true, Write: func(b, value []byte) ([]byte, error) {
		if string(value) == "{}" {
			return nil, provider.ErrUnreadable
		}
		return append(append(b, "<"...), value...), nil
	}})
	for body, want := range map[string]error{"data: {\"a\":1}\n\ndata: [DONE]\n\n": nil, "{\"a\":1}\n{}\n{\"b\":1}": provider.ErrUnreadable} {
		_, got, err := get(ctx, t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		if string(got) != `<{"a":1}` || err != nil || !errors.Is(x.Seen().Err, want) {
			t.Errorf("%q becomes %q, %v, kept %v", body, got, err, x.Seen().Err)
		}
	}
}

func TestStateIsOfItsServer(t *testing.T) {
	sealed := provider.Seal("https://a.test/v1", []byte("state"))
	if got, ok := provider.Unseal("https://a.test/v1", sealed); !ok || string(got) != "state" {
		t.Errorf("unsealed %q, %v", got, ok)
	}
	for _, other := range [][]byte{sealed, nil, []byte("state"), sealed[:10]} {
		if got, ok := provider.Unseal("https://b.test/v1", other); ok || got != nil {
			t.Errorf("%q is taken for another server's: %q", other, got)
		}
	}
	if provider.Seal("x", nil) != nil {
		t.Error("nothing is sealed to something")
	}
}
