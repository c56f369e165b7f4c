package openai_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// However a server cuts a call's arguments, and however it marks the pieces.
func TestCallsInPieces(t *testing.T) {
	const args = `{"id":"dök_👩","n":[1,{"q":"\\\""}]}`
	want := map[string]any{"id": "dök_👩", "n": []any{1.0, map[string]any{"q": `\"`}}}
	quote := func(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) }
	runes := []rune(args)
	for cut := range len(runes) {
		first, second := quote(string(runes[:cut])), quote(string(runes[cut:]))
		for name, deltas := range map[string][2]string{
			"by index":           {`{"index":0,"id":"a","function":{"name":"fetch","arguments":"` + first + `"}}`, `{"index":0,"function":{"arguments":"` + second + `"}}`},
			"the head repeated":  {`{"index":0,"id":"a","function":{"name":"fetch","arguments":"` + first + `"}}`, `{"index":0,"id":"a","function":{"name":"fetch","arguments":"` + second + `"}}`},
			"without an index":   {`{"id":"a","function":{"name":"fetch","arguments":"` + first + `"}}`, `{"function":{"arguments":"` + second + `"}}`},
			"by id":              {`{"id":"a","function":{"name":"fetch","arguments":"` + first + `"}}`, `{"id":"a","function":{"arguments":"` + second + `"}}`},
			"a name in pieces":   {`{"index":0,"id":"a","function":{"name":"fe","arguments":""}},{"index":0,"function":{"name":"tch","arguments":"` + first + `"}}`, `{"index":0,"function":{"arguments":"` + second + `"}}`},
			"null for nothing":   {`{"index":0,"id":"a","function":{"name":"fetch","arguments":null}},{"index":0,"id":null,"function":{"name":null,"arguments":"` + first + `"}}`, `{"index":0,"function":{"arguments":"` + second + `"}}`},
			"an index of one":    {`{"index":1,"id":"a","function":{"name":"fetch","arguments":"` + first + `"}}`, `{"index":1,"function":{"arguments":"` + second + `"}}`},
			"another index each": {`{"index":0,"id":"a","function":{"name":"fetch"}},{"index":1,"function":{"arguments":"` + first + `"}}`, `{"index":2,"function":{"arguments":"` + second + `"}}`},
			"the name at last":   {`{"index":0,"id":"a","function":{"arguments":"` + first + `"}}`, `{"index":0,"function":{"arguments":"` + second + `"}},{"index":0,"function":{"name":"fetch"}}`},
			"an id that is late": {`{"index":0,"function":{"name":"fetch","arguments":"` + first + `"}}`, `{"index":0,"id":"a","function":{"arguments":"` + second + `"}}`},
		} {
			final, partial := answered(t, events(`"delta":{"tool_calls":[`+deltas[0]+`]}`, `"delta":{"tool_calls":[`+deltas[1]+`]}`, `"delta":{},"finish_reason":"tool_calls"`), true)
			equal(t, fmt.Sprintf("%s, cut at %d", name, cut), turn(genai.RoleModel, calling("a", "fetch", want)), final.Content)
			if len(partial) > 0 {
				t.Fatalf("%s: a call is shown before it is whole: %v", name, partial)
			}
		}
	}
}

// Several calls, as servers mark them.
func TestSeveralCallsInAStream(t *testing.T) {
	want := turn(genai.RoleModel, calling("a", "f", map[string]any{"n": 1.0}), calling("b", "f", map[string]any{"n": 2.0}))
	for name, deltas := range map[string][]string{
		"interleaved":          {`{"index":0,"id":"a","function":{"name":"f"}}`, `{"index":1,"id":"b","function":{"name":"f","arguments":"{\"n\":"}}`, `{"index":0,"function":{"arguments":"{\"n\":1}"}}`, `{"index":1,"function":{"arguments":"2}"}}`},
		"all under index zero": {`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"n\":1}"}}`, `{"index":0,"id":"b","function":{"name":"f","arguments":"{\"n\":"}}`, `{"index":0,"function":{"arguments":"2}"}}`},
		"without an index":     {`{"id":"a","function":{"name":"f","arguments":"{\"n\":1}"}}`, `{"id":"b","function":{"name":"f","arguments":"{\"n\":2}"}}`},
		"in one delta":         {`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"n\":1}"}},{"index":1,"id":"b","function":{"name":"f","arguments":"{\"n\":2}"}}`},
	} {
		var all []string
		for _, d := range deltas {
			all = append(all, `"delta":{"tool_calls":[`+d+`]}`)
		}
		final, _ := answered(t, events(append(all, `"delta":{},"finish_reason":"tool_calls"`)...), true)
		equal(t, name, want, final.Content)
	}
	// Pieces under an index of their own that gets a name later cannot be told.
	unclear := events(`"delta":{"tool_calls":[{"index":0,"function":{"name":"f"}},{"index":1,"function":{"arguments":"{}"}},{"index":1,"function":{"name":"g"}}]},"finish_reason":"stop"`)
	if all, err := ask(t.Context(), serve(t, say(unclear)).model(t, provider.Config{}), user("hi"), true); err == nil || len(all) > 0 {
		t.Errorf("calls that cannot be told apart: %v", all)
	}
	// Equal ids under different indices are two calls; so they are in one piece.
	final, _ := answered(t, events(`"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{}"}},{"index":1,"id":"x","function":{"name":"g","arguments":"{}"}}]},"finish_reason":"stop"`), true)
	whole, _ := answered(t, whole(`{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{}"}},{"index":0,"id":"x","function":{"name":"g","arguments":"{}"}}]}`, "stop"), false)
	equal(t, "equal ids", turn(genai.RoleModel, calling("x", "f", map[string]any{}), calling("x", "g", map[string]any{})), final.Content)
	equal(t, "equal ids in one piece", final.Content, whole.Content)
}

// Content in the forms that servers have.
func TestContentForms(t *testing.T) {
	for name, message := range map[string]string{
		"parts":  `{"content":[{"type":"text","text":"hel"},{"type":"text","text":"lo"}]}`,
		"nulls":  `{"content":"hello","refusal":null,"tool_calls":null,"function_call":null,"reasoning_content":null}`,
		"extras": `{"content":"hello","annotations":[],"audio":null,"Content":"other case"}`,
	} {
		final, _ := answered(t, whole(message, "stop"), false)
		equal(t, name, turn(genai.RoleModel, text("hello")), final.Content)
	}
}

// A stream that is cut after any event, and after any byte: an error, never half an
// answer, and never a call that was not finished.
func TestStreamCutAnywhere(t *testing.T) {
	full := map[string]string{
		"chat": events(`"delta":{"content":"a"}`, `"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"n\":1}"}}]}`, `"delta":{},"finish_reason":"tool_calls"`),
		"responses": responses(
			`{"type":"response.output_text.delta","delta":"a"}`,
			`{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","call_id":"a","name":"f","arguments":"{\"n\":1}"}}`,
			`{"type":"response.completed","response":{"status":"completed"}}`,
		),
	}
	for api, stream := range full {
		end := strings.Index(stream, "finish_reason\":\"")
		if api == "responses" {
			end = strings.Index(stream, "response.completed\",")
		}
		end += strings.Index(stream[end:], "\n")
		llm := func(n int) *provider.Model {
			return serve(t, say(stream[:n])).model(t, provider.Config{Settings: settings(api)})
		}
		for n := len("data:"); n < end; n++ {
			all, err := ask(t.Context(), llm(n), user("hi"), true)
			if err == nil {
				t.Fatalf("%s, cut after %d of %d bytes: taken for an answer: %+v", api, n, len(stream), all[len(all)-1])
			}
			for _, resp := range all {
				if !resp.Partial {
					t.Fatalf("%s, cut after %d bytes: a final response before the error", api, n)
				}
			}
		}
		if _, err := ask(t.Context(), llm(end+1), user("hi"), true); err != nil {
			t.Errorf("%s, cut after its end: %v", api, err)
		}
	}
}

// A connection that is lost after the answer's end has cost nothing but the usage;
// before it, it has cost the answer.
func TestConnectionLostAtTheEnd(t *testing.T) {
	for end, want := range map[string]string{`"delta":{"content":"!"},"finish_reason":"stop"`: "", `"delta":{"content":"!"}`: "the answer broke off"} {
		llm := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Content-Length", "10000")
			_, _ = io.WriteString(w, strings.TrimSuffix(events(`"delta":{"content":"hello"}`, end), "data: [DONE]\n\n"))
		}).model(t, provider.Config{})
		all, err := ask(t.Context(), llm, user("hi"), true)
		if want == "" && (err != nil || all[2].Content.Parts[0].Text != "hello!") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, %v", end, all, err)
		}
	}
}
