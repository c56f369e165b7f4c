package lumoauth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/secret"
)

// testAnswer is a success with the given body.
func testAnswer(body []byte) answer {
	return answer{status: 200, header: http.Header{}, body: body, hide: hiding(secret.New(testSecret))}
}

// lenient decodes as encoding/json does: an oracle that shares no code with the
// decoder under test. ok is false when it cannot.
func lenient(body []byte) (m map[string]any, ok bool) {
	err := json.Unmarshal(body, &m)
	return m, err == nil && m != nil
}

func FuzzDecision(f *testing.F) {
	for _, s := range []string{
		`{"request_id":"jit_1","status":"approved","granted_ttl":300,"task_id":"task_1"}`,
		`{"request_id":"jit_1","status":"pending","expires_at":"2030-01-01T00:00:00Z","delegation_consent_required":true}`,
		`{"request_id":"jit_1","status":"denied","agent_message":"no ` + testSecret + `"}`,
		`{"status":"approved"}`, `{"request_id":"a/../b","status":"approved"}`, `{"status":"denied","status":"approved"}`, `[]`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		answered := func(context.Context, call) (answer, error) { return testAnswer(body), nil }
		got, err := ask(t.Context(), call{op: opRequest}, answered, decisionOf("", "task_1"))
		if err != nil {
			if !cmp.Equal(got, jit.Decision{}) {
				t.Fatalf("a decision came with the error %v", err)
			}
			if len(body) > 0 && len(err.Error()) > 2*maxMessage {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		m, ok := lenient(body)
		if got.Status == jit.StatusApproved && (!ok || m["status"] != "approved" || m["request_id"] != got.RequestID || got.RequestID == "") {
			t.Fatalf("%s reads as approved", body)
		}
		if got.TaskID != "task_1" || got.TTL < 0 || got.RetryAfter < 0 {
			t.Fatalf("%s reads as %+v", body, got)
		}
		text := fmt.Sprintf("%+v", got)
		if strings.Contains(got.Message+got.Risk, testSecret) || strings.ContainsAny(text, "\x00\r\n\x1b") || len(got.Message) > maxMessage {
			t.Fatalf("%q has unclean words", text)
		}
	})
}

func FuzzErrorBody(f *testing.F) {
	for _, s := range []string{
		`{"error":"invalid_scope","error_description":"no"}`, `{"error":true,"message":"m","code":"c"}`, `{"detail":"d"}`,
		`{"error":"x","max_depth":3,"retry_after":30}`, `{"retry_after":1e308,"max_depth":-1}`, `<html>`, ``,
		`{"error":"` + testSecret + `"}`,
	} {
		f.Add([]byte(s), 400)
	}
	c := &Client{}
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		a := testAnswer(body)
		a.status = status
		e := c.refused(call{op: opRequest, repeat: repeatSafe}, a, string(body))
		text := e.Error()
		if strings.Contains(text, testSecret) || strings.ContainsAny(text, "\x00\r\n\x1b") || len(text) > 2*maxMessage {
			t.Fatalf("unclean error %q", text)
		}
		if e.RetryAfter < 0 || e.RetryAfter > maxRetryAfter || e.MaxDepth < 0 {
			t.Fatalf("error with %v and depth %d", e.RetryAfter, e.MaxDepth)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"5", "2.5", "-1", "NaN", "Inf", "1e400", "0x10", "Fri, 31 Dec 1999 23:59:59 GMT", "soon", ""} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, v, date string) {
		d, ok := retryAfter(http.Header{"Retry-After": {v}, "Date": {date}}, time.Unix(1800000000, 0))
		if d < 0 || d > maxRetryAfter || !ok && d != 0 {
			t.Fatalf("retryAfter(%q) = %v, %v", v, d, ok)
		}
	})
}
