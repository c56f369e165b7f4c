package approval_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/approval"
)

func request() approval.Request {
	return approval.Request{
		ID: "jitr_1", TaskID: "task_1", TaskName: "Clean up",
		Details: []rar.Detail{{
			Type: "file_access", Actions: []string{"read", "delete"}, Identifier: "doc_7310", Locations: []string{"https://api.example"},
			Extra: map[string]json.RawMessage{"limit": json.RawMessage(`3`)},
		}},
		Tool: "tidy", CallID: "call_1", Args: []byte(`{ "n": 1234567890123456789, "document_id": "doc_7310" }`), Origin: "https://api.example",
		Agent: "analyst (agt_1)", OnBehalfOf: "ada@acme-corp.example", User: "ada", Risk: "high", Justification: "I need it",
		TTL: 5 * time.Minute, ExpiresAt: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		Before: []approval.Earlier{{Detail: rar.Detail{Type: "file_access", Actions: []string{"delete"}}, Status: "denied"}},
	}
}

// hostile is a request whose every text tries to pass for something else.
func hostile() approval.Request {
	r := request()
	evil := "ok\x1b[2J\u202etxt.exe\u200b\nrisk  low\\n\x80"
	r.TaskName, r.Tool, r.Agent, r.Risk, r.Justification = evil, evil, evil, evil, evil+strings.Repeat("a", 5000)
	r.Details = []rar.Detail{{Type: evil, Actions: []string{"read, write"}, Extra: map[string]json.RawMessage{evil: json.RawMessage(`"` + "\u202e" + `"`)}}}
	return r
}

func TestTextShowsAllAndDrivesNothing(t *testing.T) {
	var got strings.Builder
	for _, r := range []approval.Request{request(), hostile(), {ID: "jitr_2", Problem: "not one detail"}} {
		got.WriteString(r.Text() + "--\n")
	}
	const golden = "testdata/text.golden"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"\x1b", "\u202e", "\u200b", "\nrisk  low"} {
		if strings.Contains(got.String(), bad) {
			t.Errorf("the text holds %q", bad)
		}
	}
	if !utf8.ValidString(got.String()) {
		t.Error("the text is not UTF-8")
	}
}

func TestDigestBindsWhatIsShown(t *testing.T) {
	r := request()
	same := request()
	same.Args = []byte(`{"document_id":"doc_7310","n":1234567890123456789}`)
	same.Details[0].Locations = []string{"https://api.example"}
	if r.Digest() != same.Digest() {
		t.Error("spaces and order of arguments change the digest")
	}
	for name, change := range map[string]func(*approval.Request){
		"details":   func(r *approval.Request) { r.Details[0].Actions = []string{"read"} },
		"member":    func(r *approval.Request) { r.Details[0].Extra["limit"] = json.RawMessage(`4`) },
		"task":      func(r *approval.Request) { r.TaskID = "task_2" },
		"tool":      func(r *approval.Request) { r.Tool = "other" },
		"call":      func(r *approval.Request) { r.CallID = "call_2" },
		"arguments": func(r *approval.Request) { r.Args = []byte(`{"n":1234567890123456788,"document_id":"doc_7310"}`) },
		"origin":    func(r *approval.Request) { r.Origin = "https://other.example" },
		"expiry":    func(r *approval.Request) { r.ExpiresAt = r.ExpiresAt.Add(time.Second) },
		"request":   func(r *approval.Request) { r.ID = "jitr_2" },
	} {
		other := request()
		if change(&other); other.Digest() == r.Digest() {
			t.Errorf("another %s has the same digest", name)
		}
	}
}

func TestLess(t *testing.T) {
	r := request()
	less, err := r.Less([]string{"actions=delete"})
	if err != nil || len(less) != 1 || cmp.Diff(less[0].Actions, []string{"read"}) != "" || len(r.Details[0].Actions) != 2 {
		t.Errorf("Less() = %v, %v; the request is %v", less, err, r.Details)
	}
	if shown, err := r.Less([]string{"action=delete"}); cmp.Diff(shown, less) != "" || err != nil {
		t.Errorf("the word that is shown: %v, %v", shown, err)
	}
	if _, err := r.Less([]string{"object=" + r.Details[0].Identifier}); err == nil || !strings.Contains(err.Error(), "nothing would be left") {
		t.Errorf("without its object: %v", err)
	}
	for _, take := range [][]string{{"actions=write"}, {"actions"}, {"identifier=doc_7310"}, {"actions=read", "actions=delete"}, {"locations=https://api.example"}} {
		if less, err := r.Less(take); err == nil {
			t.Errorf("Less(%q) = %v", take, less)
		}
	}
	r.OnlyWhole = true
	if _, err := r.Less([]string{"actions=delete"}); err == nil {
		t.Error("a server that grants a request whole is asked for less")
	}
	wider := request().Details
	wider[0].Actions = append(wider[0].Actions, "write")
	if request().Within(wider) == nil || request().Within(nil) == nil {
		t.Error("more than was asked, or nothing, is within it")
	}
}
