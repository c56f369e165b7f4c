package runner_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/glebarez/sqlite"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/session/database"
	"google.golang.org/adk/v2/tool"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/models"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools"
)

// every has an argument of each type that docs/tool-arguments.md names.
type every struct {
	Name   string          `json:"name" jsonschema:"pattern=^[A-Za-z0-9_-]{1\\,64}$"`
	Text   string          `json:"text"`
	Choice string          `json:"choice" jsonschema:"enum=draft,enum=final"`
	Count  int             `json:"count"`
	Small  int8            `json:"small"`
	Port   uint16          `json:"port"`
	Wide   uint64          `json:"wide"`
	Long   int64           `json:"long,string"`
	Share  float64         `json:"share"`
	Sure   bool            `json:"sure"`
	List   []string        `json:"list"`
	Set    []int           `json:"set" jsonschema:"uniqueItems=true"`
	When   time.Time       `json:"when"`
	Parts  parts           `json:"parts"`
	Table  map[string]int  `json:"table"`
	Bytes  []byte          `json:"bytes"`
	Any    any             `json:"any"`
	Raw    json.RawMessage `json:"raw"`
	Note   *string         `json:"note,omitempty"`
	Limit  *int            `json:"limit,omitempty"`
}

type parts struct {
	ID    string   `json:"id"`
	Rows  [][]int  `json:"rows"`
	Price *float64 `json:"price,omitempty"`
}

// said is JSON text as a model may write it, and whether the tool is to refuse it.
type said struct {
	text string
	bad  bool
}

func oneOf(t *rapid.T, what string, all ...string) string {
	return rapid.SampledFrom(all).Draw(t, what)
}

// rarely makes every draw fail seldom, so that most arguments are good as a whole.
func rarely(t *rapid.T) bool { return rapid.IntRange(0, 150).Draw(t, "rarely") == 77 }

func aText(t *rapid.T) said {
	var b strings.Builder
	for range rapid.IntRange(0, 6).Draw(t, "pieces") {
		b.WriteString(oneOf(t, "piece", "a", "Z 9", "é", "日本", "👩‍👧", " ", "<b>&amp;", "'", "\u2028", "\u007f", "\uFEFF", "\uFFFD", "\uE000number:5",
			`\n`, `\r\n`, `\t`, `\"`, `\\`, `\/`, `\b`, `\u0001`, `\u00e9`, `\u003c`, `\ud83d\ude00`, `\\u0000`, `\\n`, `{\"a\":1e400}`, "1234567890123456789"))
	}
	if rarely(t) {
		return said{`"` + b.String() + `\u0000"`, true}
	}
	return said{`"` + b.String() + `"`, false}
}

// aNumber writes a whole number in one of the ways in which JSON has it. Beyond
// least and most it is bad, as it is where no float64 is that number.
func aNumber(t *rapid.T, least, most int64) said {
	n := rapid.OneOf(rapid.Int64Range(least, most), rapid.Int64Range(max(least, -9), min(most, 9)), rapid.SampledFrom([]int64{least, most})).Draw(t, "whole")
	text := strconv.FormatInt(n, 10)
	if rarely(t) {
		return said{oneOf(t, "beyond", "9007199254740992", "-9007199254740993", "9223372036854775807", "-9223372036854775808", "18446744073709551615",
			"1234567890123456789", "123456789012345678901234567890", "1e30", "9007199254740993.0", "1e400", "-1E+400", "90071992547409930e-1"), true}
	}
	spelling := rapid.IntRange(0, 9).Draw(t, "spelling")
	if n == 0 {
		spelling = 9 // 000e-2 is no JSON
	}
	switch spelling {
	case 0:
		return said{text + ".0", false}
	case 1:
		return said{text + "e0", false}
	case 2:
		return said{text + "00e-2", false}
	case 3:
		return said{text + "000E-3", false}
	}
	return said{text, false}
}

func aFloat(t *rapid.T) said {
	if rarely(t) {
		return said{oneOf(t, "no float", "9007199254740993", "1234567890123456789", "1e400"), true}
	}
	if rapid.Bool().Draw(t, "spelled") {
		return said{oneOf(t, "float", "0", "-0", "0.1", "1e-7", "1E+2", "0.30000000000000004", "5e-324", "1.7976931348623157e308", "1e23", "-2.5e-3", "100.00", "9007199254740991"), false}
	}
	f := rapid.Float64().Draw(t, "float")
	return said{strconv.FormatFloat(f, 'e', -1, 64), false}
}

// anything is what a member without a schema may hold.
func anything(t *rapid.T, depth int) said {
	kind := rapid.IntRange(0, 7).Draw(t, "kind")
	if depth == 0 {
		kind %= 5
	}
	switch kind {
	case 0:
		return said{oneOf(t, "literal", "null", "true", "false", "{}", "[]"), false}
	case 1, 2:
		return aText(t)
	case 3:
		return aNumber(t, -safe, safe)
	case 4:
		return said{strconv.FormatFloat(rapid.Float64Range(-1e9, 1e9).Draw(t, "float"), 'e', -1, 64), false}
	case 5:
		var all []said
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			all = append(all, anything(t, depth-1))
		}
		return listed(all...)
	}
	var members []string
	bad := false
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"id", "Id", "ID", "a", "ä", "", "a b", "<&>", `q\"`, "null"}), 0, 4, rapid.ID).Draw(t, "names") {
		v := anything(t, depth-1)
		members, bad = append(members, `"`+name+`":`+v.text), bad || v.bad
	}
	return said{"{" + strings.Join(members, ",") + "}", bad}
}

func listed(all ...said) said {
	var texts []string
	bad := false
	for _, s := range all {
		texts, bad = append(texts, s.text), bad || s.bad
	}
	return said{"[" + strings.Join(texts, ", ") + "]", bad}
}

func many(t *rapid.T, of func(*rapid.T) said) said {
	var all []said
	for range rapid.IntRange(0, 3).Draw(t, "length") {
		all = append(all, of(t))
	}
	return listed(all...)
}

const safe = 1<<53 - 1

func count(t *rapid.T) said { return aNumber(t, -safe, safe) }

// arguments writes a call's arguments. In one of some calls a member is wrong.
func arguments(t *rapid.T) said {
	members := map[string]said{
		"name":   {strconv.Quote(rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`).Draw(t, "name")), false},
		"text":   aText(t),
		"choice": {oneOf(t, "choice", `"draft"`, `"final"`, `"\u0064raft"`), false},
		"count":  count(t),
		"small":  aNumber(t, math.MinInt8, math.MaxInt8),
		"port":   aNumber(t, 0, math.MaxUint16),
		"wide":   aNumber(t, 0, safe),
		"long":   {strconv.Quote(strconv.FormatInt(rapid.Int64().Draw(t, "long"), 10)), false},
		"share":  aFloat(t),
		"sure":   {oneOf(t, "sure", "true", "false"), false},
		"list":   many(t, aText),
		"set":    {oneOf(t, "set", "[]", "[1, 2]", "[9007199254740991,9007199254740990]"), false},
		"when":   {oneOf(t, "when", `"2026-11-28T02:38:57Z"`, `"2026-11-28T02:38:57.123456789+05:30"`), false},
		"table":  {fmt.Sprintf(`{"a":%d,"Ä b":%d}`, rapid.Int64Range(-safe, safe).Draw(t, "a"), rapid.Int64Range(-safe, safe).Draw(t, "b")), false},
		"bytes":  {oneOf(t, "bytes", `""`, `"AQID"`, `"\/+8="`), false},
		"any":    anything(t, 3),
		"raw":    anything(t, 3),
	}
	rows := many(t, func(t *rapid.T) said { return many(t, count) })
	price := oneOf(t, "price", "", `,"price":null`, `,"price":0.07`)
	members["parts"] = said{fmt.Sprintf(`{"id":"doc_1","rows":%s%s}`, rows.text, price), rows.bad}
	if rapid.Bool().Draw(t, "with a note") {
		members["note"] = said{oneOf(t, "note", "null", `""`, `"x"`), false}
	}
	if rapid.Bool().Draw(t, "with a limit") {
		members["limit"] = said{oneOf(t, "limit", "null", "0", "7"), false}
	}
	if rapid.IntRange(0, 9).Draw(t, "wrong") == 5 {
		wrong := rapid.SampledFrom([][2]string{
			{"name", `"a/b"`}, {"text", "7"}, {"text", "null"}, {"choice", `"Draft"`}, {"count", "1.5"}, {"count", `"1"`}, {"count", "null"}, {"small", "128"}, {"port", "-1"},
			{"wide", "-1"}, {"long", "7"}, {"long", `"9223372036854775808"`}, {"sure", `"true"`}, {"sure", "0"}, {"list", `"a"`}, {"list", "[null]"}, {"set", "[1,1.0]"},
			{"when", `"yesterday"`}, {"parts", `{"id":"a","rows":[],"ID":"b"}`}, {"table", `{"a":"1"}`}, {"bytes", `"%"`}, {"other", "1"}, {"Text", `"x"`},
		}).Draw(t, "how")
		members[wrong[0]] = said{wrong[1], true}
	}
	var texts []string
	bad := false
	var names []string
	for name := range members {
		names = append(names, name)
	}
	for _, name := range permuted(t, names) {
		space := oneOf(t, "space", "", " ", "\t  ")
		texts, bad = append(texts, space+`"`+name+`"`+space+":"+space+members[name].text), bad || members[name].bad
	}
	return said{"{" + strings.Join(texts, ",") + "}", bad}
}

func permuted(t *rapid.T, names []string) []string {
	slices.Sort(names) // a map has no order, and rapid has to find the case again
	return rapid.Permutation(names).Draw(t, "order")
}

// exactly decodes JSON without rounding: whole numbers as they are, others as the
// nearest float64, which is what such a number means to JSON's readers (RFC 8259,
// section 6). Null for what is optional is left out.
func exactly(t *rapid.T, text []byte) any {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for object, names := range map[string][]string{"": {"note", "limit"}, "parts": {"price"}} {
		m := v
		if object != "" {
			m, _ = v[object].(map[string]any)
		}
		for _, name := range names {
			if m != nil && m[name] == nil {
				delete(m, name)
			}
		}
	}
	return plain(v)
}

func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = plain(v[name])
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case json.Number:
		r, ok := new(big.Rat).SetString(v.String())
		if f, err := v.Float64(); ok && err == nil && !r.IsInt() {
			r.SetFloat64(f)
		}
		return "number " + r.RatString()
	case string:
		return "text " + v
	}
	return v
}

// A wire is a model server, as raw text: what it answers with a call whose arguments
// are JSON text, and with a word.
type wire struct {
	model, api string
	stream     bool
	call       func(t *rapid.T, args string) string
	done       string
}

// quoted is text as a JSON string, written as servers do.
func quoted(text string) string {
	b, _ := json.Marshal(text) // of a string: it does not fail
	return string(b)
}

// cut cuts text where a stream may: between any two characters.
func cut(t *rapid.T, text string) []string {
	runes := []rune(text)
	var out []string
	for len(runes) > 0 {
		n := rapid.IntRange(1, max(1, min(len(runes), 40))).Draw(t, "cut")
		out, runes = append(out, string(runes[:n])), runes[n:]
	}
	return out
}

func sse(events ...string) string {
	var b strings.Builder
	for _, e := range events {
		var named struct{ Type string }
		if _ = json.Unmarshal([]byte(e), &named); named.Type != "" {
			b.WriteString("event: " + named.Type + "\n")
		}
		b.WriteString("data: " + e + "\n\n")
	}
	return b.String()
}

func wires() []wire {
	chatEnd := func(why string) string {
		return `{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"` + why + `"}]}`
	}
	item := func(args string) string {
		return `{"type":"function_call","id":"fc_1","call_id":"call_1","name":"act","arguments":` + quoted(args) + `}`
	}
	const word = `{"type":"message","role":"assistant","content":[{"type":"output_text","text":"done"}]}`
	completed := func(output string) string {
		return `{"type":"response.completed","response":{"id":"r","status":"completed","output":[` + output + `]}}`
	}
	candidate := func(part string) string {
		return `{"candidates":[{"content":{"role":"model","parts":[` + part + `]},"finishReason":"STOP"}]}`
	}
	message := func(why, start string, deltas ...string) string {
		events := []string{
			`{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"served","content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}`,
			`{"type":"content_block_start","index":0,"content_block":` + start + `}`,
		}
		for _, d := range deltas {
			events = append(events, `{"type":"content_block_delta","index":0,"delta":`+d+`}`)
		}
		return sse(append(events, `{"type":"content_block_stop","index":0}`,
			`{"type":"message_delta","delta":{"stop_reason":"`+why+`","stop_sequence":null},"usage":{"output_tokens":2}}`, `{"type":"message_stop"}`)...)
	}
	claude := func(t *rapid.T, args string) string {
		var deltas []string
		for _, piece := range cut(t, args) {
			deltas = append(deltas, `{"type":"input_json_delta","partial_json":`+quoted(piece)+`}`)
		}
		return message("tool_use", `{"type":"tool_use","id":"call_1","name":"act","input":{}}`, deltas...)
	}
	claudeDone := message("end_turn", `{"type":"text","text":""}`, `{"type":"text_delta","text":"done"}`)
	return []wire{
		{"openai/m", "chat", false, func(_ *rapid.T, args string) string {
			return `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[` +
				`{"id":"call_1","type":"function","function":{"name":"act","arguments":` + quoted(args) + `}}]},"finish_reason":"tool_calls"}]}`
		}, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"done"},"finish_reason":"stop"}]}`},
		{"openai/m", "chat", true, func(t *rapid.T, args string) string {
			events := []string{`{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[` +
				`{"index":0,"id":"call_1","type":"function","function":{"name":"act","arguments":""}}]},"finish_reason":null}]}`}
			for _, piece := range cut(t, args) {
				events = append(events, `{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":`+quoted(piece)+`}}]},"finish_reason":null}]}`)
			}
			return sse(append(events, chatEnd("tool_calls"), "[DONE]")...)
		}, sse(`{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":"done"},"finish_reason":null}]}`, chatEnd("stop"), "[DONE]")},
		{"openai/m", "responses", false, func(_ *rapid.T, args string) string {
			return `{"id":"r","object":"response","status":"completed","output":[` + item(args) + `]}`
		}, `{"id":"r","object":"response","status":"completed","output":[` + word + `]}`},
		{"openai/m", "responses", true, func(t *rapid.T, args string) string {
			events := []string{`{"type":"response.created","response":{"id":"r","status":"in_progress","output":[]}}`, `{"type":"response.output_item.added","output_index":0,"item":` + item("") + `}`}
			for _, piece := range cut(t, args) {
				events = append(events, `{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":0,"delta":`+quoted(piece)+`}`)
			}
			return sse(append(events, `{"type":"response.function_call_arguments.done","item_id":"fc_1","output_index":0,"arguments":`+quoted(args)+`}`,
				`{"type":"response.output_item.done","output_index":0,"item":`+item(args)+`}`, completed(item(args)))...)
		}, sse(completed(word))},
		{"gemini/m", "", false, func(_ *rapid.T, args string) string {
			return candidate(`{"functionCall":{"name":"act","args":` + args + `}}`)
		}, candidate(`{"text":"done"}`)},
		{"gemini/m", "", true, func(_ *rapid.T, args string) string {
			return sse(candidate(`{"functionCall":{"name":"act","args":` + args + `}}`))
		}, sse(candidate(`{"text":"done"}`))},
		{"anthropic/m", "", false, claude, claudeDone}, // always streamed
		{"anthropic/m", "", true, claude, claudeDone},
	}
}

// stored is ADK's own session service over a database, which reads numbers as float64.
func stored(t *testing.T) session.Service {
	t.Helper()
	sessions, err := database.NewSessionService(sqlite.Open("file:"+url.PathEscape(t.Name())+"?mode=memory&cache=shared"), &gorm.Config{Logger: logger.Discard})
	if err == nil {
		err = database.AutoMigrate(sessions)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sessions
}

// remote is the server of one wire: it answers with what is next, and keeps what it
// was asked.
type remote struct {
	wire  wire
	next  []string
	asked []string
}

func (r *remote) RoundTrip(req *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.asked = append(r.asked, string(b))
	if len(r.next) == 0 {
		return nil, errors.New("asked once too often")
	}
	body := r.next[0]
	r.next = r.next[1:]
	kind := "application/json"
	if strings.HasPrefix(body, "event:") || strings.HasPrefix(body, "data:") {
		kind = "text/event-stream"
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body)), Request: req,
	}, nil
}

// sentBack returns the arguments of the first call in a request to a model.
func sentBack(v any) []byte {
	switch v := v.(type) {
	case map[string]any:
		if v["name"] == "act" {
			if text, ok := v["arguments"].(string); ok {
				return []byte(text)
			}
			for _, name := range []string{"args", "input"} {
				if m, ok := v[name].(map[string]any); ok {
					b, _ := json.Marshal(m) // as it was decoded
					return b
				}
			}
		}
		for _, name := range []string{"messages", "input", "contents", "content", "parts", "tool_calls", "function", "functionCall"} {
			if b := sentBack(v[name]); b != nil {
				return b
			}
		}
	case []any:
		for _, element := range v {
			if b := sentBack(element); b != nil {
				return b
			}
		}
	}
	return nil
}

// textual has numbers beyond 2^53 as their text, and no U+0000, which is how a
// conversation keeps them.
func textual(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = textual(v[name])
		}
	case []any:
		for i := range v {
			v[i] = textual(v[i])
		}
	case json.Number:
		if f, err := v.Float64(); err != nil || math.Abs(f) > safe {
			return v.String()
		}
	case string:
		return strings.ReplaceAll(v, "\x00", "\ufffd")
	}
	return v
}

// Whatever a model says as arguments reaches the ceiling and the handler as it was
// said, or is refused in words, over every wire; and the conversation keeps it so,
// for the next turn and, stored, for the next run.
func TestArgumentsArriveAsTheyWereSaid(t *testing.T) {
	for _, w := range wires() {
		t.Run(fmt.Sprintf("%s %s streamed %v", w.model, w.api, w.stream), func(t *testing.T) {
			t.Parallel()
			var ceiling, handled []every
			act, err := tools.New(tools.Spec[every]{
				Name: "act", Description: "acts",
				Ceiling: func(a every) []rar.Detail { ceiling = append(ceiling, a); return nil },
			}, func(_ tools.Context, a every) (map[string]any, error) {
				handled = append(handled, a)
				return map[string]any{}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			server := &remote{wire: w}
			settings := map[string]string{}
			if w.api != "" {
				settings["api"] = w.api
			}
			llm, err := models.Open(t.Context(), w.model, models.Options{
				Getenv:  func(name string) string { return map[bool]string{true: "key"}[strings.HasSuffix(name, "_API_KEY")] },
				BaseURL: "http://127.0.0.1:1", HTTPClient: &http.Client{Transport: server}, Settings: settings,
			})
			if err != nil {
				t.Fatal(err)
			}
			kit := &world{llm: llm, tools: []tool.Tool{act}, config: func(c *runner.Config) {
				if c.Stream = w.stream; !w.stream { // once for each wire: it is what takes the time
					c.Sessions = stored(t)
				}
			}}
			r := kit.runner(t)
			n := 0
			rapid.Check(t, func(rt *rapid.T) {
				n++
				args := arguments(rt)
				ceiling, handled, server.asked = nil, nil, nil
				server.next = []string{w.call(rt, args.text), w.done, w.done}
				for range 2 {
					if got := follow(t.Context(), t, r, runner.Input{Session: fmt.Sprint("session-", n)}); got.err != nil {
						rt.Fatalf("%v of %s", got.err, args.text)
					}
				}
				if len(server.asked) != 3 {
					rt.Fatalf("%d requests", len(server.asked))
				}
				want := exactly(rt, []byte(args.text))
				switch {
				case args.bad:
					if len(ceiling)+len(handled) > 0 || !strings.Contains(server.asked[1], "invalid_arguments") {
						rt.Fatalf("not refused: %s\n%+v\n%s", args.text, handled, server.asked[1])
					}
				case len(ceiling) != 1 || len(handled) != 1:
					rt.Fatalf("%d ceilings and %d calls of %s\n%s", len(ceiling), len(handled), args.text, server.asked[1])
				default:
					for who, a := range map[string]every{"ceiling": ceiling[0], "handler": handled[0]} {
						text, err := json.Marshal(a)
						if err != nil {
							rt.Fatal(err)
						}
						if got := exactly(rt, text); !reflect.DeepEqual(got, want) {
							rt.Fatalf("the %s got\n%v\nfor\n%v", who, got, want)
						}
					}
				}
				var saying any
				decode(rt, args.text, &saying)
				for _, asked := range server.asked[1:] {
					var request any
					decode(rt, asked, &request)
					var back any
					decode(rt, string(sentBack(request)), &back)
					if got, want := plain(textual(back)), plain(textual(saying)); !reflect.DeepEqual(got, want) {
						rt.Fatalf("the conversation has\n%v\nfor\n%v", got, want)
					}
					saying = nil
					decode(rt, args.text, &saying)
				}
			})
		})
	}
}

func decode(t *rapid.T, text string, v any) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// respelled writes a value in another of the ways in which JSON has it: members in
// another order, numbers and letters spelled otherwise.
func respelled(t *rapid.T, v any) string {
	switch v := v.(type) {
	case map[string]any:
		var names, members []string
		for name := range v {
			names = append(names, name)
		}
		for _, name := range permuted(t, names) {
			members = append(members, quoted(name)+":"+respelled(t, v[name]))
		}
		return "{" + strings.Join(members, ",") + "}"
	case []any:
		var all []string
		for _, element := range v {
			all = append(all, respelled(t, element))
		}
		return "[" + strings.Join(all, ",") + "]"
	case json.Number:
		if text := v.String(); text != "0" && text != "-0" && !strings.ContainsAny(text, ".eE") {
			return text + oneOf(t, "spelling", "", ".0", "e0", "00e-2")
		}
		return v.String()
	case string:
		text := strings.NewReplacer("a", `\u0061`, "<", `\u003C`, "/", `\/`).Replace(quoted(v))
		return oneOf(t, "letters", quoted(v), text)
	}
	b, _ := json.Marshal(v) // true, false, null
	return string(b)
}

// Equal arguments are one effect, however a model writes them: under one key where the
// API honors keys, and sent once where it does not.
func TestEqualArgumentsAreOneEffect(t *testing.T) {
	twice := rapid.Custom(func(t *rapid.T) [2]string {
		args := arguments(t)
		if args.bad {
			return [2]string{}
		}
		var v any
		decode(t, args.text, &v)
		return [2]string{args.text, respelled(t, v)}
	})
	chat := wires()[0]
	for seed, n := 0, 0; n < 200; seed++ {
		args := twice.Example(seed)
		if args[0] == "" {
			continue
		}
		n++
		for _, honors := range []bool{true, false} {
			var keys, bodies []string
			act, err := tools.New(tools.Spec[every]{
				Name: "act", Description: "acts", API: &url.URL{Scheme: "https", Host: "api.test"}, HonorsIdempotencyKey: honors,
				Ceiling: func(every) []rar.Detail { return nil },
				Base: tripper(func(req *http.Request) (*http.Response, error) {
					body, err := io.ReadAll(req.Body)
					if err != nil {
						return nil, err
					}
					keys, bodies = append(keys, fmt.Sprint(req.Header[strings.ToLower(jit.HeaderIdempotencyKey)])), append(bodies, string(body))
					if len(keys) == 1 {
						return nil, io.ErrUnexpectedEOF // it is done, and its answer lost
					}
					return &http.Response{StatusCode: http.StatusCreated, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
				}),
			}, func(ctx tools.Context, a every) (out map[string]any, err error) {
				return out, ctx.PostJSON("https://api.test/v1/acts", a, &out)
			})
			if err != nil {
				t.Fatal(err)
			}
			server := &remote{wire: chat, next: []string{chat.call(nil, args[0]), strings.Replace(chat.call(nil, args[1]), "call_1", "call_2", 1), chat.done}}
			llm, err := models.Open(t.Context(), chat.model, models.Options{
				Getenv:  func(string) string { return "key" },
				BaseURL: "http://127.0.0.1:1", HTTPClient: &http.Client{Transport: server}, Settings: map[string]string{"api": chat.api},
			})
			if err != nil {
				t.Fatal(err)
			}
			kit := &world{llm: llm, tools: []tool.Tool{act}, engine: jit.Config{Attempts: 1}}
			if got := follow(t.Context(), t, kit.runner(t), runner.Input{}); got.err != nil || len(server.asked) != 3 {
				t.Fatalf("%v after %d requests", got.err, len(server.asked))
			}
			want := map[bool]int{true: 2, false: 1}[honors]
			if len(keys) != want || keys[0] != keys[want-1] || bodies[0] != bodies[want-1] || len(keys[0]) < 20 {
				t.Fatalf("%s\nand\n%s\nwere sent under the keys %q with\n%s", args[0], args[1], keys, strings.Join(bodies, "\n"))
			}
		}
	}
}
