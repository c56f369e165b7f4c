package policy_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/rar"
)

const whole = `
tools:
  fetch_document:
    ceilings:
      - type: document_access
        actions: [read]
        identifier: "{document_id}"
        locations: ["{api}/v1/documents/{document_id}"]
      - {type: file_access, actions: [read], identifier: all, locations: ["{api}"], datatypes: [text]}
  create_report:
    ceilings:
      - type: file_access
        actions: [create]
        locations: [https://api.example.com/v1/]
      - scopes: [reports:write, "reports:read"]
      - scopes: []
`

// known are the tools that there are.
var known = map[string][]string{"fetch_document": {"document_id"}, "create_report": nil}

func TestCeilings(t *testing.T) {
	p, err := policy.Parse([]byte(whole), known)
	if err != nil {
		t.Fatal(err)
	}
	base := &url.URL{Scheme: "https", Host: "api.test", Path: "/base/"}
	first := rar.Detail{Type: "document_access", Actions: []string{"read"}, Identifier: "doc/1", Locations: []string{"https://api.test/base/v1/documents/doc%2F1"}}
	second := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "all", Locations: []string{"https://api.test/base"}, DataTypes: []string{"text"}}
	slashed := second.Clone()
	slashed.Locations[0] += "/"
	for name, tt := range map[string]struct {
		tool string
		base *url.URL
		args map[string]any
		want []rar.Detail
	}{
		"filled":          {"fetch_document", base, map[string]any{"document_id": "doc/1"}, []rar.Detail{first, second, slashed}},
		"absent argument": {"fetch_document", base, nil, []rar.Detail{second, slashed}},
		"empty argument":  {"fetch_document", base, map[string]any{"document_id": ""}, []rar.Detail{second, slashed}},
		"odd argument":    {"fetch_document", base, map[string]any{"document_id": []any{"doc_1"}}, []rar.Detail{second, slashed}},
		"no API":          {"fetch_document", nil, map[string]any{"document_id": "doc/1"}, nil},
		"no placeholder":  {"create_report", nil, nil, []rar.Detail{{Type: "file_access", Actions: []string{"create"}, Locations: []string{"https://api.example.com/v1/"}}, rar.Scopes("reports:read", "reports:write"), rar.Scopes()}},
		"another tool":    {"delete_document", base, map[string]any{"document_id": "doc_1"}, nil},
	} {
		if diff := cmp.Diff(tt.want, p.Ceiling(tt.tool, tt.base, tt.args)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	var none *policy.Policy
	if none.Ceiling("fetch_document", base, nil) != nil || none.Tools() != nil {
		t.Error("no policy widens something")
	}
}

func TestEveryMistakeIsNamed(t *testing.T) {
	_, err := policy.Parse([]byte(`
tools:
  a:
    ceilings:
      - type: "{x}"
        actions: [read]
      - actions: [read]
      - type: t
      - type: t
        actions: [read]
        ident: x
      - {type: t, actions: read}
      - {type: t, actions: [1]}
      - {type: t, actions: [read], identifier: "{a"}
      - {type: t, actions: [read], identifier: "{api}"}
      - {type: t, actions: [read], locations: ["/v1"]}
      - {type: t, actions: [read], locations: ["{host}/v1"]}
      - {type: t, type: u, actions: [read]}
      - {scopes: [a], type: t}
      - {type: oauth_scope, actions: [a]}
      - {scopes: [a], locations: ["{api}"]}
      - {scopes: [a b]}
      - {scopes: ["{x}"]}
      - {scopes: {}}
  c:
    ceilings: [{type: t, actions: [read], identifier: "{any}"}]
  a_document:
    ceilings:
      - {type: t, actions: [read], identifier: "{ident}-{id}", locations: ["{api}/{page}"]}
more: 1
`), map[string][]string{"a": {"x", "a", "host"}, "b": nil, "a_report": nil, "a_document": {"id", "title"}})
	if err == nil {
		t.Fatal("Parse() = nil")
	}
	for _, want := range []string{
		`line 5: "{x}": braces`, "line 7: a ceiling has no type", "line 8: a ceiling of type t has no actions", `line 11: "ident" is no member of a ceiling`,
		"line 12: the list is not a list", `line 13: "1" is no text`, `line 14: "{a": a brace`, `line 15: "{api}": {api} stands at the beginning`,
		`line 16: "/v1" is no location`, `line 17: "{host}/v1" is no location`, "line 18: a ceiling has type twice",
		"line 19: a ceiling of scopes is scopes: [...]", "line 20: a ceiling of scopes is", "line 21: a member beside the scopes", `line 22: "a b" is no scope`, `line 23: "{x}": braces`, "line 24: the list is not a list",
		"line 25: there is no tool c: there are a, a_document, a_report, b", `line 29: a_document has no argument ident: it has id, title`, "line 29: a_document has no argument page", `line 30: "more" is no member of the file`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %q:\n%v", want, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "is empty",
		"tools":                    "not names with values",
		"tools: {a: {}}":           "nothing is said of a",
		"tools: {a: {}, a: {}}":    "a",
		"a: &x {}\ntools: *x":      "tools is not names with values",
		"tools: {<<: {a: 1}}":      "no plain text",
		"tools: {a: [":             "policy: ",
		strings.Repeat(" ", 1<<19): "larger than",
	} {
		if p, err := policy.Parse([]byte(text), map[string][]string{"a": nil}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%.40q) = %v, %v, want an error with %q", text, p, err, want)
		}
	}
}

// A scope reads if its last word does.
func TestBoundOfScopes(t *testing.T) {
	for scope, want := range map[string]string{
		"files:read": "", "https://api.test/auth/drive.readonly": "", "read": "", "files:write": "write", "mail.send": "send", "x:": "x:", ":": ":",
	} {
		if aim := policy.Bound("mail", []rar.Detail{rar.Scopes(scope)}, nil); aim.Effect != want {
			t.Errorf("%s makes the effect %q, want %q", scope, aim.Effect, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := policy.Parse([]byte(text), known)
		if err != nil {
			return
		}
		for _, tool := range p.Tools() {
			for _, d := range p.Ceiling(tool, &url.URL{Scheme: "https", Host: "api.test"}, map[string]any{"document_id": "x"}) {
				if d.Type == "" || len(d.Actions) == 0 && !d.IsScopes() {
					t.Errorf("%q allows %v", text, d)
				}
			}
		}
	})
}
