package jit_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

// What a person decided is used only for what the call asks; what differs is named, and
// it is no denial.
func TestDecisionAboutSomethingElseIsNotUsed(t *testing.T) {
	call := jit.Call{ID: "1", Tool: "report", Ceiling: []rar.Detail{read("doc_1")}, Args: map[string]any{"n": 1}}
	for name, tt := range map[string]struct {
		says  jit.Decision
		names string
	}{
		"the same":             {jit.Decision{Details: []rar.Detail{read("doc_1")}, For: &jit.Purpose{Tool: "report", CallID: "1", Args: []byte(` {"n": 1} `)}}, ""},
		"nothing":              {jit.Decision{}, ""},
		"another detail":       {jit.Decision{Details: []rar.Detail{read("doc_2")}}, "authorization_details"},
		"another tool":         {jit.Decision{For: &jit.Purpose{Tool: "other", Args: []byte(`{"n":1}`)}}, "tool"},
		"other arguments":      {jit.Decision{For: &jit.Purpose{Tool: "report", Args: []byte(`{"n":2}`)}}, "arguments"},
		"no arguments":         {jit.Decision{For: &jit.Purpose{Tool: "report"}}, "arguments"},
		"an API it is not for": {jit.Decision{For: &jit.Purpose{Tool: "report", Args: []byte(`{"n":1}`), Origin: "https://api.example"}}, "origin"},
		"another user":         {jit.Decision{For: &jit.Purpose{Tool: "report", Args: []byte(`{"n":1}`), User: "bob"}}, "user"},
	} {
		for _, atOnce := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				decided := func(string, int) (jit.Decision, error) {
					says := tt.says
					says.Status = jit.StatusApproved
					return says, nil
				}
				authority := &fake.Authority{
					Decide: func(jit.Request) (jit.Decision, error) { return jit.Decision{Status: jit.StatusPending}, nil },
					Look:   decided,
				}
				if atOnce {
					authority.Decide = func(jit.Request) (jit.Decision, error) { return decided("", 0) }
				}
				c := offline(t, jit.Config{Authority: authority, Wait: time.Minute}, nil)
				for n := range 2 { // the second time it is asked anew
					_, err := jit.Acquire(c.task.Call(t.Context(), call), read("doc_1"))
					denied, refused := errors.AsType[*jit.DeniedError](err)
					if tt.names == "" && err != nil || tt.names != "" && (!refused || !strings.Contains(denied.Message, "its "+tt.names+" differs") ||
						authority.Redeemed() != 0 || len(authority.Requests()) != n+1) {
						t.Errorf("%s: Acquire() = %v after %d requests and %d tokens", name, err, len(authority.Requests()), authority.Redeemed())
					}
				}
			})
		}
	}
}
