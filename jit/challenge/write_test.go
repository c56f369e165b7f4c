package challenge_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/rar"
)

// untouched fails the test when something is written.
type untouched struct{ t *testing.T }

func (w untouched) Header() http.Header { w.t.Error("a header was touched"); return http.Header{} }
func (w untouched) WriteHeader(int)     { w.t.Error("a status was written") }
func (w untouched) Write(p []byte) (int, error) {
	w.t.Error("a body was written")
	return len(p), nil
}

func TestWriteRefuses(t *testing.T) {
	large := rar.Detail{Type: "a"}
	for i := range 7 {
		large.Actions = append(large.Actions, strings.Repeat(fmt.Sprint(i), rar.MaxString))
	}
	for name, tt := range map[string]struct {
		status int
		detail rar.Detail
	}{
		"status 200":    {200, doc("doc_1")},
		"status 407":    {407, doc("doc_1")},
		"status 0":      {0, doc("doc_1")},
		"zero detail":   {403, rar.Detail{}},
		"empty list":    {403, rar.Detail{Type: "a", Actions: []string{}}},
		"line end":      {403, doc("doc_1\r\nSet-Cookie: x")},
		"too large":     {403, large},
		"broken member": {403, rar.Detail{Type: "a", Extra: map[string]json.RawMessage{"x": json.RawMessage("{")}}},
	} {
		t.Run(name, func(t *testing.T) {
			err := challenge.Write(untouched{t}, tt.status, tt.detail, "no")
			if err == nil || !strings.HasPrefix(err.Error(), "challenge: ") {
				t.Errorf("Write = %v, want an error", err)
			}
		})
	}
}

type broken struct{ http.ResponseWriter }

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteReportsABrokenConnection(t *testing.T) {
	if err := challenge.Write(broken{httptest.NewRecorder()}, 403, doc("doc_1"), ""); !errors.Is(err, errBroken) {
		t.Errorf("Write = %v, want %v", err, errBroken)
	}
}

// serve answers one call with Write and returns what a client receives.
func serve(t *testing.T, method string, status int, detail rar.Detail, description string) (*http.Response, []byte) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		// What a handler had prepared for another answer must not spoil this one.
		w.Header().Set("Content-Encoding", "br")
		w.Header().Set("Content-Length", "1")
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Cache-Control", "public")
		if err := challenge.Write(w, status, detail, description); err != nil && method != http.MethodHead {
			t.Errorf("Write: %v", err)
		}
	}))
	t.Cleanup(server.Close)
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing to do about it
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func TestWrite(t *testing.T) {
	resp, body := serve(t, http.MethodGet, http.StatusForbidden, doc("doc_9982"), "reading doc_9982 needs approval")
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", resp.StatusCode)
	}
	const canonical = `{"actions":["read"],"identifier":"doc_9982","type":"file_access"}`
	for name, want := range map[string]string{
		"Insufficient-Authorization-Details": std(canonical),
		"WWW-Authenticate":                   bearer + `, error_description="reading doc_9982 needs approval"`,
		"Content-Type":                       "application/json",
		"Cache-Control":                      "no-store",
		"Content-Encoding":                   "",
	} {
		if got := resp.Header.Get(name); got != want || len(resp.Header.Values(name)) > 1 {
			t.Errorf("%s: %q, want one %q", name, resp.Header.Values(name), want)
		}
	}
	const want = `{"error":"insufficient_authorization_details","error_description":"reading doc_9982 needs approval",` +
		`"authorization_details_hint":` + canonical + "}\n"
	if string(body) != want {
		t.Errorf("body %s, want %s", body, want)
	}
}

// What Write sends, Parse reads: by the header, and by the body when a proxy has
// dropped the header.
func TestWriteParse(t *testing.T) {
	for name, tt := range map[string]struct {
		detail      rar.Detail
		description string
		want        string
	}{
		"no description":  {doc("doc_1"), "", ""},
		"quotes":          {doc("doc_1"), `say "please" \o/`, `say "please" \o/`},
		"header injected": {doc("doc_1"), "a\r\nSet-Cookie: b", "a Set-Cookie: b"},
		"beyond ASCII":    {doc("Übersicht 日本"), "bitte prüfen", "bitte prüfen"},
		"HTML":            {doc("<script>&"), "<b>", "<b>"},
		"long":            {doc("doc_1"), strings.Repeat("a", 10_000), strings.Repeat("a", challenge.MaxDescription-3) + "…"},
		"all members": {
			rar.Detail{
				Type: "a", Locations: []string{"https://api.acme-corp.com"}, Actions: []string{"b"}, DataTypes: []string{"c"},
				Identifier: "d", Privileges: []string{"e"}, Extra: map[string]json.RawMessage{"x": json.RawMessage(`[1,{"y":null}]`)},
			}, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := serve(t, http.MethodGet, http.StatusUnauthorized, tt.detail, tt.description)
			if resp.Header.Get("Set-Cookie") != "" {
				t.Error("the description became a header")
			}
			want := challenge.Challenge{
				Details: []rar.Detail{tt.detail}, Error: challenge.ErrorCode, Description: tt.want, Source: challenge.SourceHeader,
			}
			got, err := challenge.Parse(resp.StatusCode, resp.Header, body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Errorf("by the header (-want +got):\n%s", diff)
			}
			resp.Header.Del(challenge.Header)
			want.Source = challenge.SourceBody
			got, err = challenge.Parse(resp.StatusCode, resp.Header, body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Errorf("by the body (-want +got):\n%s", diff)
			}
		})
	}
}

// The header says all, and the reference is the demand's own, whatever the call.
func TestWriteRemediation(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Encoding", "br")
	if err := challenge.WriteRemediation(w, doc("doc_1"), "say \"please\""); err != nil {
		t.Fatal(err)
	}
	digest, err := doc("doc_1").Digest()
	if err != nil {
		t.Fatal(err)
	}
	want := &challenge.Challenge{
		Details: []rar.Detail{doc("doc_1")}, Error: challenge.RemediationCode, Reference: digest, Source: challenge.SourceParameter,
	}
	got, err := challenge.Parse(w.Code, w.Header(), nil)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Parse: %v (-want +got):\n%s", err, diff)
	}
	if w.Code != 401 || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Encoding") != "" ||
		w.Body.String() != `{"error":"insufficient_authorization","error_description":"say \"please\""}`+"\n" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	large := doc(strings.Repeat("x", rar.MaxString))
	for i := range 6 {
		large.Actions = append(large.Actions, strings.Repeat(fmt.Sprint(i), rar.MaxString))
	}
	for name, d := range map[string]rar.Detail{"zero detail": {}, "too large": large} {
		if err := challenge.WriteRemediation(untouched{t}, d, ""); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestWriteToHead(t *testing.T) {
	resp, body := serve(t, http.MethodHead, http.StatusForbidden, doc("doc_1"), "")
	got, err := challenge.Parse(resp.StatusCode, resp.Header, body)
	if err != nil || len(body) != 0 || !rar.Equal(got.Details[0], doc("doc_1")) {
		t.Errorf("HEAD: %v, %v", got, err)
	}
}

func ExampleParse() {
	// What a protected API answers.
	w := httptest.NewRecorder()
	missing := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_9982"}
	if err := challenge.Write(w, http.StatusForbidden, missing, "reading doc_9982 needs approval"); err != nil {
		panic(err)
	}

	// What its client makes of it.
	demand, err := challenge.Parse(w.Code, w.Header(), w.Body.Bytes())
	if err != nil {
		panic(err)
	}
	fmt.Println(demand.Details[0])
	fmt.Println(demand.Source, "says:", demand.Description)

	// An ordinary refusal demands nothing.
	_, err = challenge.Parse(http.StatusForbidden, http.Header{}, nil)
	fmt.Println(errors.Is(err, challenge.ErrNone))
	// Output:
	// file_access read doc_9982
	// header says: reading doc_9982 needs approval
	// true
}
