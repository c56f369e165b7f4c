package openai_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"google.golang.org/genai"
	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/models/provider"
)

// A spelling is how a server marks the pieces of calls in a stream.
type spelling struct {
	index string // own, zero, none
	id    string // head, each, new (another in each piece), empty, null
	name  string // head, each
	twice string // "", index (the call again under the next index), arguments (whole, again)
}

// A piece is one of a call's, on the wire.
type piece struct {
	call   int
	fields map[string]any
}

// spell cuts calls into pieces, in the order in which they are sent.
func spell(t *rapid.T, calls []*genai.FunctionCall, s spelling) []piece {
	per := make([][]piece, len(calls))
	for i, c := range calls {
		args, err := json.Marshal(c.Args)
		if err != nil {
			t.Fatal(err)
		}
		rest := []rune(string(args))
		for n := 0; len(rest) > 0; n++ {
			least := 1
			if n == 0 {
				least = 0 // a head without arguments
			}
			cut := rapid.IntRange(least, len(rest)).Draw(t, "cut")
			f := map[string]any{"arguments": string(rest[:cut])}
			rest = rest[cut:]
			if n == 0 || s.name == "each" {
				f["name"] = c.Name
			}
			p := map[string]any{"function": f}
			switch {
			case s.index == "own":
				p["index"] = i
			case s.index == "zero":
				p["index"] = 0
			}
			switch {
			case s.id == "empty":
				p["id"] = ""
			case s.id == "null":
				p["id"] = nil
			case s.id == "new" && n > 0:
				p["id"] = fmt.Sprintf("%s-%d", c.ID, n)
			case n == 0 || s.id == "each":
				p["id"] = c.ID
			}
			per[i] = append(per[i], piece{i, p})
		}
		switch s.twice {
		case "arguments":
			again := map[string]any{"function": map[string]any{"arguments": string(args)}}
			if s.index == "own" {
				again["index"] = i
			}
			per[i] = append(per[i], piece{i, again})
		case "index":
			per[i] = append(per[i], piece{i, map[string]any{
				"index": i + len(calls), "id": c.ID, "function": map[string]any{"name": c.Name, "arguments": string(args)},
			}})
		}
	}
	var out []piece
	for begun := 0; ; {
		// Under an index of its own a call may go on while others do; else one after another.
		var next []int
		for i := range min(begun+1, len(per)) {
			if len(per[i]) > 0 {
				next = append(next, i)
			}
		}
		if len(next) == 0 {
			return out
		}
		i := next[0]
		if s.index == "own" {
			i = rapid.SampledFrom(next).Draw(t, "next")
		}
		out, per[i] = append(out, per[i][0]), per[i][1:]
		begun = max(begun, i+1)
	}
}

// However a server cuts calls and marks the pieces, the same calls come out: each
// once, whole, in order.
func TestCallsInEverySpelling(t *testing.T) {
	ctx := t.Context()
	var body atomic.Value
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { say(body.Load().(string))(w, r) })
	llm := s.model(t, provider.Config{})
	var spellings []spelling
	for _, index := range []string{"own", "zero", "none"} {
		for _, id := range []string{"head", "each", "new", "empty", "null"} {
			for _, name := range []string{"head", "each"} {
				spellings = append(spellings, spelling{index, id, name, ""})
				if index == "own" || name == "head" {
					spellings = append(spellings, spelling{index, id, name, "arguments"})
				}
				if id == "each" && index == "own" {
					spellings = append(spellings, spelling{index, id, name, "index"})
				}
			}
		}
	}
	values := []any{"", "x", "dök 👩‍🚀", "\"}{[\\", 7.5, true, nil, []any{1.0, "a"}, map[string]any{"q": "\n"}}
	rapid.Check(t, func(t *rapid.T) {
		var calls []*genai.FunctionCall
		for i := range rapid.IntRange(1, 4).Draw(t, "calls") {
			args := map[string]any{}
			for n := range rapid.IntRange(0, 3).Draw(t, "arguments") {
				args[fmt.Sprint("k", n)] = rapid.SampledFrom(values).Draw(t, "value")
			}
			calls = append(calls, &genai.FunctionCall{ID: fmt.Sprint("call_", i), Name: rapid.SampledFrom([]string{"fetch", "list"}).Draw(t, "name"), Args: args})
		}
		how := rapid.SampledFrom(spellings).Draw(t, "spelling")
		var deltas []string
		var group []map[string]any
		all := spell(t, calls, how)
		for i, p := range all {
			group = append(group, p.fields)
			if i == len(all)-1 || rapid.Bool().Draw(t, "delta ends") {
				b, err := json.Marshal(group)
				if err != nil {
					t.Fatal(err)
				}
				deltas, group = append(deltas, `"delta":{"tool_calls":`+string(b)+`}`), nil
			}
		}
		body.Store(events(append(deltas, `"delta":{},"finish_reason":"tool_calls"`)...))
		if how.id == "empty" || how.id == "null" {
			for _, c := range calls {
				c.ID = ""
			}
		}
		responses, err := ask(ctx, llm, user("hi"), true)
		if err != nil {
			t.Fatalf("%+v: %v of %s", how, err, body.Load())
		}
		var got []*genai.FunctionCall
		for _, p := range responses[len(responses)-1].Content.Parts {
			got = append(got, p.FunctionCall)
		}
		if want, got := show(t, calls), show(t, got); want != got {
			t.Fatalf("%+v:\n got %s\nwant %s\n  of %s", how, got, want, body.Load())
		}
	})
}

func show(t *rapid.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
