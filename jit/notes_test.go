package jit_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

// told returns the entries of a kind.
func (j *journal) told(kind jit.EntryKind) []jit.Entry {
	return slices.DeleteFunc(j.all(), func(e jit.Entry) bool { return e.Kind != kind })
}

// TestJournalTellsTheStory reads from the journal what a person who was not there
// wants to know of a call.
func TestJournalTellsTheStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &journal{}
		c := offline(t, jit.Config{Authority: &fake.Authority{}, Journal: log, AuthorityName: "test/agent"}, nil).over(guarded(needsPath))
		call := reading("doc_1")
		call.Args = map[string]any{"document_id": "doc_1", "note": strings.Repeat("é", 500)}
		ctx := c.task.Call(t.Context(), call)
		for range 2 {
			if status, _, err := c.sendCtx(ctx, "GET", c.base+"/docs/doc_1?q=secret", ""); err != nil || status != 200 {
				t.Fatalf("GET = %d, %v", status, err)
			}
		}
		jit.EndCall(ctx, jit.Result{Status: jit.CallOK})
		outside := reading("doc_2")
		outside.ID = "call-9"
		ctx = c.task.Call(t.Context(), outside)
		if _, _, err := c.sendCtx(ctx, "GET", c.base+"/docs/doc_1", ""); err == nil {
			t.Fatal("GET of another document works")
		}
		jit.EndCall(ctx, jit.Result{Status: jit.CallDenied, Message: "no more than doc_2"})
		if err := c.task.Complete(t.Context()); err != nil {
			t.Fatal(err)
		}

		first := log.told(jit.EntryCall)[0]
		var args map[string]string
		if err := json.Unmarshal(first.Args, &args); err != nil || args["document_id"] != "doc_1" || !strings.Contains(args["note"], "é… (1000 bytes, SHA-256 ") || len(args["note"]) > 400 {
			t.Errorf("args %s, want the long text cut", first.Args)
		}
		if diff := cmp.Diff(call.Ceiling, first.Ceiling); diff != "" || first.CallID != call.ID || first.Tool != call.Tool {
			t.Errorf("call %+v: ceiling (-want +got):\n%s", first, diff)
		}
		refused := log.told(jit.EntryRefused)
		if len(refused) != 2 || refused[0].HTTPStatus != 403 || !rar.Equal(refused[0].Demanded[0], read("doc_1")) || strings.Contains(refused[0].URL, "secret") {
			t.Errorf("refused %+v, want both calls' demands, without the query", refused)
		}
		blocked := log.told(jit.EntryBlocked)
		if len(blocked) != 1 || blocked[0].CallID != "call-9" || !rar.Equal(*blocked[0].Detail, read("doc_1")) || blocked[0].Error == "" {
			t.Errorf("blocked %+v, want the second call's demand", blocked)
		}
		uses := log.told(jit.EntryUse)
		if len(uses) != 2 || uses[0].RequestID == "" || uses[0].RequestID != log.told(jit.EntryGrant)[0].RequestID || uses[0].HTTPStatus != 200 {
			t.Errorf("uses %+v, want two of the grant", uses)
		}
		ended := log.told(jit.EntryCallEnded)
		if len(ended) != 2 || ended[0].Result != "ok" || ended[1].Result != "denied" || ended[1].Error != "no more than doc_2" || ended[1].CallID != "call-9" {
			t.Errorf("ended %+v", ended)
		}
		if e := log.told(jit.EntryTaskOpening)[0]; e.Authority != "test/agent" {
			t.Errorf("the task was opened at %q", e.Authority)
		}
		if e := log.told(jit.EntryTaskCompleted)[0]; e.Issued != 1 || e.Revoked != 1 {
			t.Errorf("completed with %d issued, %d revoked, want 1 and 1", e.Issued, e.Revoked)
		}
	})
}

// A tool's arguments may repeat a token that an API echoed.
func TestNotedArgumentsHoldNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &journal{}
		var token string
		answer := guarded(needsPath)
		c := offline(t, jit.Config{Authority: &fake.Authority{}, Journal: log}, nil).over(tripper(func(r *http.Request) (*http.Response, error) {
			token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			return answer(r)
		}))
		if _, _, err := c.send(t.Context(), reading("doc_1"), "GET", c.base+"/docs/doc_1", ""); err != nil {
			t.Fatal(err)
		}
		c.task.Call(t.Context(), jit.Call{ID: "2", Args: map[string]any{"text": "see " + token}})
		c.task.Call(t.Context(), jit.Call{ID: "3", Args: []string{strings.Repeat("x", 5000)}})
		c.task.Call(t.Context(), jit.Call{ID: "4", Args: func() {}})
		calls := log.told(jit.EntryCall)
		if got := string(calls[1].Args); token == "" || strings.Contains(got, token) || !strings.Contains(got, "see ") {
			t.Errorf("args %s hold the token", got)
		}
		if got := string(calls[2].Args); !strings.HasPrefix(got, `"5004 bytes, SHA-256 `) {
			t.Errorf("long args %.40s..., want their size", got)
		}
		if calls[3].Args != nil {
			t.Errorf("args that do not encode: %s", calls[3].Args)
		}
	})
}

func reading(id string) jit.Call {
	return jit.Call{ID: "call-1", Tool: "fetch", Ceiling: []rar.Detail{read(id)}}
}
