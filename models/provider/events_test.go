package provider_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/jitagent/jitagent/models/provider"
)

// stream returns what a client reads of body.
func stream(t *testing.T, kind string, body io.Reader) string {
	t.Helper()
	c := provider.Client(&http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Request: r, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(body)}, nil
	})})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// However a server writes its events, each is one line.
func TestEventsAreOneLineEach(t *testing.T) {
	for name, tt := range map[string]struct{ body, want string }{
		"as usual":                  {"data: {\"a\":1}\n\ndata: [DONE]\n\n", "data: {\"a\":1}\n\ndata: [DONE]\n\n"},
		"other line ends":           {"data:{\"a\":1}\r\n\r\ndata: {\"b\":2}\r\n\r\n", "data: {\"a\":1}\n\ndata: {\"b\":2}\n\n"},
		"several lines":             {"data: {\ndata:   \"a\":\ndata: 1}\n\ndata: {\"b\":2}\n\n", "data: { \"a\": 1}\n\ndata: {\"b\":2}\n\n"},
		"no empty line":             {"data: {\"a\":1}\ndata: {\"b\":2}\n", "data: {\"a\":1}\n\ndata: {\"b\":2}\n\n"},
		"no end of the last":        {"data: {\"a\":1}", "data: {\"a\":1}\n\n"},
		"cut within the last":       {"data: {\"a\":1}\n\ndata: {\"b\":", "data: {\"a\":1}\n\n"},
		"other fields":              {": ping\nid: 1\nevent: message\nretry: 3000\ndata: {\"a\":1}\n\n:x\n\n", "data: {\"a\":1}\n\n"},
		"what is no JSON":           {"data: hello\n\n", "data: hello\n\n"},
		"an error":                  {"data: {\"error\":{\"code\":503}}\n\n", "{\"error\":{\"code\":503}}\n\n"},
		"an error in an array":      {"data: [{\"error\":{\"code\":503}}]\n\n", "{\"error\":{\"code\":503}}\n\n"},
		"no error":                  {"data: {\"error\":null,\"a\":1}\n\n", "data: {\"error\":null,\"a\":1}\n\n"},
		"a bare error, over lines":  {"data: {\"a\":1}\n\n{\n  \"error\": {\n    \"code\": 503\n  }\n}\n", "data: {\"a\":1}\n\n{ \"error\": { \"code\": 503 } }\n\n"},
		"a bare error, in an array": {"[{\n  \"error\": {}\n}\n]\n", "{ \"error\": {} }\n\n"},
	} {
		if got := stream(t, "text/event-stream; charset=utf-8", strings.NewReader(tt.body)); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		if got := stream(t, "", iotest.OneByteReader(strings.NewReader(tt.body))); got != tt.want {
			t.Errorf("%s, byte by byte and under no type: %q, want %q", name, got, tt.want)
		}
	}
	if got := stream(t, "application/json", strings.NewReader("[\n1]")); got != "[\n1]" {
		t.Errorf("JSON that is no stream became %q", got)
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
