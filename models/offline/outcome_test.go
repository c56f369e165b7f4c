package offline

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadOutcome(t *testing.T) {
	refused := func(kind failureKind, reason string) outcome {
		return outcome{id: "d", failure: failure{kind: kind, reason: reason}}
	}
	read := func(title, text string) outcome { return outcome{id: "d", ok: true, title: title, text: text} }
	tests := []struct {
		result string // JSON; empty for a call without a result
		want   outcome
	}{
		{"", refused(failed, "the call was interrupted and no result was recorded")},
		{`null`, refused(failed, "the tool returned no text")},
		{`{}`, refused(failed, "the tool returned no text")},
		{`{"error":"broken."}`, refused(failed, "broken")},
		{`{"error":true,"message":"nope"}`, refused(failed, "nope")},
		{`{"error":["x"]}`, refused(failed, "")},
		{`{"error":"x","content":"text all the same"}`, refused(failed, "x")},
		{`{"status":"denied","reason":"too risky"}`, refused(denied, "too risky")},
		{`{"Status":"DENIED","content":"said no"}`, refused(denied, "")},
		{`{"status":"not_found"}`, refused(notFound, "")},
		{`{"code":404,"message":"unknown"}`, refused(notFound, "unknown")},
		{`{"error":"forbidden","error_description":"not for you"}`, refused(denied, "not for you")},
		{`{"error":{"code":"not_found","message":"gone"}}`, refused(notFound, "gone")},
		{`{"status":"pending","request_id":"r1","expires_at":"t1","decide_at":"https://x.test/r1"}`,
			outcome{id: "d", failure: failure{kind: pending, requestID: "r1", expiresAt: "t1", decideAt: "https://x.test/r1"}}},
		{`{"status":"waiting","requestId":"r1"}`, outcome{id: "d", failure: failure{kind: pending, requestID: "r1"}}},

		{`{"title":"T","content":"words"}`, read("T", "words")},
		{`{"name":"T","body":"words"}`, read("T", "words")},
		{`{"result":{"document":{"Title":"T","Text":"words"}}}`, read("T", "words")},
		{`{"result":"words"}`, read("", "words")},
		{`{"result":"{\"id\":\"d\",\"title\":\"T\",\"content\":\"words\"}"}`, read("T", "words")},
		{`{"result":"{\"document_id\":\"d\",\"body\":\"words\"}"}`, read("", "words")},
		{`{"result":"{\"data\":{\"text\":\"words\"}}"}`, read("", "words")},
		{`{"result":"{no JSON"}`, read("", "{no JSON")},
		{`{"output":["one","two"]}`, read("", "one\n\ntwo")},
		{`{"content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]}`, read("", "one\n\ntwo")},
		{`{"status":"draft","title":"T","content":"words"}`, read("T", "words")},
		{`{"status":"pending","title":"Contract","content":"a contract that is pending"}`, read("Contract", "a contract that is pending")},
		{`{"payload":"some forty characters of text in a member of its own"}`, read("", "some forty characters of text in a member of its own")},
		{`{"content":"words","truncated":"cut at 10"}`, outcome{id: "d", ok: true, text: "words", partial: true}},
	}
	for _, tt := range tests {
		x := &exchange{answered: tt.result != ""}
		if tt.result != "" {
			if err := json.Unmarshal([]byte(tt.result), &x.result); err != nil {
				t.Fatal(err)
			}
		}
		got := readOutcome("d", x, true)
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(outcome{}, failure{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.result, diff)
		}
	}
}

func TestReadOutcomeOfAReport(t *testing.T) {
	x := &exchange{answered: true, result: map[string]any{"id": "rep_1", "title": "T", "path": "reports/t.md"}}
	got := readOutcome("", x, false)
	if !got.ok || got.id != "rep_1" || got.where != "reports/t.md" {
		t.Errorf("got %+v", got)
	}
	x.result = map[string]any{"result": `{"id":"rep_2","url":"https://x.test/2"}`}
	if got := readOutcome("", x, false); !got.ok || got.id != "rep_2" || got.where != "https://x.test/2" {
		t.Errorf("a body handed on as text: got %+v", got)
	}
	x.result = map[string]any{"status": "denied", "error": "no"}
	if got := readOutcome("", x, false); got.ok || got.failure.kind != denied {
		t.Errorf("denied: got %+v", got)
	}
}
