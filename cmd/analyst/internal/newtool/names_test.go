package newtool

import (
	"strings"
	"testing"
)

func TestNamesThatAreRefused(t *testing.T) {
	for name, say := range map[string]string{
		"":                         "no name",
		"SearchDocuments":          "snake case",
		"search-documents":         "snake case",
		"search documents":         "snake case",
		"_search":                  "snake case",
		"search_":                  "snake case",
		"search__documents":        "snake case",
		"1st":                      "snake case",
		"größe":                    "snake case",
		"../search":                "snake case",
		"a/b":                      "snake case",
		"x\n":                      "snake case",
		strings.Repeat("a", 65):    "snake case",
		"set_model_response":       "ADK",
		"transfer_to_agent":        "ADK",
		"run_test":                 "_test",
		"list_windows":             "some systems only",
		"list_linux":               "some systems only",
		"list_wasm":                "some systems only",
		"list_darwin_arm64":        "some systems only",
		"adk_request_confirmation": "ADK",
	} {
		if err := checkName(name); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("checkName(%q) = %v, want an error with %q", name, err, say)
		}
	}
	for _, name := range []string{"a", "search_documents", "get_invoice2", "func", "windows", "linux_list", strings.Repeat("a", 64)} {
		if err := checkName(name); err != nil {
			t.Errorf("checkName(%q) = %v", name, err)
		}
	}
}

func TestCamel(t *testing.T) {
	for name, want := range map[string][2]string{
		"search_documents": {"SearchDocuments", "searchDocuments"},
		"get_api_url":      {"GetAPIURL", "getAPIURL"},
		"id":               {"ID", "id"},
		"func":             {"Func", "func"},
		"list_2fa_codes":   {"List2faCodes", "list2faCodes"},
	} {
		if got := [2]string{camel(name), lowerCamel(name)}; got != want {
			t.Errorf("camel, lowerCamel(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestPathsThatAreRefused(t *testing.T) {
	for path, say := range map[string]string{
		"v1/x/{id}":                   "begin with a slash",
		"/":                           "begin with a slash",
		"https://api.example/v1/{id}": "begin with a slash",
		"/v1//{id}":                   "neither plain nor",
		"/v1/../{id}":                 "neither plain nor",
		"/v1/./{id}":                  "neither plain nor",
		"/v1/x{id}":                   "neither plain nor",
		"/v1/{id}.json":               "neither plain nor",
		"/v1/a b/{id}":                "neither plain nor",
		"/v1/\"+evil+\"/{id}":         "neither plain nor",
		"/v1/{}":                      "neither plain nor",
		"/v1/{ID}":                    "no name for an argument",
		"/v1/{a-b}":                   "no name for an argument",
		"/v1/{id}/{id}":               "twice",
		"/v1/{id}?q={id}":             "twice",
		"/v1/x?q":                     "not name=value",
		"/v1/x?":                      "not name=value",
		"/v1/x?=a":                    "not name=value",
		"/v1/x?q=a{b}":                "neither plain nor",
		"/v1/x?q={q}&\"=x":            "not name=value",
		"/v1/x?q={q}\n":               "neither plain nor",
		"/v1/x/{id}#fragment":         "neither plain nor",
	} {
		if p, _, err := parsePath(path); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("parsePath(%q) = %v, %v, want an error with %q", path, p, err, say)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"/v1/invoices/{number}", "/v1/documents?query={query}", "/a/{b}/c?d=e&f={g}", "/a/{b:int}?c={d:list?}&e={f:x|y}", "/v1/{", "?"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		// What is accepted goes into Go source: render must find nothing to object to.
		sk, err := newSkeleton(options{Name: "a_tool", APIPath: s}, "p", "example.com/p")
		if err != nil {
			return
		}
		for _, name := range []string{"tool.go", "tool_test.go", "program.go"} {
			if _, err := sk.render(name); err != nil {
				t.Errorf("path %q: %v", s, err)
			}
		}
	})
}
