package jit_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// A type's own rule decides even where demand and ceiling are the same, word for
// word, and so it does for what was granted.
func TestRuleDecidesOnTheVerySameDetail(t *testing.T) {
	for name, test := range map[string]struct {
		allow int // how many comparisons the rule lets pass
		asked int
		want  error
	}{
		"demand": {0, 0, jit.ErrOutsideCeiling},
		"grant":  {1, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			compared := 0
			rules := rar.Rules{"file_access": func(rar.Detail, rar.Detail) error {
				if compared++; compared > test.allow {
					return errors.New("not today")
				}
				return nil
			}}
			authority := &fake.Authority{Issue: func(_ string, d rar.Detail) jit.Issued {
				return jit.Issued{Token: secret.New(fake.TokenFor(d)), Details: []rar.Detail{d}}
			}}
			c := offline(t, jit.Config{Authority: authority, Rules: rules}, nil)
			_, err := c.get(t.Context(), "doc_1", read("doc_1"))
			if err == nil || !strings.Contains(err.Error(), "not today") || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("GET = %v, want the rule's no", err)
			}
			if n := len(authority.Requests()); n != test.asked {
				t.Errorf("%d requests, want %d", n, test.asked)
			}
		})
	}
}

// No member of a demand may carry a token: it would be in events and errors.
func TestDemandThatRepeatsATokenIsNotRead(t *testing.T) {
	const token = fake.BaseToken
	for name, d := range map[string]rar.Detail{
		"type":       {Type: token},
		"identifier": {Type: "file_access", Identifier: "x" + token},
		"actions":    {Type: "file_access", Actions: []string{"read", token}},
		"locations":  {Type: "file_access", Locations: []string{"https://api.example.com/?t=" + token}},
		"datatypes":  {Type: "file_access", DataTypes: []string{token}},
		"privileges": {Type: "file_access", Privileges: []string{token}},
		"a member":   {Type: "file_access", Extra: map[string]json.RawMessage{"note": json.RawMessage(`{"deep":["` + token + `"]}`)}},
		"its name":   {Type: "file_access", Extra: map[string]json.RawMessage{token: json.RawMessage(`1`)}},
	} {
		t.Run(name, func(t *testing.T) {
			authority := &fake.Authority{}
			told := 0
			c := offline(t, jit.Config{Authority: authority}, func(e jit.Event) {
				text := must(json.Marshal(e))
				if strings.Contains(string(text), token) {
					t.Errorf("the event %s", text)
				}
				if e, ok := e.(jit.Refused); ok && e.Error != "" && e.Demanded == nil {
					told++
				}
			}).over(guarded(func(*http.Request) rar.Detail { return d }))
			_, err := c.get(t.Context(), "doc_1", d)
			if err == nil || !strings.Contains(err.Error(), "it repeats a token") || strings.Contains(err.Error(), token) {
				t.Errorf("GET = %v, want a refusal to read that", err)
			}
			if told != 1 || len(authority.Requests()) != 0 {
				t.Errorf("told %d times, and %d requests, want once and none", told, len(authority.Requests()))
			}
		})
	}
}
