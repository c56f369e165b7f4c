package openai_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/openai"
	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

// tripper is an [http.RoundTripper].
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// history reads program as a conversation, a byte a part: what a crash, a hook or
// another model may leave behind, and what nobody should.
func history(program []byte) []*genai.Content {
	var all []*genai.Content
	ids := []string{"", "", "a", "b", "call_0_0", strings.Repeat("x", 50)}
	names := []string{"f", "g", "h"}
	for _, b := range program {
		if b%3 == 0 || len(all) == 0 {
			all = append(all, &genai.Content{Role: []string{"model", "user", "model", "user", "", "tool"}[b/3%6]})
		}
		c := all[len(all)-1]
		id, name := ids[int(b/16)%len(ids)], names[int(b/8)%len(names)]
		var p *genai.Part
		switch b % 11 {
		case 0, 1, 2:
			if p = calling(id, name, map[string]any{"b": b}); c.Role != "model" {
				p = result(id, name, map[string]any{"b": b})
			}
		case 3, 4:
			p = result(id, name, nil)
		case 5:
			p = calling(id, name, nil)
		case 6:
			p = text(fmt.Sprint("text ", b, "\x00\xff"))
		case 7:
			p = &genai.Part{Text: poison, Thought: true}
		case 8:
			p = genai.NewPartFromBytes([]byte{b}, "image/png")
		case 9:
			p = text("")
		}
		c.Parts = append(c.Parts, p)
		if b == 255 {
			all = append(all, nil)
			all = append(all, &genai.Content{Role: "user"})
		}
	}
	return all
}

// wireMessage is a message of chat completions, or an item of the Responses API.
type wireMessage struct {
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"`
	ToolCalls []struct {
		ID       string `json:"id"`
		Function struct{ Name, Arguments string }
	} `json:"tool_calls"`
	ToolCallID string `json:"tool_call_id"`

	Type, Name, Arguments, Output string
	CallID                        string `json:"call_id"`
}

// FuzzRequest: whatever the history, nothing panics, and what is sent keeps the
// API's rules. What cannot be sent is an error that says so.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{"", "\x00", "\x00\x01\x02\x03\x04\x05", "6\x00\x0b\x16\x03\x00", "\x00\x0b\x16!\x03\x0e\x19\x00\x0b\x03\xff\x06", "abcdefghijklmnopqrstuvwxyz", "\x06\x11\x1c\x06\x11\x03\x06\x11\x1c"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 200 {
			return
		}
		for _, api := range apis {
			var body []byte
			client := &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
				body, _ = io.ReadAll(r.Body)
				answer := whole(hello, "stop")
				if api == "responses" {
					answer = `{"status":"completed","output":[{"type":"message","content":[{"text":"hello"}]}]}`
				}
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer))}, nil
			})}
			llm, err := openai.New(provider.Config{Model: "m", Key: secret.New(canary), HTTPClient: client, Settings: provider.Settings{API: api}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ask(t.Context(), llm, contents(history(program)...), false); err != nil {
				if body != nil || !strings.Contains(err.Error(), "the API cannot be asked for ") {
					t.Fatalf("%s: %v, having sent %s", api, err, body)
				}
				continue
			}
			valid(t, body)
		}
	})
}

// valid holds a request to the rules of the API.
func valid(t *testing.T, body []byte) {
	t.Helper()
	var req struct{ Messages, Input []wireMessage }
	if err := json.Unmarshal(body, &req); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if strings.Contains(string(body), poison) {
		t.Fatalf("a thought is sent: %s", body)
	}
	seen := map[string]bool{}
	var open []string // calls without their result, in order
	last := ""
	call := func(id, name, args string) {
		if id == "" || len(id) > 40 || seen[id] || name == "" || !json.Valid([]byte(args)) {
			t.Fatalf("call %q of %q with %q: %s", id, name, args, body)
		}
		seen[id] = true
		open = append(open, id)
	}
	result := func(id, content string) {
		if len(open) == 0 || open[0] != id || !json.Valid([]byte(content)) {
			t.Fatalf("result %q for %q, while %v are open: %s", content, id, open, body)
		}
		open = open[1:]
	}
	for _, m := range slices.Concat(req.Messages, req.Input) {
		kind := m.Role + m.Type
		if kind != "tool" && kind != "function_call_output" && kind != "function_call" && len(open) > 0 {
			t.Fatalf("%s comes before the results of %v: %s", kind, open, body)
		}
		switch kind {
		case "tool":
			var content string
			if err := json.Unmarshal(m.Content, &content); err != nil || content == "" {
				t.Fatalf("a result without content: %s", body)
			}
			result(m.ToolCallID, content)
		case "function_call_output":
			result(m.CallID, m.Output)
		case "function_call":
			call(m.CallID, m.Name, m.Arguments)
		case "user", "assistant":
			if kind == last && kind == "user" {
				t.Fatalf("two turns of the user's: %s", body)
			}
			if len(m.ToolCalls) == 0 && (len(m.Content) == 0 || string(m.Content) == `""` || string(m.Content) == "[]") {
				t.Fatalf("a message without content: %s", body)
			}
			for _, c := range m.ToolCalls {
				call(c.ID, c.Function.Name, c.Function.Arguments)
			}
		default:
			t.Fatalf("a message of %s: %s", kind, body)
		}
		last = kind
	}
	if len(open) > 0 {
		t.Fatalf("%v have no result: %s", open, body)
	}
}

// FuzzAnswer: whatever a server sends, nothing panics, there is one end, and no call
// is shown in part.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		whole(hello, "stop"), events(`"delta":{"content":"a"}`, `"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"`),
		responses(`{"type":"response.output_text.delta","delta":"x"}`, `{"type":"response.completed","response":{"status":"completed"}}`),
		`{"choices":[{"message":{"tool_calls":[{}]},"finish_reason":"stop"}]}`, `{"status":"completed","output":[{"type":"function_call"}]}`, "data: null\n\n", `{"error":{}}`, "data: {\"error\":\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, api := range apis {
			for _, stream := range []bool{false, true} {
				header := http.Header{"Content-Type": {"application/json"}}
				if !strings.HasPrefix(body, "{") {
					header.Set("Content-Type", "text/event-stream")
				}
				client := &http.Client{Transport: tripper(func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
				})}
				llm, err := openai.New(provider.Config{Model: "m", HTTPClient: client, Settings: provider.Settings{API: api}, Retry: provider.RetryPolicy{Attempts: 1}})
				if err != nil {
					t.Fatal(err)
				}
				all, err := ask(t.Context(), llm, user("hi"), stream)
				for i, resp := range all {
					if final := i == len(all)-1 && err == nil; resp.Partial == final || final && resp.Content == nil && resp.ErrorCode == "" {
						t.Fatalf("response %d of %d is %+v, then %v", i, len(all), resp, err)
					}
				}
				if err == nil && len(all) == 0 || err != nil && strings.Contains(err.Error(), "\n") {
					t.Fatalf("%d responses and %v", len(all), err)
				}
			}
		}
	})
}
