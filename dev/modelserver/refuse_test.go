package modelserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/dev/modelserver"
	"github.com/jitagent/jitagent/models/modeltest"
)

const (
	chat     = "POST /v1/chat/completions"
	resp     = "POST /v1/responses"
	msgs     = "POST /v1/messages"
	gen      = "POST /v1beta/models/m:generateContent"
	messages = `"messages":[{"role":"user","content":"hi"}]`
	contents = `"contents":[{"role":"user","parts":[{"text":"hi"}]}]`
	canary   = "canary-7f3a-do-not-echo"
)

func TestNewRefuses(t *testing.T) {
	llm := modeltest.NewScript()
	for name, c := range map[string]modelserver.Config{
		"nothing":   {},
		"nil model": {Models: map[string]model.LLM{"m": nil}},
		"no name":   {Models: map[string]model.LLM{"": llm}},
	} {
		if s, err := modelserver.New(c); err == nil || s != nil {
			t.Errorf("%s: New gives %v, %v", name, s, err)
		}
	}
}

func TestAddressesRefused(t *testing.T) {
	srv := serve(t, modeltest.Always(modeltest.Text("ok")))
	for _, tt := range []struct {
		line, body, header string
		status             int
		allow, want        string
	}{
		{"GET /", "", "", 404, "", `"type":"invalid_request_error"`},
		{"POST /v1/completions", "{}", "", 404, "", `"type":"invalid_request_error"`},
		{"GET /v1/chat/completions", "", "", 405, "POST", `"type":"invalid_request_error"`},
		{"DELETE /v1/models/m", "", "", 405, "GET", `"type":"invalid_request_error"`},
		{"GET /v1/models/none", "", "", 404, "", `"code":"model_not_found"`},
		{chat, `{"model":"none",` + messages + `}`, "", 404, "", `"code":"model_not_found"`},
		{"GET /v1beta/files", "", "", 404, "", `"status":"NOT_FOUND"`},
		{"GET /v1beta/models/none", "", "", 404, "", `"status":"NOT_FOUND"`},
		{"GET /v1/models/none", "", "X-Goog-Api-Key: k", 404, "", `"status":"NOT_FOUND"`},
		{"GET /v1/models/none?key=k", "", "", 404, "", `"status":"NOT_FOUND"`},
		{"GET /v1beta/models/m:generateContent", "", "", 405, "POST", `"status":"INVALID_ARGUMENT"`},
		{"POST /v1beta/models", "{}", "", 405, "GET", `"status":"INVALID_ARGUMENT"`},
		{"POST /v1beta/models/m:countTokens", "{}", "", 404, "", `generateContent and streamGenerateContent","status":"NOT_FOUND"`},
		{"POST /v1/models/m:countTokens", "{}", "X-Goog-Api-Key: k", 404, "", `"status":"NOT_FOUND"`},
		{"POST /v1beta1/publishers/google/models/none:generateContent", "{" + contents + "}", "", 404, "", `there is no model none`},
		{"POST /v1/responses", `{"model":"none","input":"hi"}`, "", 404, "", `"code":"model_not_found"`},
		{"POST /v1beta/models/none:generateContent", "{" + contents + "}", "", 404, "", `"status":"NOT_FOUND"`},
		{"POST /v1/models/none:streamGenerateContent?alt=sse", "{" + contents + "}", "", 404, "", `"status":"NOT_FOUND"`},
		{chat, `{"model":"m",` + messages + `}`, "Content-Type: text/plain", 415, "", `"type":"invalid_request_error"`},
		{gen, "{" + contents + "}", "Content-Type: ", 415, "", `"status":"INVALID_ARGUMENT"`},
		{chat, strings.Repeat(" ", modelserver.MaxBody+1), "", 413, "", `"type":"invalid_request_error"`},
		{msgs, strings.Repeat(" ", modelserver.MaxBody+1), "", 413, "", `"type":"request_too_large"`},
		{msgs, `{"model":"none","max_tokens":9,` + messages + `}`, "", 404, "", `{"error":{"message":"there is no model none here","type":"not_found_error"},"type":"error"}`},
		{"POST /v1/messages/count_tokens", "{}", "", 404, "", `"type":"not_found_error"`},
		{"GET /v1/messages", "", "", 405, "POST", `"type":"invalid_request_error"},"type":"error"`},
		{"GET /v1/models/none", "", "Anthropic-Version: 2023-06-01", 404, "", `"type":"not_found_error"`},
		{gen, strings.Repeat(" ", modelserver.MaxBody+1), "", 413, "", `"status":"INVALID_ARGUMENT"`},
	} {
		var headers []string
		if tt.header != "" {
			headers = append(headers, tt.header)
		}
		a := send(t, srv, tt.line, tt.body, headers...)
		if a.status != tt.status || a.header.Get("Allow") != tt.allow || !strings.Contains(a.body, tt.want) || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s (%s) = %d, Allow %q, %s %s, want %d, %q, %s", tt.line, tt.header, a.status, a.header.Get("Allow"), a.header.Get("Content-Type"), a.body, tt.status, tt.allow, tt.want)
		}
	}
}

// refusal sends body and wants a 400 that says want and quotes no value.
func refusal(t *testing.T, script *modeltest.Script, line, body, want string) {
	t.Helper()
	a := send(t, serve(t, script), line, body)
	var e struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("not JSON: %s", a.body)
	}
	if a.status != http.StatusBadRequest || !strings.Contains(e.Error.Message, want) || strings.Contains(a.body, canary) {
		t.Errorf("%s\n%d %s\nwant 400 with %s", body, a.status, a.body, want)
	}
	if n := len(script.Requests()); n > 0 {
		t.Errorf("the model was asked %d times", n)
	}
}

func TestOpenAIRequestsRefused(t *testing.T) {
	const tools = `"tools":[{"type":"function","function":{"name":"f"}}]`
	calls := func(rest string) string {
		return `{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[` +
			`{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]}` + rest + `]}`
	}
	with := func(member string) string { return `{"model":"m",` + messages + `,` + member + `}` }
	said := func(message string) string { return `{"model":"m","messages":[` + message + `]}` }
	for name, tt := range map[string]struct{ body, want string }{
		"nothing":              {"", "cannot be read"},
		"not JSON":             {canary, "cannot be read"},
		"an array":             {"[]", "cannot be read"},
		"null":                 {"null", "name a model"},
		"duplicate":            {`{"model":"m","model":"` + canary + `",` + messages + `}`, `duplicate member "model"`},
		"wrong type":           {with(`"temperature":"` + canary + `"`), `/temperature`},
		"no model":             {`{` + messages + `}`, "name a model"},
		"no messages":          {`{"model":"m"}`, "messages"},
		"system alone":         {said(`{"role":"system","content":"x"}`), "not a system message"},
		"n":                    {with(`"n":2`), "n: one answer"},
		"logprobs":             {with(`"logprobs":true`), "logprobs"},
		"modalities":           {with(`"modalities":["audio"]`), "modalities"},
		"functions":            {with(`"functions":[{"name":"f"}]`), "use tools"},
		"two limits":           {with(`"max_tokens":1,"max_completion_tokens":2`), "contradicts"},
		"no tokens":            {with(`"max_tokens":0`), "over 0"},
		"stop":                 {with(`"stop":7`), "stop:"},
		"effort":               {with(`"reasoning_effort":"` + canary + `"`), "reasoning_effort"},
		"format":               {with(`"response_format":{"type":"xml"}`), "response_format"},
		"format, no schema":    {with(`"response_format":{"type":"json_schema"}`), "response_format"},
		"format, odd schema":   {with(`"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":[1]}}`), "response_format"},
		"custom tool":          {with(`"tools":[{"type":"custom","custom":{"name":"x"}}]`), "type function"},
		"tool type":            {with(`"tools":[{"type":"web_search"}]`), "type function"},
		"nameless tool":        {with(`"tools":[{"type":"function","function":{}}]`), "name of its own"},
		"twin tools":           {with(`"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"f"}}]`), "name of its own"},
		"tool schema":          {with(`"tools":[{"type":"function","function":{"name":"f","parameters":"x"}}]`), "JSON object"},
		"choice, nothing":      {with(`"tool_choice":"required"`), "no tools"},
		"choice, odd":          {with(tools + `,"tool_choice":"any"`), "tool_choice"},
		"choice, unknown":      {with(tools + `,"tool_choice":{"type":"function","function":{"name":"g"}}`), "no tool has this name"},
		"choice, allowed":      {with(tools + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{}}`), "tool_choice"},
		"role":                 {said(`{"role":"` + canary + `","content":"x"}`), "role must be"},
		"no content":           {said(`{"role":"user"}`), "no content"},
		"empty parts":          {said(`{"role":"user","content":[]}`), "no content"},
		"content type":         {said(`{"role":"user","content":7}`), "content"},
		"half a character":     {said(`{"role":"user","content":"\ud83d"}`), "cannot be read"},
		"part type":            {said(`{"role":"user","content":[{"type":"input_audio"}]}`), "parts are text"},
		"image, plain":         {said(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]}`), "parts are text"},
		"image, bad base64":    {said(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,%%"}}]}`), "parts are text"},
		"image, a text":        {said(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:text/html;base64,aGk="}}]}`), "parts are text"},
		"system image":         {said(`{"role":"system","content":[{"type":"image_url","image_url":{"url":"https://x.test/a.png"}}]}`), "is text"},
		"silent assistant":     {said(`{"role":"assistant"}`), "neither content nor tool_calls"},
		"user calls":           {said(`{"role":"user","content":"x","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`), "only an assistant"},
		"user answers":         {said(`{"role":"user","content":"x","tool_call_id":"a"}`), "role tool"},
		"call without id":      {said(`{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":"{}"}}]}`), "id of its own"},
		"call without name":    {said(`{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"arguments":"{}"}}]}`), "id of its own"},
		"cut arguments":        {said(`{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":"}}]}`), "JSON object"},
		"twice the same id":    {said(`{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`), "id of its own"},
		"old call":             {said(`{"role":"assistant","function_call":{"name":"f","arguments":"{}"}}`), "tool_calls"},
		"answer to nothing":    {said(`{"role":"tool","tool_call_id":"a","content":"x"}`), "must answer"},
		"dangling at the end":  {calls(``), "followed by"},
		"one of two":           {calls(`,{"role":"tool","tool_call_id":"a","content":"x"}`), "followed by"},
		"dangling, then user":  {calls(`,{"role":"user","content":"x"}`), "followed by"},
		"one, then user":       {calls(`,{"role":"tool","tool_call_id":"b","content":"x"},{"role":"user","content":"x"}`), "followed by"},
		"answered too late":    {calls(`,{"role":"user","content":"x"},{"role":"tool","tool_call_id":"a","content":"x"},{"role":"tool","tool_call_id":"b","content":"x"}`), "followed by"},
		"answered twice":       {calls(`,{"role":"tool","tool_call_id":"a","content":"x"},{"role":"tool","tool_call_id":"a","content":"x"}`), "once"},
		"another's answer":     {calls(`,{"role":"tool","tool_call_id":"c","content":"x"}`), "must answer"},
		"answer, no content":   {calls(`,{"role":"tool","tool_call_id":"a"}`), "no content"},
		"answer with an image": {calls(`,{"role":"tool","tool_call_id":"a","content":[{"type":"image_url","image_url":{"url":"https://x.test/a.png"}}]}`), "is text"},
		"too deep":             {with(`"metadata":` + strings.Repeat("[", 70) + strings.Repeat("]", 70)), "nested deeper"},
	} {
		t.Run(name, func(t *testing.T) {
			refusal(t, modeltest.NewScript(), chat, tt.body, tt.want)
		})
	}
}

func TestResponsesRequestsRefused(t *testing.T) {
	for name, tt := range map[string]struct{ body, want string }{
		"nothing":           {`{"model":"m"}`, "input"},
		"a number":          {`{"model":"m","input":7}`, "input"},
		"kept here":         {`{"model":"m","input":"hi","previous_response_id":"resp_1"}`, "nothing is stored"},
		"a conversation":    {`{"model":"m","input":"hi","conversation":"conv_1"}`, "nothing is stored"},
		"in the background": {`{"model":"m","input":"hi","background":true}`, "nothing is stored"},
		"another item":      {`{"model":"m","input":[{"type":"item_reference","id":"` + canary + `"}]}`, "input[0]: items are"},
		"another tool":      {`{"model":"m","input":"hi","tools":[{"type":"web_search"}]}`, "type function"},
		"dangling":          {`{"model":"m","input":[{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}]}`, "followed by"},
		"answer to nothing": {`{"model":"m","input":[{"type":"function_call_output","call_id":"a","output":"x"}]}`, "must answer"},
	} {
		t.Run(name, func(t *testing.T) {
			refusal(t, modeltest.NewScript(), resp, tt.body, tt.want)
		})
	}
}

// What is not known is ignored: other servers and later versions have other members.
func TestUnknownMembersAreIgnored(t *testing.T) {
	for line, bodies := range map[string][]string{
		chat: {
			`"top_k":40,"min_p":0.05,"cache_prompt":true,"chat_template_kwargs":{"enable_thinking":false}`, `"tools":[],"tool_choice":"auto"`,
			`"logit_bias":{"1":2},"user":"u","metadata":{"a":"b"},"store":true,"verbosity":"low","prediction":null,"audio":null,"seed":null,"stop":null`,
			`"stream_options":null,"response_format":null,"top_logprobs":null,"function_call":null`,
		},
		gen: {`"messages":[]`, `"toolConfig":{"retrievalConfig":{}}`, `"generationConfig":{"speechConfig":null,"enhanced":1},"store":true`, `"tools":[{"googleSearch":{}}]`},
	} {
		start := "{" + contents
		if line == chat {
			start = `{"model":"m",` + messages
		}
		for _, b := range bodies {
			if a := send(t, serve(t, modeltest.NewScript(modeltest.Text("ok"))), line, start+","+b+"}"); a.status != http.StatusOK {
				t.Errorf("%s: %d %s", b, a.status, a.body)
			}
		}
	}
}

// A wish that the answer leaves unkept is an error, streamed or not, before anything
// is shown; a kept one is answered.
func TestWishesAreKeptOrRefused(t *testing.T) {
	type turn = modeltest.Turn
	call := func(names ...string) (t turn) {
		for _, name := range names {
			t.Calls = append(t.Calls, &genai.FunctionCall{ID: "id_" + name + fmt.Sprint(len(t.Calls)), Name: name})
		}
		return t
	}
	const tools = `"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}],`
	const declared = `"tools":[{"functionDeclarations":[{"name":"f"},{"name":"g"}]}],`
	const claude = `"tools":[{"name":"f","input_schema":{"type":"object"}},{"name":"g","input_schema":{"type":"object"}}],`
	const schema = `{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}`
	const format = `"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":` + schema + `}}`
	for _, tt := range []struct {
		line, members string
		turn          turn
		kept          bool
	}{
		{chat, tools + `"tool_choice":{"type":"function","function":{"name":"f"}}`, call("f"), true},
		{chat, tools + `"tool_choice":{"type":"function","function":{"name":"f"}}`, call("g"), false},
		{chat, tools + `"tool_choice":{"type":"function","function":{"name":"f"}}`, modeltest.Text("no"), false},
		{chat, tools + `"tool_choice":"required"`, call("g"), true},
		{chat, tools + `"tool_choice":"required"`, modeltest.Text("no"), false},
		{chat, tools + `"tool_choice":"required"`, turn{FinishReason: "SAFETY"}, true}, // that it was stopped is said
		{chat, tools + `"tool_choice":"none"`, call("f"), false},
		{chat, tools + `"tool_choice":"none"`, modeltest.Text("yes"), true},
		{chat, tools + `"parallel_tool_calls":false`, call("f", "f"), false},
		{chat, tools + `"parallel_tool_calls":false`, call("f"), true},
		{chat, `"response_format":{"type":"json_object"}`, modeltest.Text(`{"a":[1]}`), true},
		{chat, `"response_format":{"type":"json_object"}`, modeltest.Text("Sure."), false},
		{chat, format, modeltest.Text(`{"n":1}`), true},
		{chat, format, modeltest.Text(`{"n":"1"}`), false},
		{chat, tools + format, call("f"), true},
		{resp, `"tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"f"}`, modeltest.Text("no"), false},
		{resp, `"tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"f"}`, call("f"), true},
		{resp, `"text":{"format":{"type":"json_schema","name":"x","schema":` + schema + `}}`, modeltest.Text("no"), false},
		{gen, declared + `"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["g"]}}`, call("f"), false},
		{gen, declared + `"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["g"]}}`, call("g"), true},
		{gen, `"generationConfig":{"responseMimeType":"application/json"}`, modeltest.Text("no"), false},
		{gen, `"generationConfig":{"responseMimeType":"application/json"}`, modeltest.Text("[]"), true},
		{msgs, claude + `"tool_choice":{"type":"tool","name":"f"}`, call("f"), true},
		{msgs, claude + `"tool_choice":{"type":"tool","name":"f"}`, call("g"), false},
		{msgs, claude + `"tool_choice":{"type":"any"}`, modeltest.Text("no"), false},
		{msgs, claude + `"tool_choice":{"type":"none"}`, call("f"), false},
		{msgs, claude + `"tool_choice":{"type":"auto","disable_parallel_tool_use":true}`, call("f", "f"), false},
		{msgs, `"output_config":{"format":{"type":"json_schema","schema":` + schema + `}}`, modeltest.Text(`{"n":"1"}`), false},
		{msgs, `"output_config":{"format":{"type":"json_schema","schema":` + schema + `}}`, modeltest.Text(`{"n":1}`), true},
	} {
		line, body, stream := tt.line, `{"model":"m",`+messages+`,`+tt.members, `,"stream":true}`
		streamed := line
		switch line {
		case msgs:
			body = `{"model":"m","max_tokens":9,` + messages + `,` + tt.members
		case resp:
			body = `{"model":"m","input":"hi",` + tt.members
		case gen:
			body, stream, streamed = `{`+contents+`,`+tt.members, "}", genStream
		}
		for _, way := range [][2]string{{line, body + "}"}, {streamed, body + stream}} {
			a := send(t, serve(t, modeltest.NewScript(tt.turn)), way[0], way[1])
			if want := map[bool]int{true: 200, false: 400}[tt.kept]; a.status != want || a.err != nil {
				t.Errorf("%s %s answered with %+v: %d %s, want %d", way[0], tt.members, tt.turn, a.status, a.body, want)
			}
		}
	}
}

func TestGeminiRequestsRefused(t *testing.T) {
	with := func(member string) string { return `{` + contents + `,` + member + `}` }
	said := func(content string) string { return `{"contents":[` + content + `]}` }
	part := func(p string) string { return said(`{"role":"user","parts":[` + p + `]}`) }
	calls := func(rest string) string {
		return said(`{"parts":[{"text":"hi"}]},{"role":"model","parts":[{"functionCall":{"id":"a","name":"f"}},{"functionCall":{"id":"b","name":"f"}}]}` + rest)
	}
	for name, tt := range map[string]struct{ body, want string }{
		"nothing":              {"", "cannot be read"},
		"not JSON":             {canary, "cannot be read"},
		"duplicate":            {`{` + contents + `,` + contents + `}`, `duplicate member "contents"`},
		"duplicate, two forms": {with(`"toolConfig":{},"tool_config":{}`), "same name"},
		"no contents":          {"{}", "at least one"},
		"cached":               {with(`"cachedContent":"cachedContents/1"`), "cachedContent"},
		"candidates":           {with(`"generationConfig":{"candidateCount":2}`), "candidateCount"},
		"tokens":               {with(`"generationConfig":{"maxOutputTokens":-1}`), "maxOutputTokens"},
		"logprobs":             {with(`"generationConfig":{"responseLogprobs":true}`), "responseLogprobs"},
		"modality":             {with(`"generationConfig":{"responseModalities":["IMAGE"]}`), "responseModalities"},
		"nameless":             {with(`"tools":[{"functionDeclarations":[{}]}]`), "name of its own"},
		"twins":                {with(`"tools":[{"functionDeclarations":[{"name":"f"}]},{"functionDeclarations":[{"name":"f"}]}]`), "name of its own"},
		"two schemas":          {with(`"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT"},"parametersJsonSchema":{}}]}]`), "exclude"},
		"mode":                 {with(`"toolConfig":{"functionCallingConfig":{"mode":"MAYBE"}}`), "mode"},
		"allowed":              {with(`"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["g"]}}`), "no tool has this name"},
		"system image":         {with(`"systemInstruction":{"parts":[{"inlineData":{"mimeType":"image/png","data":"aGk="}}]}`), "text"},
		"role":                 {said(`{"role":"` + canary + `","parts":[{"text":"x"}]}`), "role must be"},
		"no parts":             {said(`{"role":"user"}`), "no parts"},
		"null content":         {said(`null`), "no parts"},
		"null part":            {part(`null`), "null"},
		"empty part":           {part(`{}`), "a part holds"},
		"two things":           {part(`{"text":"x","functionCall":{"name":"f"}}`), "one thing"},
		"base64":               {part(`{"inlineData":{"mimeType":"image/png","data":"%%"}}`), "inlineData/data"},
		"signature":            {part(`{"text":"x","thoughtSignature":"%%"}`), "thoughtSignature"},
		"user calls":           {part(`{"functionCall":{"name":"f"}}`), "calls are the model's"},
		"nameless call":        {said(`{"role":"model","parts":[{"functionCall":{}}]}`), "names no function"},
		"answer to nothing":    {part(`{"functionResponse":{"name":"f","response":{}}}`), "as many"},
		"model answers":        {said(`{"role":"model","parts":[{"functionResponse":{"name":"f"}}]}`), "calls are the model's"},
		"dangling at the end":  {calls(``), "as many"},
		"dangling, then user":  {calls(`,{"parts":[{"text":"x"}]}`), "as many"},
		"one of two":           {calls(`,{"parts":[{"functionResponse":{"id":"a","name":"f"}}]}`), "as many"},
		"another's answer":     {calls(`,{"parts":[{"functionResponse":{"id":"a","name":"f"}},{"functionResponse":{"id":"c","name":"f"}}]}`), "same ids"},
		"answered twice":       {calls(`,{"parts":[{"functionResponse":{"id":"a","name":"f"}},{"functionResponse":{"id":"a","name":"f"}}]}`), "same ids"},
	} {
		t.Run(name, func(t *testing.T) {
			refusal(t, modeltest.NewScript(), gen, tt.body, tt.want)
		})
	}
}
