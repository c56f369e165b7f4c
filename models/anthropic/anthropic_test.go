package anthropic_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/anthropic"
	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

// What must appear nowhere but in a request: a key in a header, a prompt in a body.
const (
	canary = "sk-ant-Canary-Canary-Canary123"
	poison = "PROMPT-AND-BODY-MARK"
)

// server answers each request with the next of bodies, the last one again and again:
// a stream, or JSON with the status that it begins with.
type server struct {
	*httptest.Server
	asked []string
	heads []http.Header
}

func serve(t *testing.T, bodies ...string) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.asked, s.heads = append(s.asked, string(b)), append(s.heads, r.Header.Clone())
		body := bodies[min(len(s.asked), len(bodies))-1]
		var status int
		if n, _ := fmt.Sscan(body, &status); n == 1 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, body, _ = strings.Cut(body, " ")
		} else {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) model(t *testing.T, c provider.Config) *provider.Model {
	t.Helper()
	base, err := provider.BaseURL("anthropic", s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.Model, c.Key, c.KeyVariable, c.BaseURL = "m", secret.New(canary), "ANTHROPIC_API_KEY", base
	if c.Retry == (provider.RetryPolicy{}) {
		c.Retry.Attempts = 1
	}
	llm, err := anthropic.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return llm
}

func ask(ctx context.Context, llm model.LLM, req *model.LLMRequest, stream bool) (all []*model.LLMResponse, err error) {
	for resp, err := range llm.GenerateContent(ctx, req, stream) {
		if err != nil {
			return all, err
		}
		all = append(all, resp)
	}
	return all, nil
}

// events writes a stream. Each is JSON; its name is its type.
func events(all ...string) string {
	var b strings.Builder
	for _, e := range all {
		var v struct{ Type string }
		_ = json.Unmarshal([]byte(e), &v)
		b.WriteString("event: " + v.Type + "\ndata: " + e + "\n\n")
	}
	return b.String()
}

const begin = `{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"served","content":[],"stop_reason":null,"usage":{"input_tokens":10,"cache_read_input_tokens":100,"cache_creation_input_tokens":5,"output_tokens":1}}}`

func end(reason string) []string {
	return []string{
		`{"type":"message_delta","delta":{"stop_reason":"` + reason + `","stop_sequence":null},"usage":{"output_tokens":40,"output_tokens_details":{"thinking_tokens":30}}}`,
		`{"type":"message_stop"}`,
	}
}

// blocks writes an answer: each block is its start and its deltas.
func answer(reason string, blocks ...[]string) string {
	all := []string{begin, `{"type":"ping"}`}
	for i, b := range blocks {
		all = append(all, fmt.Sprintf(`{"type":"content_block_start","index":%d,"content_block":%s}`, i, b[0]))
		for _, d := range b[1:] {
			all = append(all, fmt.Sprintf(`{"type":"content_block_delta","index":%d,"delta":%s}`, i, d))
		}
		all = append(all, fmt.Sprintf(`{"type":"content_block_stop","index":%d}`, i))
	}
	return events(append(all, end(reason)...)...)
}

func said(pieces ...string) []string {
	b := []string{`{"type":"text","text":""}`}
	for _, p := range pieces {
		text, _ := json.Marshal(p)
		b = append(b, `{"type":"text_delta","text":`+string(text)+`}`)
	}
	return b
}

func called(id, name string, pieces ...string) []string {
	b := []string{`{"type":"tool_use","id":"` + id + `","name":"` + name + `","input":{}}`}
	for _, p := range pieces {
		text, _ := json.Marshal(p)
		b = append(b, `{"type":"input_json_delta","partial_json":`+string(text)+`}`)
	}
	return b
}

var (
	thought  = []string{`{"type":"thinking","thinking":"","signature":""}`, `{"type":"thinking_delta","thinking":"I must"}`, `{"type":"thinking_delta","thinking":" read."}`, `{"type":"signature_delta","signature":"c2ln"}`}
	redacted = []string{`{"type":"redacted_thinking","data":"ZW5j"}`}
)

func user(text string) *model.LLMRequest {
	return &model.LLMRequest{Contents: []*genai.Content{genai.NewContentFromText(text, genai.RoleUser)}}
}

func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestRequest(t *testing.T) {
	s := serve(t, answer("end_turn", said("ok")))
	call := func(id, name string, args map[string]any) *genai.Part {
		return &genai.Part{FunctionCall: &genai.FunctionCall{ID: id, Name: name, Args: args}}
	}
	result := func(id, name string, r map[string]any) *genai.Part {
		return &genai.Part{FunctionResponse: &genai.FunctionResponse{ID: id, Name: name, Response: r}}
	}
	req := &model.LLMRequest{
		Contents: []*genai.Content{
			genai.NewContentFromText("look", genai.RoleUser), nil,
			genai.NewContentFromParts([]*genai.Part{genai.NewPartFromBytes([]byte{1, 2, 3}, "image/png"), {Text: " "}}, genai.RoleUser),
			genai.NewContentFromParts([]*genai.Part{{Text: poison, Thought: true}, {Text: "I will."}, call("a", "f", map[string]any{"id": json.Number("1234567890123456789")}), call("", "g", nil)}, genai.RoleModel),
			genai.NewContentFromParts([]*genai.Part{{Text: "hurry"}, result("a", "f", map[string]any{"error": "denied"})}, genai.RoleUser),
		},
		Config: &genai.GenerateContentConfig{
			SystemInstruction: genai.NewContentFromText("Be brief.", genai.RoleUser), MaxOutputTokens: 7, StopSequences: []string{"END"},
			Tools:          []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "f", Description: "F.", ParametersJsonSchema: json.RawMessage(`{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"integer"}}}`)}, {Name: "g"}}}},
			ToolConfig:     &genai.ToolConfig{FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAny}},
			ThinkingConfig: &genai.ThinkingConfig{ThinkingLevel: genai.ThinkingLevelHigh, IncludeThoughts: true},
		},
	}
	for range 2 {
		if _, err := ask(t.Context(), s.model(t, provider.Config{}), req, false); err != nil {
			t.Fatal(err)
		}
	}
	var got, want any
	if err := json.Unmarshal([]byte(s.asked[0]), &got); err != nil {
		t.Fatal(err)
	}
	const cached = `,"cache_control":{"type":"ephemeral"}`
	if err := json.Unmarshal([]byte(`{"model":"m","max_tokens":7,"stream":true,"stop_sequences":["END"],"system":[{"type":"text","text":"Be brief."`+cached+`}],
		"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high"},"tool_choice":{"type":"any"},
		"tools":[{"name":"f","description":"F.","input_schema":{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"integer"}}}},{"name":"g","input_schema":{"type":"object","properties":{}}}],
		"messages":[
			{"role":"user","content":[{"type":"text","text":"look"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AQID"}}]},
			{"role":"assistant","content":[{"type":"text","text":"I will."},{"type":"tool_use","id":"a","name":"f","input":{"id":1234567890123456789}},{"type":"tool_use","id":"call_3_3","name":"g","input":{}}]},
			{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"{\"error\":\"denied\"}"}],"is_error":true},
				{"type":"tool_result","tool_use_id":"call_3_3","content":[{"type":"text","text":"{\"error\":\"no result recorded\"}"}],"is_error":true},{"type":"text","text":"hurry"`+cached+`}]}]}`), &want); err != nil {
		t.Fatal(err)
	}
	equal(t, "request", want, got)
	if s.asked[0] != s.asked[1] || !strings.Contains(s.asked[0], `"properties":{"z":`) || !strings.Contains(s.asked[0], "1234567890123456789") {
		t.Errorf("asked again it is %s, at first %s", s.asked[1], s.asked[0])
	}
	if h := s.heads[0]; h.Get("Authorization") != "Bearer "+canary || h.Get("Anthropic-Version") == "" || h.Get("Traceparent") != "" {
		t.Errorf("headers %v", h)
	}
}

// The library would read both.
func TestTheEnvironmentIsNotRead(t *testing.T) {
	s := serve(t, answer("end_turn", said("ok")))
	t.Setenv("ANTHROPIC_API_KEY", "from-the-environment")
	t.Setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
	t.Setenv("ANTHROPIC_CUSTOM_HEADERS", "X-From: the-environment")
	if _, err := ask(t.Context(), s.model(t, provider.Config{}), user("hi"), false); err != nil {
		t.Fatal(err)
	}
	if h := s.heads[0]; h.Get("Authorization") != "Bearer "+canary || h.Get("X-From") != "" {
		t.Errorf("headers %v", h)
	}
}

func TestAnswer(t *testing.T) {
	body := answer("tool_use", thought, redacted, said("Let me ", "see."), called("a", "f", `{"id":12345`, `67890123456789,"q":"ö`, ` \"x"}`), called("b", "g"))
	for _, stream := range []bool{false, true} {
		all, err := ask(t.Context(), serve(t, body).model(t, provider.Config{}), user("hi"), stream)
		if err != nil {
			t.Fatal(err)
		}
		var shown []string
		for _, resp := range all[:len(all)-1] {
			shown = append(shown, resp.Content.Parts[0].Text)
		}
		if stream {
			equal(t, "pieces", []string{"I must", " read.", "Let me ", "see."}, shown)
		}
		final := all[len(all)-1]
		for _, p := range final.Content.Parts {
			p.ThoughtSignature = nil
		}
		equal(t, "final", &model.LLMResponse{
			Content: genai.NewContentFromParts([]*genai.Part{
				{Text: "I must read.", Thought: true}, {Thought: true}, {Text: "Let me see."},
				{FunctionCall: &genai.FunctionCall{ID: "a", Name: "f", Args: map[string]any{"id": json.Number("1234567890123456789"), "q": `ö "x`}}},
				{FunctionCall: &genai.FunctionCall{ID: "b", Name: "g", Args: map[string]any{}}},
			}, genai.RoleModel),
			FinishReason: genai.FinishReasonStop, TurnComplete: true, ModelVersion: "served", CustomMetadata: map[string]any{"id": "msg_1"},
			UsageMetadata: &genai.GenerateContentResponseUsageMetadata{PromptTokenCount: 115, CachedContentTokenCount: 100, CandidatesTokenCount: 10, ThoughtsTokenCount: 30, TotalTokenCount: 155},
		}, final)
	}
}

// Thoughts go back as they came, signed or encrypted, and to their server alone.
func TestThoughtsComeBack(t *testing.T) {
	s := serve(t, answer("tool_use", thought, redacted, called("a", "f", `{}`)), answer("end_turn", said("ok")))
	llm := s.model(t, provider.Config{})
	all, err := ask(t.Context(), llm, user("hi"), false)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(all[0].Content) // as a session keeps it
	if err != nil {
		t.Fatal(err)
	}
	var kept genai.Content
	if err := json.Unmarshal(b, &kept); err != nil {
		t.Fatal(err)
	}
	req := user("hi")
	req.Contents = append(req.Contents, &kept)
	other := serve(t, answer("end_turn", said("ok")))
	for _, to := range []*server{s, other} {
		if _, err := ask(t.Context(), to.model(t, provider.Config{}), req, false); err != nil {
			t.Fatal(err)
		}
	}
	if want := `[{"signature":"c2ln","thinking":"I must read.","type":"thinking"},{"data":"ZW5j","type":"redacted_thinking"},{"id":"a","input":{},"name":"f","type":"tool_use"}]`; !strings.Contains(s.asked[1], want) {
		t.Errorf("%s is not in %s", want, s.asked[1])
	}
	if strings.Contains(other.asked[0], "thinking") {
		t.Errorf("another server is sent %s", other.asked[0])
	}
}

// What a gateway leaves in the text is read.
func TestTextIsRead(t *testing.T) {
	req := user("hi")
	req.Config = &genai.GenerateContentConfig{Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "f"}}}}}
	all, err := ask(t.Context(), serve(t, answer("end_turn", said("<think>Hm.</th", "ink>\nIt rose."))).model(t, provider.Config{}), req, true)
	if err != nil || len(all) != 3 || all[0].Content.Parts[0].Text != "Hm." || !all[0].Content.Parts[0].Thought || all[1].Content.Parts[0].Text != "It rose." {
		t.Errorf("thoughts in the text: %v, %v", all, err)
	}
	all, err = ask(t.Context(), serve(t, answer("end_turn", said(`{"name": "f", `, `"input": {}}`))).model(t, provider.Config{}), req, true)
	if err == nil || len(all) > 0 || !strings.Contains(err.Error(), "the server handed out a call of f as text") {
		t.Errorf("a call in words: %v, %v", all, err)
	}
}

// An answer that was stopped makes no call; one that broke off is none.
func TestAnswersThatAreNotWhole(t *testing.T) {
	for reason, want := range map[string]string{
		"max_tokens": "cut off within a call, which is not made (max_tokens): raise max_tokens", "refusal": "stopped the answer within a call, which is not made (refusal)",
		"pause_turn": "which is not made (pause_turn)", "a_reason_of_tomorrow": "which is not made (a_reason_of_tomorrow)",
		"model_context_window_exceeded": "which is not made (model_context_window_exceeded): give the server a longer context",
	} {
		for _, args := range []string{`{"id":"x"}`, `{"id":`, ``} {
			if all, err := ask(t.Context(), serve(t, answer(reason, called("a", "f", args))).model(t, provider.Config{}), user("hi"), true); err == nil || !strings.Contains(err.Error(), want) || len(all) > 0 {
				t.Errorf("%s after %q: %v, %v", reason, args, all, err)
			}
		}
	}
	for reason, want := range map[string]genai.FinishReason{"end_turn": "STOP", "stop_sequence": "STOP", "max_tokens": "MAX_TOKENS", "refusal": "SAFETY", "a_reason_of_tomorrow": "A_REASON_OF_TOMORROW"} {
		all, err := ask(t.Context(), serve(t, answer(reason, said("half"))).model(t, provider.Config{}), user("hi"), false)
		if err != nil || all[0].FinishReason != want || all[0].Content.Parts[0].Text != "half" {
			t.Errorf("%s: %v, %v", reason, all, err)
		}
	}
	full := answer("tool_use", said("I ", "read."), called("a", "f", `{"id":`, `"x"}`))
	ended := strings.Index(full, `data: {"type":"message_stop"`)
	for n := range len(full) {
		all, err := ask(t.Context(), serve(t, full[:n]).model(t, provider.Config{}), user("hi"), true)
		if final := len(all) > 0 && !all[len(all)-1].Partial; final != (err == nil) || final && n < ended {
			t.Fatalf("cut after %d of %d bytes: %v, %v", n, len(full), all, err)
		}
	}
	const stop = `"}` + "\n\n"
	for _, missing := range []string{"event: message_stop\ndata: {\"type\":\"message_stop" + stop, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n"} {
		body := strings.Replace(full, missing, "", 1)
		all, err := ask(t.Context(), serve(t, body).model(t, provider.Config{}), user("hi"), false)
		if body == full || err == nil || !strings.Contains(err.Error(), "the answer broke off") || len(all) > 0 {
			t.Errorf("without %q: %v, %v", missing, all, err)
		}
	}
	for _, body := range []string{answer("end_turn"), answer("end_turn", thought)} {
		all, err := ask(t.Context(), serve(t, body).model(t, provider.Config{}), user("hi"), false)
		if len(all) > 0 && err == nil && all[0].Content.Parts[0].Thought {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "there was no answer") {
			t.Errorf("nothing: %v, %v", all, err)
		}
	}
}

// Whatever the form of an answer, and where its blocks begin to count, it is the same.
func TestFormsOfAnswers(t *testing.T) {
	const message = `{"type":"message","id":"msg_1","model":"served","role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"c2ln"},{"type":"text","text":"I read."},` +
		`{"type":"tool_use","id":"a","name":"f","input":{"id":1234567890123456789}}],"stop_reason":"tool_use","usage":{"input_tokens":115,"output_tokens":40}}`
	full := answer("tool_use", []string{`{"type":"thinking","thinking":"Hm.","signature":"c2ln"}`}, said("I read."), called("a", "f", `{"id":1234567890123456789}`))
	for name, body := range map[string]string{
		"events": full, "an index that begins at 1": strings.NewReplacer(`"index":0`, `"index":1`, `"index":1`, `"index":2`, `"index":2`, `"index":3`).Replace(full),
		"no names": regexp.MustCompile("event: .*\n").ReplaceAllString(full, ""), "a message": "200 " + message, "a message as an event": "data: " + message + "\n\n",
		"counts as text": strings.ReplaceAll(full, `"output_tokens":40`, `"output_tokens":"40"`), "counts that are none": strings.ReplaceAll(full, `"output_tokens_details":{"thinking_tokens":30}`, `"output_tokens_details":[]`),
	} {
		for _, stream := range []bool{false, true} {
			all, err := ask(t.Context(), serve(t, body).model(t, provider.Config{}), user("hi"), stream)
			if err != nil {
				t.Errorf("%s, streamed %v: %v", name, stream, err)
				continue
			}
			parts := all[len(all)-1].Content.Parts
			if len(parts) != 3 || parts[0].Text != "Hm." || parts[0].ThoughtSignature == nil || parts[1].Text != "I read." || parts[2].FunctionCall.Args["id"] != json.Number("1234567890123456789") {
				t.Errorf("%s, streamed %v: %+v", name, stream, parts)
			}
		}
	}
	for body, want := range map[string]string{
		`200 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`: "the provider failed (529 overloaded_error)",
		`404 <html>not here</html>`:  "the server has no such API at this address (404): check the base URL",
		`404 {"detail":"Not Found"}`: "the server has no such API at this address (404): check the base URL",
		`404 {"type":"error","error":{"type":"not_found_error","message":"model: m"}}`: "there is no such model (404 not_found_error)",
		"200 <html>sign in</html>": "could not be read",
		strings.Replace(full, `"type":"text"`, `"type":"text","type":"text"`, 1): "could not be read",
	} {
		if all, err := ask(t.Context(), serve(t, body).model(t, provider.Config{}), user("hi"), true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", body, all, err)
		}
	}
}

// A turn that the server paused goes on where it paused: what came so far goes back as
// it came, and the caller sees one answer. It does so three times.
func TestAPausedTurnGoesOn(t *testing.T) {
	paused := answer("pause_turn", thought, said("One "))
	for _, stream := range []bool{false, true} {
		s := serve(t, paused, answer("pause_turn", redacted, said("and ")), answer("tool_use", said("two."), called("a", "f", `{"id":"x"}`)))
		all, err := ask(t.Context(), s.model(t, provider.Config{}), user("hi"), stream)
		if err != nil || len(s.asked) != 3 {
			t.Fatalf("%v after %d requests", err, len(s.asked))
		}
		final, streamed := all[len(all)-1], ""
		for _, piece := range all[:len(all)-1] {
			streamed += piece.Content.Parts[0].Text
		}
		var text string
		for _, p := range final.Content.Parts {
			text += p.Text
		}
		if want := "I must read.One and two."; text != want || stream && streamed != want || final.FinishReason != "STOP" || final.Content.Parts[len(final.Content.Parts)-1].FunctionCall == nil {
			t.Errorf("stream %v: %q, in pieces %q, %+v", stream, text, streamed, final)
		}
		if u := final.UsageMetadata; u.PromptTokenCount != 3*115 || u.CandidatesTokenCount != 3*10 || u.ThoughtsTokenCount != 3*30 {
			t.Errorf("usage %+v", u)
		}
		const so = `{"role":"assistant","content":[{"signature":"c2ln","thinking":"I must read.","type":"thinking"},{"text":"One ","type":"text"}`
		equal(t, "sent after the first pause", so+`]}`, lastMessage(t, s.asked[1]))
		equal(t, "sent after the second pause", so+`,{"data":"ZW5j","type":"redacted_thinking"},{"text":"and ","type":"text"}]}`, lastMessage(t, s.asked[2]))
	}
	s := serve(t, paused)
	all, err := ask(t.Context(), s.model(t, provider.Config{}), user("hi"), false)
	if err != nil || len(s.asked) != 4 || all[0].FinishReason != "PAUSE_TURN" {
		t.Errorf("paused without end: %v, %v after %d requests", all, err, len(s.asked))
	}
	s = serve(t, paused, `500 {"type":"error","error":{"type":"api_error"}}`)
	if all, err := ask(t.Context(), s.model(t, provider.Config{}), user("hi"), false); err == nil || len(all) > 0 {
		t.Errorf("failed after a pause: %v", all)
	}
}

// lastMessage returns the last message of a request, its members in order.
func lastMessage(t *testing.T, body string) string {
	t.Helper()
	var r struct {
		Messages []struct {
			Role    string           `json:"role"`
			Content []map[string]any `json:"content"`
		} `json:"messages"`
	}
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(r.Messages[len(r.Messages)-1])
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What a tool returns is read by a model: nothing in it is spelled for a web page.
func TestResultsAreNotEscaped(t *testing.T) {
	s, req := serve(t, answer("end_turn", said("ok"))), user("hi")
	req.Contents = append(req.Contents,
		&genai.Content{Role: genai.RoleModel, Parts: []*genai.Part{{FunctionCall: &genai.FunctionCall{ID: "a", Name: "f", Args: map[string]any{"q": "a<b"}}}}},
		&genai.Content{Role: genai.RoleUser, Parts: []*genai.Part{{FunctionResponse: &genai.FunctionResponse{ID: "a", Name: "f", Response: map[string]any{"html": "<b>R&D</b>"}}}}})
	if _, err := ask(t.Context(), s.model(t, provider.Config{}), req, false); err != nil {
		t.Fatal(err)
	}
	var m struct {
		Content []struct {
			Content []struct{ Text string }
		}
	}
	if err := json.Unmarshal([]byte(lastMessage(t, s.asked[0])), &m); err != nil {
		t.Fatal(err)
	}
	equal(t, "the result", `{"html":"<b>R&D</b>"}`, m.Content[0].Content[0].Text)
}

func TestFailures(t *testing.T) {
	said := func(kind string) string {
		return `{"type":"error","error":{"type":"` + kind + `","message":"no ` + canary + " " + poison + `"}}`
	}
	for name, tt := range map[string]struct {
		body, want string
		status     int
		again      bool
	}{
		"a wrong key":      {"401 " + said("authentication_error"), "the API key was refused (401 authentication_error): check the key in ANTHROPIC_API_KEY", 401, false},
		"no such model":    {"404 " + said("not_found_error"), "there is no such model (404 not_found_error)", 404, false},
		"too long":         {`400 {"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 200001 tokens > 200000 maximum"}}`, provider.TooLong.Text, 400, false},
		"no means":         {`400 {"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}`, "the quota is used up", 400, false},
		"too many":         {"429 " + said("rate_limit_error"), "too many requests (429 rate_limit_error)", 429, true},
		"overloaded":       {"529 " + said("overloaded_error"), "the provider failed (529 overloaded_error): try again later", 529, true},
		"a page":           {"502 <html>" + poison, "the provider failed (502)", 502, true},
		"a redirect":       {"302 ", "a redirect, which is not followed (302)", 302, false},
		"within a stream":  {events(begin, said("overloaded_error")), "the provider failed (529 overloaded_error)", 529, true},
		"bare in a stream": {events(begin) + said("overloaded_error") + "\n", "the provider failed (529 overloaded_error)", 529, true},
		"no stream at all": {"200 {}", "the answer broke off", 0, true},
	} {
		_, err := ask(t.Context(), serve(t, tt.body).model(t, provider.Config{}), user(poison), true)
		e, ok := errors.AsType[*provider.Error](err)
		if !ok || !strings.Contains(err.Error(), tt.want) || e.Status != tt.status {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, again := e.Temporary(); again != tt.again {
			t.Errorf("%s: tried again: %v", name, again)
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if s := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(s, canary) || strings.Contains(s, poison) {
				t.Errorf("%s: the error holds a key or a body: %s", name, s)
			}
		}
	}
	// Before anything was shown a failure is tried again.
	s := serve(t, "529 {}", events(begin, said("overloaded_error")), answer("end_turn", []string{`{"type":"text","text":"ok"}`}))
	all, err := ask(t.Context(), s.model(t, provider.Config{Retry: provider.RetryPolicy{Initial: time.Microsecond}}), user("hi"), true)
	if err != nil || all[len(all)-1].Content.Parts[0].Text != "ok" || len(s.asked) != 3 {
		t.Errorf("after two failures: %v, %v", all, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ask(ctx, s.model(t, provider.Config{}), user("hi"), false); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestWhatCannotBeAskedIsNamed(t *testing.T) {
	for what, c := range map[string]genai.GenerateContentConfig{
		"temperature": {Temperature: new(float32(1))}, "candidates": {CandidateCount: 2}, "form of the answer": {ResponseMIMEType: "application/json"}, "other than text": {ResponseModalities: []string{"AUDIO"}},
	} {
		s, req := serve(t, answer("end_turn", said("ok"))), user("hi")
		req.Config = &c
		if _, err := ask(t.Context(), s.model(t, provider.Config{}), req, false); err == nil || !strings.Contains(err.Error(), "the API cannot be asked for") || !strings.Contains(err.Error(), what) || len(s.asked) > 0 {
			t.Errorf("%s: %v after %d requests", what, err, len(s.asked))
		}
	}
}

func TestCheck(t *testing.T) {
	for body, want := range map[string]string{
		`200 {"id":"m","type":"model"}`: "", "404 {}": "cannot be told",
		"404 {\"type\":\"error\",\"error\":{\"type\":\"not_found_error\"}}\n200 {\"data\":[{\"id\":\"other\"}],\"has_more\":false}": "there is no such model (404 not_found_error): choose another name, for example other",
		"404 {\"type\":\"error\",\"error\":{\"type\":\"not_found_error\"}}\n200 {\"data\":[{\"id\":\"m\"}],\"has_more\":false}":     "cannot be told",
		`401 {"type":"error","error":{"type":"authentication_error"}}`:                                                              "the API key was refused",
	} {
		err := serve(t, strings.Split(body, "\n")...).model(t, provider.Config{}).Check(t.Context())
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
}
