package openai_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/models/provider"
)

// What servers besides OpenAI's were seen to do.

// goesOn returns what is sent after the answer: the history ends with it and a result
// for each of its calls. other asks another server than the one that answered.
func goesOn(t *testing.T, content *genai.Content, s *server, other bool) map[string]any {
	t.Helper()
	// As a session keeps it.
	b, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	var kept genai.Content
	if err := json.Unmarshal(b, &kept); err != nil {
		t.Fatal(err)
	}
	req := contents(turn(genai.RoleUser, text("hi")), &kept, &genai.Content{Role: genai.RoleUser})
	for _, p := range kept.Parts {
		if f := p.FunctionCall; f != nil {
			req.Contents[2].Parts = append(req.Contents[2].Parts, result(f.ID, f.Name, map[string]any{"ok": true}))
		}
	}
	c := provider.Config{}
	if other {
		c.BaseURL = address(t, s.URL+"/other/v1")
	}
	_, _ = ask(t.Context(), s.model(t, c), req, false) // the server's answer is of no account
	_, _, asked := s.seen()
	var sent struct {
		Messages []map[string]any `json:"messages"`
	}
	if err := json.Unmarshal([]byte(asked[len(asked)-1]), &sent); err != nil {
		t.Fatal(err)
	}
	return sent.Messages[1]
}

// State goes back with the calls, as it came and where it came, to the server that
// sent it and to no other. Nobody is shown it.
func TestStateComesBack(t *testing.T) {
	const call = `"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}%s}]`
	for name, tt := range map[string]struct {
		message string   // in one piece
		deltas  []string // in several
		want    string   // members of the message that goes back
		shown   string   // as a thought
	}{
		"reasoning_content": {`"content":"","reasoning_content":"I must read.",` + fmt.Sprintf(call, ""),
			[]string{`"reasoning_content":"I must"`, `"reasoning_content":" read."`, fmt.Sprintf(call, "")}, `{"reasoning_content":"I must read."}`, "I must read."},
		"reasoning, with details": {`"reasoning":"Hm.","reasoning_details":[{"type":"reasoning.text","text":"Hm.","signature":"s1","index":0},{"type":"reasoning.encrypted","data":"xyz","index":1}],` + fmt.Sprintf(call, ""),
			[]string{
				`"reasoning":"H","reasoning_details":[{"type":"reasoning.text","text":"H","index":0}]`, `"reasoning":"m.","reasoning_details":[{"type":"reasoning.text","text":"m.","index":0}]`,
				`"reasoning_details":[{"type":"reasoning.text","signature":"s1","index":0}]`, `"reasoning_details":[{"type":"reasoning.encrypted","data":"xyz","index":1}],` + fmt.Sprintf(call, ""),
			},
			`{"reasoning":"Hm.","reasoning_details":[{"index":0,"signature":"s1","text":"Hm.","type":"reasoning.text"},{"data":"xyz","index":1,"type":"reasoning.encrypted"}]}`, "Hm."},
		"thinking_blocks": {`"reasoning_content":"Hm.","thinking_blocks":[{"type":"thinking","thinking":"Hm.","signature":"s1"},{"type":"thinking","thinking":"So.","signature":"s2"}],` + fmt.Sprintf(call, ""),
			[]string{
				`"reasoning_content":"Hm.","thinking_blocks":[{"type":"thinking","thinking":"H","signature":null}]`, `"thinking_blocks":[{"type":"thinking","thinking":"m.","signature":""}]`,
				`"thinking_blocks":[{"type":"thinking","thinking":"","signature":"s1"}]`, `"thinking_blocks":[{"type":"thinking","thinking":"So.","signature":"s2"}],` + fmt.Sprintf(call, ""),
			},
			`{"reasoning_content":"Hm.","thinking_blocks":[{"signature":"s1","thinking":"Hm.","type":"thinking"},{"signature":"s2","thinking":"So.","type":"thinking"}]}`, "Hm."},
		"a call's extra_content": {fmt.Sprintf(call, `,"extra_content":{"google":{"thought_signature":"c2ln"}}`), []string{fmt.Sprintf(call, `,"extra_content":{"google":{"thought_signature":"c2ln"}}`)}, `{}`, ""},
		"opaque":                 {`"reasoning_opaque":"xyz",` + fmt.Sprintf(call, ""), []string{`"reasoning_opaque":"xyz"`, fmt.Sprintf(call, "")}, `{"reasoning_opaque":"xyz"}`, ""},
		"tags in the text": {`"content":"<think>\nHm.\n</think>\n\nI read.",` + fmt.Sprintf(call, ""), []string{`"content":"<thi"`, `"content":"nk>\nHm.\n</th"`, `"content":"ink>\n\nI read."`, fmt.Sprintf(call, "")},
			`{"content":"\u003cthink\u003e\nHm.\n\u003c/think\u003e\n\nI read."}`, "Hm.\n"},
		"nothing": {`"reasoning_content":null,"annotations":[],"audio":null,` + fmt.Sprintf(call, ""), []string{`"reasoning_content":null,"content":null`, fmt.Sprintf(call, "")}, `{}`, ""},
	} {
		for _, stream := range []bool{false, true} {
			body := whole("{"+tt.message+"}", "tool_calls")
			if stream {
				var choices []string
				for _, d := range tt.deltas {
					choices = append(choices, `"delta":{`+d+`}`)
				}
				body = events(append(choices, `"delta":{},"finish_reason":"tool_calls"`)...)
			}
			s := serve(t, say(body))
			all, err := ask(t.Context(), s.model(t, provider.Config{}), user("hi"), stream)
			if err != nil {
				t.Errorf("%s, streamed %v: %v", name, stream, err)
				continue
			}
			content, thought := all[len(all)-1].Content, ""
			for _, p := range content.Parts {
				if p.Thought {
					thought += p.Text
				}
			}
			equal(t, name+": thoughts", tt.shown, thought)
			back := goesOn(t, content, s, false)
			calls, _ := back["tool_calls"].([]any)
			first, _ := calls[0].(map[string]any)
			if strings.HasPrefix(name, "a call's") != (first["extra_content"] != nil) {
				t.Errorf("%s, streamed %v: the call that goes back is %v", name, stream, first)
			}
			got := map[string]any{}
			for member, v := range back {
				if member != "role" && member != "tool_calls" && v != nil {
					got[member] = v
				}
			}
			b, _ := json.Marshal(got)
			equal(t, fmt.Sprintf("%s, streamed %v", name, stream), tt.want, string(b))
			if _, null := back["content"]; !null {
				t.Errorf("%s: content is left out", name)
			}
			elsewhere := goesOn(t, content, s, true)
			delete(elsewhere, "content")
			b, _ = json.Marshal(elsewhere)
			equal(t, name+", to another server", `{"role":"assistant","tool_calls":[{"function":{"arguments":"{}","name":"f"},"id":"a","type":"function"}]}`, string(b))
		}
	}
}

// An answer that its maker stopped makes no call, whatever the call looks like.
func TestNoCallOfAStoppedAnswer(t *testing.T) {
	for _, args := range []string{`{\"id\":\"x\"}`, `{\"id\":`, ``} {
		call := `"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"` + args + `"}}]`
		for _, reason := range []string{"content_filter", "error", "length", "max_tokens", "a_reason_of_tomorrow"} {
			for body, stream := range map[string]bool{whole("{"+call+"}", reason): false, events(`"delta":{`+call+`}`, `"delta":{},"finish_reason":"`+reason+`"`): true} {
				all, err := ask(t.Context(), serve(t, say(body)).model(t, provider.Config{}), user("hi"), stream)
				if err == nil || !strings.Contains(err.Error(), "("+reason+")") || !strings.Contains(err.Error(), "within a call, which is not made") || len(all) > 0 {
					t.Errorf("%s after %q: %v, %v", reason, args, all, err)
				}
			}
		}
		refusal := whole(`{"refusal":"No.",`+call+`}`, "stop")
		if all, err := ask(t.Context(), serve(t, say(refusal)).model(t, provider.Config{}), user("hi"), false); err == nil || len(all) > 0 {
			t.Errorf("a call beside a refusal: %v", all)
		}
	}
	// A bound of ours has another remedy than the server's.
	req := user("hi")
	req.Config = &genai.GenerateContentConfig{MaxOutputTokens: 5}
	_, err := ask(t.Context(), serve(t, say(whole(`{"tool_calls":[{"id":"a","function":{"name":"f"}}]}`, "length"))).model(t, provider.Config{}), req, false)
	if err == nil || !strings.Contains(err.Error(), "raise max_tokens") {
		t.Errorf("at our bound: %v", err)
	}
}

// The same call under its id, sent again, is one; with other arguments it is two.
func TestACallTwiceUnderItsID(t *testing.T) {
	call := func(index int, id, args string) string {
		return fmt.Sprintf(`{"index":%d,"id":%q,"function":{"name":"f","arguments":%q}}`, index, id, args)
	}
	for name, tt := range map[string]struct {
		calls []string
		want  int
	}{
		"two indices":            {[]string{call(0, "x", `{"a":1}`), call(1, "x", `{"a":1}`)}, 1},
		"the same index":         {[]string{call(0, "x", `{"a":1}`), call(0, "x", `{"a":1}`)}, 1},
		"other spacing":          {[]string{call(0, "x", `{"a":1}`), call(1, "x", `{ "a": 1 }`)}, 1},
		"growing over indices":   {[]string{call(0, "x", ``), call(1, "x", `{"a":`), call(2, "x", `1}`)}, 1},
		"arguments sent again":   {[]string{call(0, "x", `{"a":1}`), `{"index":0,"function":{"arguments":"{\"a\":1}"}}`}, 1},
		"other arguments":        {[]string{call(0, "x", `{"a":1}`), call(1, "x", `{"a":2}`)}, 2},
		"neighbors beyond 2^53":  {[]string{call(0, "x", `{"a":9007199254740992}`), call(1, "x", `{"a":9007199254740993}`)}, 2},
		"no id, the same twice":  {[]string{call(0, "", `{"a":1}`), call(1, "", `{"a":1}`)}, 2},
		"another id, same words": {[]string{call(0, "x", `{"a":1}`), call(1, "y", `{"a":1}`)}, 2},
	} {
		var choices []string
		for _, c := range tt.calls {
			choices = append(choices, `"delta":{"tool_calls":[`+c+`]}`)
		}
		final, _ := answered(t, events(append(choices, `"delta":{},"finish_reason":"tool_calls"`)...), true)
		if got := len(final.Content.Parts); got != tt.want {
			t.Errorf("%s: %d calls, want %d", name, got, tt.want)
		}
	}
}

// Whole numbers reach the tool as they were written, and go back so.
func TestLongNumbersStayAsTheyAre(t *testing.T) {
	const id = "1234567890123456789"
	s := serve(t, say(whole(`{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"id\":`+id+`,\"n\":7.0}"}}]}`, "tool_calls")))
	all, err := ask(t.Context(), s.model(t, provider.Config{}), user("hi"), false)
	if err != nil {
		t.Fatal(err)
	}
	content := all[0].Content
	equal(t, "arguments", map[string]any{"id": json.Number(id), "n": 7.0}, content.Parts[0].FunctionCall.Args)
	_, _ = ask(t.Context(), s.model(t, provider.Config{}), contents(turn(genai.RoleUser, text("hi")), content), false)
	_, _, asked := s.seen()
	if !strings.Contains(asked[1], `{\"id\":`+id+`,\"n\":7}`) {
		t.Errorf("the call goes back as %s", asked[1])
	}
}

// Arguments that are no JSON object end no run: the call carries them to where it is
// refused, and the model told.
func TestMalformedArgumentsAreTheModelsToMend(t *testing.T) {
	for _, args := range []string{`{"id":`, `not JSON`, `[1]`, `7`, `{a:1}`, `{"a":1}{"a":2}`} {
		b, _ := json.Marshal(args)
		final, _ := answered(t, whole(`{"tool_calls":[{"id":"a","function":{"name":"f","arguments":`+string(b)+`}}]}`, "tool_calls"), false)
		equal(t, args, map[string]any{strictjson.Malformed: args}, final.Content.Parts[0].FunctionCall.Args)
	}
}

// What a server leaves in the text is read, over both APIs.
func TestTextIsRead(t *testing.T) {
	req := user("hi")
	req.Config = declare("create_report")
	ask := func(content, api string) ([]*model.LLMResponse, error) {
		b, _ := json.Marshal(content)
		body := whole(`{"content":`+string(b)+`}`, "stop")
		if api == "responses" {
			body = `{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":` + string(b) + `}]}]}`
		}
		return ask(t.Context(), serve(t, say(body)).model(t, provider.Config{Settings: settings(api)}), req, false)
	}
	for _, api := range []string{"chat", "responses"} {
		all, err := ask("<think>Hm.</think>\nIt rose.", api)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, api, turn(genai.RoleModel, &genai.Part{Text: "Hm.", Thought: true}, text("It rose.")), all[0].Content)
		if all, err := ask(`{"name": "create_report", "parameters": {}}`, api); err == nil || !strings.Contains(err.Error(), "the server handed out a call of create_report as text") {
			t.Errorf("%s: a call in words: %v, %v", api, all, err)
		}
	}
}

// Metadata of other types, and errors in other places, lose no answer.
func TestMetadataOfOtherTypes(t *testing.T) {
	for _, more := range []string{
		`"usage":{"prompt_tokens":812.0,"completion_tokens":4.0,"total_tokens":816.0}`, `"usage":{"prompt_tokens":"812","completion_tokens":"4","total_tokens":"816"}`,
		`"usage":{"prompt_tokens":812,"completion_tokens":4,"total_tokens":816,"prompt_tokens_details":[],"completion_tokens_details":{"reasoning_tokens":null}}`,
		`"usage":null`, `"usage":[]`, `"usage":"none"`, `"created":1746709563.5,"service_tier":{}`, `"system_fingerprint":7`,
	} {
		body := strings.Replace(whole(hello, "stop"), `"id":"chatcmpl-1"`, `"id":17,`+more, 1)
		body = strings.Replace(body, `"index":0`, `"index":"0","logprobs":[]`, 1)
		final, _ := answered(t, body, false)
		u := final.UsageMetadata
		if final.Content.Parts[0].Text != "hello" || strings.Contains(more, "812") && (u == nil || u.PromptTokenCount != 812 || u.TotalTokenCount != 816) {
			t.Errorf("%s: %+v, %+v", more, final, u)
		}
	}
	for body, want := range map[string]string{
		`[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}]`: "the API key was refused (400 API_KEY_INVALID)",
		`{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"prompt is too long: 9 tokens"}}}`:                 "longer than the model's context",
		`{"error":"This model's maximum prompt length is 8192","code":"Client specified an invalid argument"}`:                         "longer than the model's context",
		`{"error":{"message":"x","metadata":[],"details":"y","innererror":7,"type":"odd"}}`:                                            "refused the request (400 odd)",
	} {
		if _, err := ask(t.Context(), serve(t, fail(400, body)).model(t, provider.Config{}), user("hi"), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// llama.cpp's server says completed of what it cut off at the bound.
func TestResponsesCompletedAtTheBound(t *testing.T) {
	for bound, want := range map[int32]genai.FinishReason{0: "STOP", 5: "MAX_TOKENS", 6: "STOP"} {
		req := user("hi")
		req.Config = &genai.GenerateContentConfig{MaxOutputTokens: bound}
		body := `{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"half"}]}],"usage":{"input_tokens":1,"output_tokens":5,"total_tokens":6}}`
		all, err := ask(t.Context(), serve(t, say(body)).model(t, provider.Config{Settings: settings("responses")}), req, false)
		if err != nil || all[0].FinishReason != want {
			t.Errorf("with a bound of %d: %v, %v", bound, all, err)
		}
	}
}

// What the Responses API encrypts of its thoughts goes back before the calls.
func TestResponsesReasoningComesBack(t *testing.T) {
	const reasoning = `{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"}`
	const call = `{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}`
	for body, stream := range map[string]bool{
		`{"status":"completed","output":[` + reasoning + `,` + call + `]}`: false,
		responses(`{"type":"response.output_item.added","output_index":0,"item":`+reasoning+`}`, `{"type":"response.output_item.done","output_index":0,"item":`+reasoning+`}`,
			`{"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","call_id":"a","name":"f","arguments":""}}`,
			`{"type":"response.function_call_arguments.done","output_index":1,"arguments":"{}"}`, `{"type":"response.completed","response":{"status":"completed","output":[]}}`): true,
	} {
		s := serve(t, say(body))
		llm := s.model(t, provider.Config{Settings: settings("responses")})
		var content *genai.Content
		for resp, err := range llm.GenerateContent(t.Context(), user("hi"), stream) {
			if err != nil {
				t.Fatal(err)
			}
			content = resp.Content
		}
		_, _ = ask(t.Context(), llm, contents(turn(genai.RoleUser, text("hi")), content), false)
		_, _, asked := s.seen()
		if want := reasoning + `,{"type":"function_call","call_id":"a"`; !strings.Contains(asked[1], want) {
			t.Errorf("streamed %v: %s is not in %s", stream, want, asked[1])
		}
	}
}

// Wherever in a message with calls servers put their state, it goes back there.
func TestStateInEveryPlace(t *testing.T) {
	const sealed = `"signature":"s","thoughts":[{"text":"Hm."}],"encrypted_content":"e","cot_id":"c","reasoning_details":[{"data":"d","type":"reasoning.encrypted"}]`
	const message = sealed + `,"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}",` + sealed + `},` + sealed + `}]`
	for body, stream := range map[string]bool{whole("{"+message+"}", "tool_calls"): false, events(`"delta":{`+message+`}`, `"delta":{},"finish_reason":"tool_calls"`): true} {
		s := serve(t, say(body))
		all, err := ask(t.Context(), s.model(t, provider.Config{}), user("hi"), stream)
		if err != nil {
			t.Fatal(err)
		}
		var want any
		if err := json.Unmarshal([]byte(`{"role":"assistant","content":null,`+strings.Replace(message, `"index":0,`, "", 1)+`}`), &want); err != nil {
			t.Fatal(err)
		}
		equal(t, "what goes back", want, any(goesOn(t, all[len(all)-1].Content, s, false)))
	}
}

// An answer is the same in whatever form it comes, asked for as a stream or not.
func TestFormsOfAnswers(t *testing.T) {
	const piece = `{"choices":[{"index":0,"delta":{"content":"%s"}%s}]}`
	const counted = "\n\n" + `data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}` + "\n\n"
	one, two := fmt.Sprintf(piece, "hel", ""), fmt.Sprintf(piece, "lo", `,"finish_reason":"stop"`)
	message := whole(hello, "stop")
	for name, body := range map[string]string{
		"one value": message, "one event": "data: " + message + "\n\n", "an array": "[" + message + "]",
		"message in place of delta":      "data: " + strings.ReplaceAll(one+"\n\ndata: "+two, "delta", "message") + "\n\ndata: [DONE]\n\n",
		"the message again at the end":   "data: " + one + "\n\ndata: " + strings.Replace(two, `"finish`, `"message":`+hello+`,"finish`, 1) + "\n\n",
		"the message after an empty one": "data: " + strings.Replace(message, `"message"`, `"delta":{"role":"assistant","content":""},"message"`, 1) + "\n\n",
		"JSON on lines":                  one + "\n" + two + "\n",
		"CR alone":                       "data: " + one + "\r\rdata: " + two + "\r\r",
		"a byte order mark":              "\uFEFFdata: " + one + "\n\ndata: " + two + "\n\n",
		"no reason but the end":          "data: " + one + "\n\ndata: " + fmt.Sprintf(piece, "lo", "") + counted + "data: [DONE]\n\n",
	} {
		for _, stream := range []bool{false, true} {
			for _, kind := range []string{"application/json", "text/event-stream", "text/plain"} {
				s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", kind)
					_, _ = io.WriteString(w, body)
				})
				all, err := ask(t.Context(), s.model(t, provider.Config{}), user("hi"), stream)
				if err != nil || all[len(all)-1].Content.Parts[0].Text != "hello" || !stream && len(all) > 1 || all[len(all)-1].FinishReason != "STOP" {
					t.Errorf("%s as %s, streamed %v: %v, %v", name, kind, stream, all, err)
				}
			}
		}
	}
	// Without a reason, what was used has to be told, and a call to be whole.
	for pieces, whole := range map[string]bool{
		`"delta":{"content":"hel"}`: true,
		`"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}`:          false,
		`"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"a\":"}}]}`:   false,
		`"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"a\":1}"}}]}`: true,
	} {
		for usage, told := range map[string]bool{"": false, strings.TrimPrefix(counted, "\n\n"): true, `data: {"choices":[],"usage":null}` + "\n\n": false} {
			body := strings.Replace(events(pieces), "data: [DONE]", usage+"data: [DONE]", 1)
			_, err := ask(t.Context(), serve(t, say(body)).model(t, provider.Config{}), user("hi"), true)
			if (told && whole) != (err == nil) || err != nil && !strings.Contains(err.Error(), "broke off") {
				t.Errorf("%s and %q, and no reason: %v", pieces, usage, err)
			}
		}
	}
}

// Errors under 200, and addresses that are none of the API's, are named.
func TestErrorsInOtherForms(t *testing.T) {
	for body, want := range map[string]string{
		`200 {"base_resp":{"status_code":1004,"status_msg":"login fail"},"choices":null}`:              "the API key was refused (401)",
		`200 {"base_resp":{"status_code":1002,"status_msg":"rate limit"}}`:                             "too many requests (429)",
		`200 {"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}`:                   "the quota is used up (402)",
		`200 {"base_resp":{"status_code":2013,"status_msg":"invalid params, context window exceeds"}}`: "longer than the model's context (400)",
		`200 [{"error":{"code":404,"message":"models/x is not found","status":"NOT_FOUND"}}]`:          "there is no such model (404 NOT_FOUND)",
		`404 [{"error":{"code":404,"message":"models/x is not found","status":"NOT_FOUND"}}]`:          "there is no such model (404 NOT_FOUND)",
		`404 {"detail":[{"msg":"no such model","type":"value_error"}]}`:                                "there is no such model (404)",
		`404 <html>not here</html>`: "no such API at this address (404)",
		`200 <html>sign in</html>`:  "could not be read: try again; if it stays so, check the base URL",
		`200 {"choices":[{"index":0,"message":{"refusal":"No.","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`: "which is not made (refusal)",
	} {
		for _, stream := range []bool{false, true} {
			status, text, _ := strings.Cut(body, " ")
			n, _ := strconv.Atoi(status)
			_, err := ask(t.Context(), serve(t, fail(n, text)).model(t, provider.Config{}), user("hi"), stream)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s, streamed %v: %v", body, stream, err)
			}
		}
	}
}
