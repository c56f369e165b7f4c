package gemini_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/models/provider"
)

// answers returns a server that gives each body in turn, the last one again and again,
// and keeps what it was asked.
func answers(t *testing.T, asked *[]string, bodies ...string) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		*asked = append(*asked, string(b))
		body := bodies[min(len(*asked), len(bodies))-1]
		w.Header().Set("Content-Type", "application/json")
		if strings.Contains(r.URL.Path, "stream") {
			w.Header().Set("Content-Type", "text/event-stream")
			if !strings.HasPrefix(body, "data:") {
				body = "data: " + body + "\r\n\r\n"
			}
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func candidate(finish string, parts string) string {
	return fmt.Sprintf(`{"candidates":[{"content":{"role":"model","parts":[%s]},"finishReason":%q}]}`, parts, finish)
}

const aCall = `{"functionCall":{"name":"remove","args":{"id":1}}}`

// An answer that Google stopped makes no call, however whole the call looks.
func TestNoCallOfAStoppedAnswer(t *testing.T) {
	for _, reason := range []string{"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "SAFETY", "PROHIBITED_CONTENT", "MAX_TOKENS", "OTHER", "A_REASON_OF_TOMORROW"} {
		for _, stream := range []bool{false, true} {
			var asked []string
			srv := answers(t, &asked, candidate(reason, aCall))
			all, err := ask(t.Context(), with(t, provider.Config{BaseURL: base(t, srv.URL)}), request(), stream)
			if err == nil || !strings.Contains(err.Error(), "within a call, which is not made ("+reason+")") || len(all) > 0 || len(asked) != 1 {
				t.Errorf("%s, streamed %v: %v, %v after %d requests", reason, stream, all, err, len(asked))
			}
		}
	}
}

// A call that is to be continued, and is not, is not made.
func TestNoCallThatIsNotWhole(t *testing.T) {
	const begins = `{"functionCall":{"name":"remove","args":{"id":1},"willContinue":true}}`
	const more = `{"functionCall":{"name":"remove","partialArgs":[{"jsonPath":"$.id","numberValue":1}],"willContinue":true}}`
	for _, parts := range []string{begins, more, begins + "," + aCall, `{"text":"Now."},` + begins} {
		for _, stream := range []bool{false, true} {
			var asked []string
			srv := answers(t, &asked, candidate("STOP", parts))
			all, err := ask(t.Context(), with(t, provider.Config{BaseURL: base(t, srv.URL)}), request(), stream)
			if err == nil || !strings.Contains(err.Error(), "the answer broke off") || len(all) > 0 && !all[len(all)-1].Partial {
				t.Errorf("%s, streamed %v: %v, %v", parts, stream, all, err)
			}
		}
	}
	var asked []string
	srv := answers(t, &asked, "data: "+candidate("", more)+"\n\ndata: "+candidate("STOP", `{"functionCall":{}}`)+"\n\n")
	all, err := ask(t.Context(), with(t, provider.Config{BaseURL: base(t, srv.URL)}), request(), true)
	if err != nil || all[len(all)-1].Content.Parts[0].FunctionCall.Name != "remove" {
		t.Errorf("a call that was continued: %v, %v", all, err)
	}
}

// Whole numbers reach the tool as they were written; Google's library would round them.
func TestLongNumbersStayAsTheyAre(t *testing.T) {
	const args = `{"id":1234567890123456789,"list":[9007199254740993,-9007199254740993,9007199254740991],"deep":{"n":7.0,"e":1e300},"text":"9007199254740993 \"1"}`
	want := map[string]any{
		"id": json.Number("1234567890123456789"), "list": []any{json.Number("9007199254740993"), json.Number("-9007199254740993"), 9007199254740991.0},
		"deep": map[string]any{"n": 7.0, "e": json.Number("1e300")}, "text": `9007199254740993 "1`,
	}
	for _, stream := range []bool{false, true} {
		var asked []string
		srv := answers(t, &asked, candidate("STOP", `{"functionCall":{"name":"remove","args":`+args+`}}`))
		llm := with(t, provider.Config{BaseURL: base(t, srv.URL)})
		all, err := ask(t.Context(), llm, request(), stream)
		if err != nil {
			t.Fatal(err)
		}
		content := all[len(all)-1].Content
		if diff := cmp.Diff(want, content.Parts[0].FunctionCall.Args); diff != "" {
			t.Errorf("streamed %v (-want +got):\n%s", stream, diff)
		}
		req := request()
		req.Contents = append(req.Contents, content)
		if _, err := ask(t.Context(), llm, req, false); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(asked[1], `"id":"1234567890123456789"`) || strings.Contains(asked[1], ":1234567890123456789") {
			t.Errorf("the call goes back as %s", asked[1])
		}
		if diff := cmp.Diff(want, content.Parts[0].FunctionCall.Args); diff != "" {
			t.Errorf("the caller's arguments were changed (-want +got):\n%s", diff)
		}
	}
}

// A signature goes back to the server that made it, and to no other.
func TestSignaturesGoBackToTheirServer(t *testing.T) {
	var asked, elsewhere []string
	signed := candidate("STOP", `{"text":"Hm.","thought":true,"thoughtSignature":"dGhlIHRob3VnaHQ="},{"functionCall":{"name":"remove","args":{}},"thoughtSignature":"dGhlIGNhbGw="}`)
	srv := answers(t, &asked, signed, candidate("STOP", `{"text":"ok"}`))
	llm := with(t, provider.Config{BaseURL: base(t, srv.URL)})
	other := with(t, provider.Config{BaseURL: base(t, answers(t, &elsewhere, candidate("STOP", `{"text":"ok"}`)).URL)})
	all, err := ask(t.Context(), llm, request(), false)
	if err != nil {
		t.Fatal(err)
	}
	req := request()
	req.Contents = append(req.Contents, all[0].Content)
	for range 2 { // a session is sent again and again
		if _, err := ask(t.Context(), llm, req, false); err != nil {
			t.Fatal(err)
		}
		if last := asked[len(asked)-1]; !strings.Contains(last, "dGhlIGNhbGw=") || !strings.Contains(last, "dGhlIHRob3VnaHQ=") {
			t.Errorf("no signature goes back: %s", last)
		}
	}
	if _, err := ask(t.Context(), other, req, false); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(elsewhere[0], "hought") && strings.Contains(elsewhere[0], "ignature") {
		t.Errorf("a signature went to another server: %s", elsewhere[0])
	}
}

// Errors within a stream, in every form in which Google and gateways write them; one
// that comes before anything was shown is tried again.
func TestErrorsWithinAStream(t *testing.T) {
	const busy = `{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}`
	const half = `data: {"candidates":[{"content":{"role":"model","parts":[{"text":"Rev"}]}}]}` + "\r\n\r\n"
	for name, tail := range map[string]string{
		"data": "data: " + busy + "\r\n\r\n", "data, in an array": "data: [" + busy + "]\r\n\r\n", "bare": busy + "\n", "bare, over lines": strings.ReplaceAll(busy, " ", "\n") + "\n", "bare, in an array": "[\n" + busy + "\n]\n",
	} {
		var asked []string
		srv := answers(t, &asked, half+tail)
		all, err := ask(t.Context(), with(t, provider.Config{BaseURL: base(t, srv.URL), Retry: provider.RetryPolicy{Initial: time.Microsecond}}), request(), true)
		if err == nil || !strings.Contains(err.Error(), "the provider failed (503 UNAVAILABLE)") || len(all) != 1 || len(asked) != 1 {
			t.Errorf("%s: %v, %v after %d requests", name, all, err, len(asked))
		}
		asked = nil
		srv = answers(t, &asked, "data:\n\n"+tail, candidate("STOP", `{"text":"Revenue rose."}`))
		all, err = ask(t.Context(), with(t, provider.Config{BaseURL: base(t, srv.URL), Retry: provider.RetryPolicy{Initial: time.Microsecond}}), request(), true)
		if err != nil || all[len(all)-1].Content.Parts[0].Text != "Revenue rose." || len(asked) != 2 {
			t.Errorf("%s, before anything: %v, %v after %d requests", name, all, err, len(asked))
		}
	}
	var asked []string
	srv := answers(t, &asked, half[:len(half)/2], candidate("STOP", `{"text":"Revenue rose."}`))
	if _, err := ask(t.Context(), with(t, provider.Config{BaseURL: base(t, srv.URL), Retry: provider.RetryPolicy{Initial: time.Microsecond}}), request(), true); err != nil || len(asked) != 2 {
		t.Errorf("broken off before anything: %v after %d requests", err, len(asked))
	}
}

// One event may stand on several lines of data.
func TestEventsOverSeveralLines(t *testing.T) {
	var pretty strings.Builder
	for _, line := range strings.SplitAfter(`{"candidates":[`+"\n"+`{"content":{"role":"model","parts":[{"text":"It rose."}]},`+"\n"+`"finishReason":"STOP"}]}`, "\n") {
		pretty.WriteString("data: " + line)
	}
	var asked []string
	srv := answers(t, &asked, pretty.String()+"\n\n")
	all, err := ask(t.Context(), with(t, provider.Config{BaseURL: base(t, srv.URL)}), request(), true)
	if err != nil || all[len(all)-1].Content.Parts[0].Text != "It rose." {
		t.Errorf("got %v, %v", all, err)
	}
}

// Whatever a server makes of what is not needed, and in whatever form it answers, the
// answer is the same.
func TestFormsOfAnswers(t *testing.T) {
	plain := candidate("STOP", `{"text":"It rose."},`+aCall)
	more := func(member string) string { return strings.Replace(plain, `"candidates"`, member+`,"candidates"`, 1) }
	within := func(member string) string {
		return strings.Replace(plain, `"finishReason"`, member+`,"finishReason"`, 1)
	}
	for name, body := range map[string]string{
		"usage as text": more(`"usageMetadata":"none"`), "usage as a list": more(`"usageMetadata":[]`), "counts as text": more(`"usageMetadata":{"promptTokenCount":"7","totalTokenCount":9.0,"promptTokensDetails":{}}`),
		"a version that is none": more(`"modelVersion":7`), "feedback": more(`"promptFeedback":"none"`), "a null": more(`"usageMetadata":null,"promptFeedback":null`),
		"ratings": within(`"safetyRatings":"low"`), "an index as text": within(`"index":"0"`), "citations": within(`"citationMetadata":[]`), "grounding": within(`"groundingMetadata":"none","avgLogprobs":"x","tokenCount":"9"`),
		"lower case": candidate("stop", `{"text":"It rose."},`+aCall), "another's word": candidate("tool_calls", `{"text":"It rose."},`+aCall), "a signature that is none": strings.Replace(plain, `"functionCall"`, `"thoughtSignature":"*","functionCall"`, 1),
		"arguments as text": strings.Replace(plain, `{"id":1}`, `"{\"id\":1}"`, 1), "an id that is a number": strings.Replace(plain, `"name":"remove"`, `"id":7,"name":"remove"`, 1),
		"an array": "[" + plain + "]", "JSON": plain,
	} {
		for _, stream := range []bool{false, true} {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, body)
			}))
			all, err := ask(t.Context(), with(t, provider.Config{BaseURL: base(t, srv.URL)}), request(), stream)
			srv.Close()
			if err != nil {
				t.Errorf("%s, streamed %v: %v", name, stream, err)
				continue
			}
			final := all[len(all)-1]
			if p := final.Content.Parts; len(p) != 2 || p[0].Text != "It rose." || p[1].FunctionCall == nil || p[1].FunctionCall.Args["id"] != 1.0 || final.FinishReason != "STOP" {
				t.Errorf("%s, streamed %v: %+v", name, stream, final)
			}
			if u := final.UsageMetadata; strings.HasPrefix(name, "counts") && (u == nil || u.PromptTokenCount != 7 || u.TotalTokenCount != 9) {
				t.Errorf("%s, streamed %v: usage %+v", name, stream, u)
			}
		}
	}
	for name, body := range map[string]string{
		"a name twice": strings.Replace(plain, `"id":1`, `"id":1,"id":2`, 1), "half a pair": strings.Replace(plain, "It rose.", `\ud800`, 1),
		"a text that is none": strings.Replace(plain, `"It rose."`, `{}`, 1), "a page": "<html>\n<p>sign in</p>",
	} {
		for _, stream := range []bool{false, true} {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
			all, err := ask(t.Context(), with(t, provider.Config{BaseURL: base(t, srv.URL)}), request(), stream)
			srv.Close()
			if err == nil || !strings.Contains(err.Error(), "could not be read") || len(all) > 0 {
				t.Errorf("%s, streamed %v: %v, %v", name, stream, all, err)
			}
		}
	}
}

// Every signature goes back with its part, however they are cut into pieces.
func TestSignaturesOfAStream(t *testing.T) {
	parts := []string{
		`{"text":"Hm.","thought":true,"thoughtSignature":"YQ=="}`, `{"text":"So.","thought":true,"thoughtSignature":"Yg=="}`, `{"text":"It "}`, `{"text":"rose.","thoughtSignature":"Yw=="}`,
		`{"functionCall":{"name":"remove","args":{"id":1}}}`, `{"functionCall":{"name":"remove","args":{"id":2}},"thoughtSignature":"ZA=="}`, `{"text":"","thoughtSignature":"ZQ=="}`,
	}
	for size := range len(parts) + 1 {
		var body strings.Builder
		for rest := parts; size > 0 && len(rest) > 0; rest = rest[min(size, len(rest)):] {
			body.WriteString("data: " + strings.Replace(candidate("", strings.Join(rest[:min(size, len(rest))], ",")), `,"finishReason":""`, "", 1) + "\n\n")
		}
		body.WriteString("data: " + candidate("STOP", "") + "\n\n")
		if size == 0 {
			body.Reset()
			body.WriteString("data: " + candidate("STOP", strings.Join(parts, ",")) + "\n\n")
		}
		var asked []string
		llm := with(t, provider.Config{BaseURL: base(t, answers(t, &asked, body.String(), candidate("STOP", `{"text":"ok"}`)).URL)})
		all, err := ask(t.Context(), llm, request(), true)
		if err != nil {
			t.Fatal(err)
		}
		req := request()
		req.Contents = append(req.Contents, all[len(all)-1].Content)
		if _, err := ask(t.Context(), llm, req, false); err != nil {
			t.Fatal(err)
		}
		var sent struct {
			Contents []struct{ Parts []map[string]any }
		}
		if err := json.Unmarshal([]byte(asked[1]), &sent); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range sent.Contents[1].Parts {
			got = append(got, fmt.Sprintf("%v %v %v", p["text"], p["functionCall"] != nil, p["thoughtSignature"]))
		}
		want := []string{"Hm. false YQ==", "So. false Yg==", "It rose. false Yw==", "<nil> true <nil>", "<nil> true ZA==", "<nil> false ZQ=="}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d parts a piece (-want +got):\n%s", size, diff)
		}
	}
}

// An error of 200 is named in whichever way it was asked.
func TestErrorsUnder200(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":{"code":503,"message":"busy","status":"UNAVAILABLE","details":"none"}}`:                           "the provider failed (503 UNAVAILABLE)",
		`[{"error":{"code":"429","message":"busy","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"7s"}]}}]`: "wait 7s",
		`{"error":"busy"}`: "the provider failed",
	} {
		for _, stream := range []bool{false, true} {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
			all, err := ask(t.Context(), with(t, provider.Config{BaseURL: base(t, srv.URL)}), request(), stream)
			srv.Close()
			if err == nil || !strings.Contains(err.Error(), want) || len(all) > 0 {
				t.Errorf("%s, streamed %v: %v, %v", body, stream, all, err)
			}
		}
	}
}
