package modelserver_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/dev/modelserver"
	"github.com/jitagent/jitagent/models/modeltest"
)

var changing = regexp.MustCompile(`(chatcmpl-|resp_|message_|msg_|reasoning_|fc_|"responseId":"|"created":|"created_at":"?)[A-Z0-9][-:A-Z0-9]*`)

var update = flag.Bool("update", false, "write testdata/answers.txtar anew")

// scrub takes out what differs from run to run.
func scrub(body string) string { return changing.ReplaceAllString(body, "$1") }

const (
	chatBody   = `{"model":"m",` + messages + `}`
	chatStream = `{"model":"m",` + messages + `,"stream":true,"stream_options":{"include_usage":true}}`
	genStream  = "POST /v1beta/models/m:streamGenerateContent?alt=sse"
	genArray   = "POST /v1beta/models/m:streamGenerateContent"
	respBody   = `{"model":"m","input":"hi"}`
	respStream = `{"model":"m","input":"hi","stream":true}`
	genBody    = "{" + contents + "}"
	msgBody    = `{"model":"m","max_tokens":9,` + messages + `}`
	msgStream  = `{"model":"m","max_tokens":9,` + messages + `,"stream":true}`
)

var busy = modeltest.Turn{
	Thoughts: []string{"Two ", "reads."}, Texts: []string{"Reading <", "日本>."},
	Calls:   []*genai.FunctionCall{{ID: "a", Name: "fetch", Args: map[string]any{"id": "dök"}}, {ID: "b", Name: "now"}},
	Usage:   &genai.GenerateContentResponseUsageMetadata{PromptTokenCount: 10, CandidatesTokenCount: 3, ThoughtsTokenCount: 4, TotalTokenCount: 17, CachedContentTokenCount: 2},
	Version: "m-1", Signature: []byte("sig"),
}

// Each wire's whole answer and its stream stand in testdata/answers.txtar.
func TestAnswers(t *testing.T) {
	const file = "testdata/answers.txtar"
	want, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := &txtar.Archive{Comment: want.Comment}
	for _, tt := range []struct{ line, body, contentType string }{
		{chat, chatBody, "application/json"}, {chat, chatStream, "text/event-stream"},
		{resp, respBody, "application/json"}, {resp, respStream, "text/event-stream"},
		{gen, genBody, "application/json"}, {genStream, genBody, "text/event-stream"}, {genArray, genBody, "application/json"},
		{msgs, msgBody, "application/json"}, {msgs, msgStream, "text/event-stream"},
	} {
		s, err := modelserver.New(modelserver.Config{Fallback: modeltest.NewScript(busy), ArgumentPiece: 9})
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(s)
		a := send(t, srv, tt.line, tt.body)
		srv.Close()
		if a.err != nil || a.status != 200 || a.header.Get("Content-Type") != tt.contentType {
			t.Errorf("%s: %d %s, %v", tt.line, a.status, a.header.Get("Content-Type"), a.err)
		}
		name := tt.line
		if strings.Contains(tt.body, "stream") {
			name += " as a stream"
		}
		got.Files = append(got.Files, txtar.File{Name: name, Data: []byte(scrub(a.body))})
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(txtar.Format(want)), string(txtar.Format(got))); diff != "" {
		t.Errorf("answers (-want +got), -update to accept:\n%s", diff)
	}
}

func TestFinishReasons(t *testing.T) {
	for _, tt := range []struct {
		turn                              modeltest.Turn
		openAI, gemini, responses, claude string
	}{
		{modeltest.Text("x"), `"content":"x"*"finish_reason":"stop"`, `"finishReason":"STOP"`, `"status":"completed"`, `"stop_reason":"end_turn"`},
		{modeltest.Turn{}, `"content":""*"finish_reason":"stop"`, `"finishReason":"STOP"`, `"status":"completed"`, `"stop_reason":"end_turn"`},
		{modeltest.Turn{Texts: []string{"x"}, FinishReason: "MAX_TOKENS"}, `"finish_reason":"length"`, `"finishReason":"MAX_TOKENS"`, `"incomplete_details":{"reason":"max_output_tokens"}`, `"stop_reason":"max_tokens"`},
		{modeltest.Turn{FinishReason: "SAFETY"}, `"finish_reason":"content_filter"`, `"finishReason":"SAFETY"`, `"incomplete_details":{"reason":"content_filter"}`, `"stop_reason":"refusal"`},
		{modeltest.Turn{FinishReason: "RECITATION"}, `"finish_reason":"content_filter"`, `"finishReason":"RECITATION"`, `"incomplete_details":{"reason":"content_filter"}`, `"stop_reason":"refusal"`},
		{modeltest.Turn{FinishReason: "BLOCKLIST"}, `"finish_reason":"content_filter"`, `"finishReason":"BLOCKLIST"`, `"incomplete_details":{"reason":"content_filter"}`, `"stop_reason":"refusal"`},
		{modeltest.Turn{FinishReason: "PROHIBITED_CONTENT"}, `"finish_reason":"content_filter"`, `"finishReason":"PROHIBITED_CONTENT"`, `"incomplete_details":{"reason":"content_filter"}`, `"stop_reason":"refusal"`},
		{modeltest.Turn{FinishReason: "SPII"}, `"finish_reason":"content_filter"`, `"finishReason":"SPII"`, `"incomplete_details":{"reason":"content_filter"}`, `"stop_reason":"refusal"`},
		{modeltest.Turn{FinishReason: "OTHER"}, `"finish_reason":"other"`, `"finishReason":"OTHER"`, `"incomplete_details":{"reason":"other"}`, `"stop_reason":"other"`},
		{modeltest.Turn{FinishReason: "MALFORMED_FUNCTION_CALL"}, `"finish_reason":"malformed_function_call"`, `"finishReason":"MALFORMED_FUNCTION_CALL"`, `"incomplete_details":{"reason":"malformed_function_call"}`, `"stop_reason":"malformed_function_call"`},
		{modeltest.Turn{Blocked: "PROHIBITED_CONTENT"}, `"finish_reason":"content_filter"`, `"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"}`, `"incomplete_details":{"reason":"content_filter"}`, `"stop_reason":"refusal"`},
		{modeltest.Turn{Texts: []string{"I ", "won't."}, Refusal: true}, `"refusal":"*"finish_reason":"stop"`, `"finishReason":"SAFETY"`, `"refusal":"I won't.","type":"refusal"`, `"stop_reason":"refusal"`},
		{modeltest.Calls(&genai.FunctionCall{Name: "f"}), `"id":"call_*"finish_reason":"tool_calls"`, `"finishReason":"STOP"`, `"call_id":"call_`, `"stop_reason":"tool_use"`},
	} {
		for line, body := range map[string]string{chat: chatBody, chat + "?s": chatStream, gen: genBody, genStream: genBody, genArray: genBody, resp: respBody, resp + "?s": respStream, msgs: msgBody, msgs + "?s": msgStream} {
			want := tt.gemini
			if strings.HasPrefix(line, resp) {
				want = tt.responses
			}
			if strings.HasPrefix(line, chat) {
				want = tt.openAI
			}
			if strings.HasPrefix(line, msgs) {
				want = tt.claude
			}
			a := send(t, serve(t, modeltest.NewScript(tt.turn)), line, body)
			for _, w := range strings.Split(want, "*") {
				if !strings.Contains(a.body, w) || a.status != 200 || a.err != nil {
					t.Errorf("%+v over %s: %d %v %s\nlacks %s", tt.turn, line, a.status, a.err, a.body, w)
				}
			}
		}
	}
}

// A model that does not say why it ended has simply ended.
func TestNoFinishReasonIsStop(t *testing.T) {
	llm := yields(&model.LLMResponse{Content: genai.NewContentFromText("x", genai.RoleModel)})
	for line, body := range map[string]string{chat: chatBody, chat + "?s": chatStream, gen: genBody, genStream: genBody} {
		want := `"finishReason":"STOP"`
		if strings.HasPrefix(line, chat) {
			want = `"finish_reason":"stop"`
		}
		if a := send(t, serve(t, llm), line, body); !strings.Contains(a.body, want) {
			t.Errorf("%s: %s lacks %s", line, a.body, want)
		}
	}
}

// The model's last response repeats what it streamed: a client must not see it twice.
func TestStreamSaysEachPieceOnce(t *testing.T) {
	call := &genai.Part{FunctionCall: &genai.FunctionCall{ID: "a", Name: "f"}}
	text := func(s string) *genai.Part { return &genai.Part{Text: s} }
	signed := &genai.Part{Text: "ab", ThoughtSignature: []byte("sig")}
	for name, tt := range map[string]struct {
		model model.LLM
		want  string
	}{
		"all of it streamed":        {yields(piece("a"), piece("b"), whole(text("ab"))), "ab"},
		"nothing streamed":          {yields(whole(text("ab"))), "ab"},
		"half of it streamed":       {yields(piece("a"), whole(text("abc"))), "abc"},
		"streamed over two parts":   {yields(piece("a"), piece("b"), whole(text("a"), call, text("b"))), "ab"},
		"streamed into second part": {yields(piece("abc"), whole(text("ab"), call, text("cd"))), "abcd"},
		"signed":                    {yields(piece("ab"), whole(signed)), "ab"},
		"call in a piece":           {yields(&model.LLMResponse{Partial: true, Content: &genai.Content{Parts: []*genai.Part{call, nil, {}}}}, &model.LLMResponse{Partial: true}, whole(text("ab"))), "ab"},
	} {
		a := send(t, serve(t, tt.model), genStream, genBody)
		var got strings.Builder
		for _, m := range regexp.MustCompile(`"text":"([^"]*)"`).FindAllStringSubmatch(a.body, -1) {
			got.WriteString(m[1])
		}
		if got.String() != tt.want || strings.Count(a.body, "functionCall") > 1 || !strings.Contains(a.body, "STOP") || a.err != nil {
			t.Errorf("%s: %s, %v", name, a.body, a.err)
		}
		if name == "signed" != strings.Contains(a.body, `"thoughtSignature":"c2ln"`) {
			t.Errorf("%s: signature: %s", name, a.body)
		}
	}
}

func TestModelFailures(t *testing.T) {
	secret := errors.New(canary)
	panics := func(after ...*model.LLMResponse) model.LLM {
		return generate(func(context.Context, *model.LLMRequest, bool) iter.Seq2[*model.LLMResponse, error] {
			return func(yield func(*model.LLMResponse, error) bool) {
				for _, r := range after {
					yield(r, nil)
				}
				panic(canary)
			}
		})
	}
	cyclic := map[string]any{"f": func() {}}
	for name, tt := range map[string]struct {
		model   model.LLM
		begun   bool // a stream has begun when it fails
		unaryOK bool // streams alone can fail like this
	}{
		"error":             {modeltest.Always(modeltest.Turn{Err: secret}), false, false},
		"error later":       {modeltest.Always(modeltest.Turn{Texts: []string{"a"}, Err: secret}), true, false},
		"panic":             {panics(), false, false},
		"panic later":       {panics(piece("a")), true, false},
		"nothing":           {yields(), false, false},
		"pieces and no end": {yields(piece("a")), true, false},
		"nil response":      {yields(nil), false, false},
		"two ends":          {yields(whole(), whole()), false, false},
		"another text":      {yields(piece("a"), whole(&genai.Part{Text: "b"})), true, true},
		"a shorter text":    {yields(piece("ab"), whole(&genai.Part{Text: "a"})), true, true},
		"half a character":  {yields(piece("\xf0\x9f"), piece("\x91\xa9"), whole(&genai.Part{Text: "👩"})), false, true},
		"odd arguments":     {yields(whole(&genai.Part{FunctionCall: &genai.FunctionCall{Name: "f", Args: cyclic}})), false, false},
	} {
		for line, body := range map[string]string{chat: chatBody, chat + "?s": chatStream, resp: respBody, resp + "?s": respStream, gen: genBody, genStream: genBody, genArray: genBody, msgs: msgBody, msgs + "?s": msgStream} {
			var log bytes.Buffer
			s, err := modelserver.New(modelserver.Config{Fallback: tt.model, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			srv := httptest.NewServer(s)
			a := send(t, srv, line, body)
			srv.Close()
			streams, openAI := line != chat && line != gen && line != resp && line != msgs, strings.HasPrefix(line, chat) || strings.HasPrefix(line, resp)
			if tt.unaryOK && !streams {
				if a.status != 200 {
					t.Errorf("%s over %s: %d %s", name, line, a.status, a.body)
				}
				continue
			}
			want := `{"error":{"code":500,"message":"the model failed","status":"INTERNAL"}}`
			if openAI {
				want = `{"error":{"code":null,"message":"the model failed","param":null,"type":"server_error"}}`
			}
			if strings.HasPrefix(line, msgs) {
				want = `{"error":{"message":"the model failed","type":"api_error"},"type":"error"}`
			}
			if line == resp+"?s" && a.status == 200 {
				want = `{"code":"server_error","message":"the model failed","param":null,"sequence_number":4,"type":"error"}`
			}
			if !strings.HasSuffix(strings.TrimSpace(a.body), want) || strings.Contains(a.body, canary) || strings.Contains(a.body, "DONE") || strings.Contains(a.body, "message_stop") {
				t.Errorf("%s over %s: %s", name, line, a.body)
			}
			if begun := streams && tt.begun; begun && (a.status != 200 || a.err == nil) || !begun && (a.status != 500 || a.err != nil) {
				t.Errorf("%s over %s: status %d, reading the body: %v", name, line, a.status, a.err)
			}
			if !strings.Contains(log.String(), "model failed") {
				t.Errorf("%s over %s: log: %s", name, line, &log)
			}
		}
	}
}

func TestHangUpCancelsTheModel(t *testing.T) {
	for line, body := range map[string]string{chat: chatBody, chat + "?s": chatStream, resp: respBody, resp + "?s": respStream, gen: genBody, genStream: genBody} {
		began, ended := make(chan struct{}), make(chan error, 1)
		srv := serve(t, generate(func(ctx context.Context, _ *model.LLMRequest, _ bool) iter.Seq2[*model.LLMResponse, error] {
			return func(yield func(*model.LLMResponse, error) bool) {
				yield(piece("a"), nil)
				close(began)
				<-ctx.Done()
				ended <- ctx.Err()
				yield(nil, ctx.Err())
			}
		}))
		ctx, cancel := context.WithCancel(t.Context())
		method, path, _ := strings.Cut(line, " ")
		req, err := http.NewRequestWithContext(ctx, method, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		go func() {
			<-began
			cancel()
		}()
		resp, err := srv.Client().Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", line, err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the model's context: %v", line, err)
		}
	}
}

// Pieces arrive while the model still thinks about the next.
func TestPiecesPassAsTheyCome(t *testing.T) {
	for line, body := range map[string]string{chat: chatStream, resp: respStream, genStream: genBody, genArray: genBody} {
		next := make(chan struct{})
		srv := serve(t, generate(func(context.Context, *model.LLMRequest, bool) iter.Seq2[*model.LLMResponse, error] {
			return func(yield func(*model.LLMResponse, error) bool) {
				if !yield(piece("first"), nil) {
					return
				}
				<-next
				yield(whole(&genai.Part{Text: "first"}), nil)
			}
		}))
		method, path, _ := strings.Cut(line, " ")
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		seen := ""
		for !strings.Contains(seen, "first") {
			b := make([]byte, 512)
			n, err := resp.Body.Read(b)
			if seen += string(b[:n]); err != nil {
				t.Fatalf("%s: %v after %s", line, err, seen)
			}
		}
		close(next)
		rest, err := io.ReadAll(resp.Body)
		if err != nil || !strings.Contains(strings.ToLower(string(rest)), "stop") && !strings.Contains(string(rest), "response.completed") {
			t.Errorf("%s: %v, %s", line, err, rest)
		}
		_ = resp.Body.Close()
	}
}

func TestModelsAreListed(t *testing.T) {
	srv := serve(t, modeltest.NewScript())
	for _, tt := range []struct{ line, header, want string }{
		{"GET /v1/models", "Authorization: Bearer any", `{"data":[{"created":,"id":"acme/large-2:free","object":"model","owned_by":"modelserver"},{"created":,"id":"m","object":"model","owned_by":"modelserver"}],"object":"list"}`},
		{"GET /v1/models/acme/large-2:free", "", `{"created":,"id":"acme/large-2:free","object":"model","owned_by":"modelserver"}`},
		{"GET /v1/models", "Anthropic-Version: 2023-06-01", `{"data":[{"created_at":"","display_name":"acme/large-2:free","id":"acme/large-2:free","type":"model"},{"created_at":"","display_name":"m","id":"m","type":"model"}],"first_id":"acme/large-2:free","has_more":false,"last_id":"m"}`},
		{"GET /v1/models/m", "Anthropic-Version: 2023-06-01", `{"created_at":"","display_name":"m","id":"m","type":"model"}`},
		{"GET /v1beta/models/m", "", `{"displayName":"m","name":"models/m","supportedGenerationMethods":["generateContent","streamGenerateContent"],"version":"1"}`},
		{"GET /v1/models/m", "X-Goog-Api-Key: any", `{"displayName":"m","name":"models/m","supportedGenerationMethods":["generateContent","streamGenerateContent"],"version":"1"}`},
	} {
		var headers []string
		if tt.header != "" {
			headers = append(headers, tt.header)
		}
		a := send(t, srv, tt.line, "", headers...)
		if diff := cmp.Diff(tt.want+"\n", scrub(a.body)); diff != "" || a.status != 200 {
			t.Errorf("%s: %d (-want +got):\n%s", tt.line, a.status, diff)
		}
	}
	if a := send(t, srv, "GET /v1beta/models", ""); strings.Count(a.body, `"name":"models/`) != 2 {
		t.Errorf("list: %s", a.body)
	}
}

func TestWhichNameTheModelSees(t *testing.T) {
	always := func() *modeltest.Script { return modeltest.Always(modeltest.Text("x")) }
	named, gemini, later, fallback := always(), always(), always(), always()
	s, err := modelserver.New(modelserver.Config{Models: map[string]model.LLM{"alias": named, "gemini-*": gemini, "gemini-3*": later}, Fallback: fallback})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	defer srv.Close()
	for _, name := range []string{"alias", "gemini-2.5-flash", "gemini-3-pro", "acme/large-2:free"} {
		send(t, srv, chat, fmt.Sprintf(`{"model":%q,%s}`, name, messages))
	}
	got := ""
	for i, s := range []*modeltest.Script{named, gemini, later, fallback} {
		for _, r := range s.Requests() {
			got += fmt.Sprintf("%d %s, ", i, r.Model)
		}
	}
	if got != "0 script, 1 script, 2 script, 3 acme/large-2:free, " {
		t.Errorf("the models saw %s", got)
	}
	if a := send(t, srv, "GET /v1/models", ""); strings.Contains(a.body, "gemini") {
		t.Errorf("names that only begin so are listed: %s", a.body)
	}
	if a := send(t, srv, "GET /v1beta/models/gemini-9", ""); a.status != 200 {
		t.Errorf("a name that begins so is not described: %s", a.body)
	}
}
