package modeltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"sync"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/dev/modelserver"
)

// anyModel lists what every model keeps, with a wire or without.
func anyModel() []subtest {
	return []subtest{
		{name: "it has a name", run: hasName},
		{name: "one last response", run: oneLastResponse},
		{name: "streamed and unstreamed say the same", run: sameBothWays},
		{name: "the request is not changed", run: requestKept},
		{name: "many calls at once", run: manyAtOnce},
		{name: "a caller may stop listening", run: stopListening},
		{name: "cancelled before the call", run: cancelledBefore},
		{name: "any script of letters", run: anyLetters},
		{name: "a very long history", run: longHistory},
		{name: "a tool's error is an answer", run: toolError},
		{name: "a call without a result is answered", run: dangling},
		{name: "equal calls with empty ids", run: emptyIDs},
		{name: "a request with nothing in it", run: nothingAsked},
	}
}

func hasName(c *trial) {
	llm, _, _ := c.always(Text("ok"))
	if first, second := llm.Name(), llm.Name(); first == "" || first != second {
		c.Errorf("its name is %q, and then %q", first, second)
	}
}

// full is a turn with everything in it.
func full() Turn {
	return Turn{
		Thoughts: []string{"They want ", "two keys."}, Texts: []string{"I look ", "up ", "both."}, Version: "version-1",
		Calls: []*genai.FunctionCall{{ID: "call_a", Name: "lookup", Args: map[string]any{"key": "a"}}, {ID: "call_b", Name: "lookup", Args: map[string]any{"key": "b"}}},
		Usage: &genai.GenerateContentResponseUsageMetadata{PromptTokenCount: 10, CandidatesTokenCount: 3, ThoughtsTokenCount: 4, TotalTokenCount: 17, CachedContentTokenCount: 2},
	}
}

func oneLastResponse(c *trial) {
	for _, stream := range modes {
		for _, turn := range []Turn{Text("Hello to you."), full()} {
			llm, _, _ := c.always(turn)
			c.ask(llm, simple(), stream)
		}
	}
}

func sameBothWays(c *trial) {
	for _, turn := range []Turn{Text("Hello to you."), full(), Calls(full().Calls...)} {
		llm, _, _ := c.always(turn)
		plain, streamed := c.ask(llm, simple(), false), c.ask(llm, simple(), true)
		if plain.text != streamed.text || plain.thought != streamed.thought || !reflect.DeepEqual(plain.calls, streamed.calls) || finish(plain) != finish(streamed) {
			c.Errorf("unstreamed: %q, thoughts %q, calls %s, %s; streamed: %q, %q, %s, %s",
				plain.text, plain.thought, show(plain.calls), finish(plain), streamed.text, streamed.thought, show(streamed.calls), finish(streamed))
		}
		if c.wire && (plain.text != strings.Join(turn.Texts, "") || show(plain.calls) != show(turn.Calls)) {
			c.Errorf("the answer is %q with calls %s, want %q with %s", plain.text, show(plain.calls), strings.Join(turn.Texts, ""), show(turn.Calls))
		}
	}
}

// show writes v as JSON, for messages and comparisons.
func show(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// aConversation has everything that a history holds.
func aConversation() *model.LLMRequest {
	req := request(
		user(say("Look up a and b.")),
		assistant(&genai.Part{Text: "Both.", Thought: true}, say("Looking."), calling("call_a", "lookup", map[string]any{"key": "a"}), calling("call_b", "lookup", map[string]any{"key": "b"})),
		user(result("call_b", "lookup", map[string]any{"value": "2"}), result("call_a", "lookup", map[string]any{"value": "1"})),
		assistant(say("a is 1, b is 2.")),
		user(say("Thank you.")),
	)
	req.Config.SystemInstruction = user(say("Be brief."))
	req.Config.Temperature = genai.Ptr[float32](0.5)
	req.Config.ToolConfig = &genai.ToolConfig{FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAuto}}
	return req
}

func requestKept(c *trial) {
	for mode, stream := range modes {
		for _, dangling := range []bool{false, true} {
			llm, _, _ := c.always(Text("ok"))
			req := aConversation()
			// Room behind the last content: an append would write into the caller's array.
			req.Contents = append(make([]*genai.Content, 0, 16), req.Contents...)
			if dangling {
				req.Contents = append(req.Contents, assistant(calling("", "lookup", nil)))
			}
			before, spare := show(req), show(req.Contents[:cap(req.Contents)])
			config := req.Config
			c.ask(llm, req, stream)
			if after := show(req); after != before || req.Config != config {
				c.Errorf("%s: the request was\n%s\nand is now\n%s", mode, before, after)
			}
			if after := show(req.Contents[:cap(req.Contents)]); after != spare {
				c.Errorf("%s: the caller's array behind the contents was written to", mode)
			}
		}
	}
}

// echo is an upstream that repeats the last text of its request, in pieces.
type echo struct{}

func (echo) Name() string { return "echo" }

func (echo) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	var last string
	if n := len(req.Contents); n > 0 {
		last = allText(req.Contents[n-1])
	}
	var pieces []string
	for _, r := range last {
		pieces = append(pieces, string(r))
	}
	return Always(Turn{Texts: pieces}).GenerateContent(ctx, req, stream)
}

func manyAtOnce(c *trial) {
	llm := c.open(c.upstream(modelserver.Config{Fallback: echo{}}))
	shared := aConversation() // read by all at once: the race detector sees writes
	const n = 12
	replies, want := make([]*reply, 2*n), make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		want[i] = fmt.Sprintf("Hello, I am caller %d.", i)
		wg.Go(func() { replies[i] = call(c.Context(), llm, request(user(say(want[i]))), i%2 == 0) })
		wg.Go(func() { replies[n+i] = call(c.Context(), llm, shared, i%2 == 0) })
	}
	wg.Wait()
	for i, r := range replies {
		c.wellFormed(r, i%n%2 == 0)
		if c.wire && i < n && r.text != want[i] {
			c.Errorf("caller %d got %q", i, r.text)
		}
	}
}

// stopListening breaks off after each response: a model that goes on yielding
// panics, which the runtime sees to.
func stopListening(c *trial) {
	for _, stream := range modes {
		for stop := 1; stop <= 4; stop++ {
			llm, _, _ := c.always(full())
			n := 0
			for _, err := range llm.GenerateContent(c.Context(), simple(), stream) {
				if n++; err != nil {
					c.Fatalf("failed: %v", err)
				}
				if n == stop {
					break
				}
			}
			if n == 0 {
				c.Errorf("it said nothing")
			}
			c.ask(llm, simple(), stream) // and it goes on working
		}
	}
}

func cancelledBefore(c *trial) {
	for mode, stream := range modes {
		llm, _, up := c.always(Text("ok"))
		ctx, cancel := context.WithCancel(c.Context())
		cancel()
		r := call(ctx, llm, simple(), stream)
		if !errors.Is(r.err, context.Canceled) || r.finals > 0 || len(r.pieces) > 0 || r.late {
			c.Errorf("%s: error %v with %d responses, want context.Canceled and none", mode, r.err, r.finals+len(r.pieces))
		}
		if n := len(up.Requests()); n > 0 {
			c.Errorf("%s: %d requests were sent", mode, n)
		}
	}
}

// Letters that break careless code: other scripts, pairs of surrogates, joined and
// combined characters, line separators, controls, and what looks like markup.
const letters = "Grüße, 日本語 мир שלום 𝒳 👩‍🚀 e\u0301 \u2028 \u0001 \" \\ </script> data: [DONE]\n\nevent: x"

func anyLetters(c *trial) {
	for mode, stream := range modes {
		llm := c.open(c.upstream(modelserver.Config{Fallback: echo{}}))
		if r := c.ask(llm, request(user(say(letters))), stream); c.wire && r.text != letters {
			c.Errorf("%s: %q came back as %q", mode, letters, r.text)
		}
		args := map[string]any{"key": letters, letters: []any{letters, 1.5, true, nil, map[string]any{}}}
		llm, script, _ := c.always(Calls(&genai.FunctionCall{ID: "call_x", Name: "lookup", Args: args}))
		req := request(user(say("Hello.")), assistant(say(letters), calling("call_y", "lookup", args)), user(result("call_y", "lookup", args)))
		req.Config.SystemInstruction = user(say(letters))
		r := c.ask(llm, req, stream)
		if !c.wire {
			continue
		}
		if len(r.calls) != 1 || show(r.calls[0].Args) != show(args) {
			c.Errorf("%s: arguments %s came back as %s", mode, show(args), show(r.calls))
		}
		seen := script.Requests()[0]
		_, _, calls := read(seen.Contents[1])
		results := responses(seen.Contents)
		if len(calls) != 1 || len(results) != 1 || show(calls[0].Args) != show(args) || show(results[0].Response) != show(args) ||
			allText(seen.Contents[1]) != letters || allText(seen.Config.SystemInstruction) != letters {
			c.Errorf("%s: the provider saw %s", mode, show(seen))
		}
	}
}

// responses lists the results in contents, in order.
func responses(contents []*genai.Content) []*genai.FunctionResponse {
	var out []*genai.FunctionResponse
	for _, content := range contents {
		for _, p := range content.Parts {
			if p.FunctionResponse != nil {
				out = append(out, p.FunctionResponse)
			}
		}
	}
	return out
}

func longHistory(c *trial) {
	var contents []*genai.Content
	for i := range 500 {
		contents = append(contents, user(say(fmt.Sprintf("Hello %d.", 2*i))), assistant(say(fmt.Sprintf("Hello %d.", 2*i+1))))
	}
	contents = append(contents, user(say("Hello 1000.")))
	for mode, stream := range modes {
		llm, script, _ := c.always(Text("ok"))
		c.ask(llm, request(contents...), stream)
		if !c.wire {
			continue
		}
		if got, want := allText(script.Requests()[0].Contents...), allText(contents...); got != want {
			c.Errorf("%s: of %d bytes of history %d arrived, or in another order", mode, len(want), len(got))
		}
	}
}

func toolError(c *trial) {
	failed := map[string]any{"status": "failed", "error": "no such key: a"}
	for mode, stream := range modes {
		llm, script, _ := c.always(Text("It failed."))
		c.ask(llm, request(user(say("Look up a.")), assistant(calling("call_a", "lookup", map[string]any{"key": "a"})), user(result("call_a", "lookup", failed))), stream)
		if !c.wire {
			continue
		}
		if got := responses(script.Requests()[0].Contents); len(got) != 1 || got[0].ID != "call_a" || show(got[0].Response) != show(failed) {
			c.Errorf("%s: the provider saw %s, want the error", mode, show(got))
		}
	}
}

// dangling has histories that a crash, a cancel or a pending call leaves behind.
// Providers refuse them as they are; the upstream does, too.
func dangling(c *trial) {
	callA, callB := calling("call_a", "lookup", map[string]any{"key": "a"}), calling("call_b", "lookup", map[string]any{"key": "b"})
	value := map[string]any{"value": "1"}
	for name, contents := range map[string][]*genai.Content{
		"one of two has a result":  {user(say("Go.")), assistant(callA, callB), user(result("call_a", "lookup", value)), user(say("And?"))},
		"none has":                 {user(say("Go.")), assistant(callA, callB), user(say("And?"))},
		"at the end":               {user(say("Go.")), assistant(callA)},
		"before another answer":    {user(say("Go.")), assistant(callA), assistant(say("Never mind.")), user(say("And?"))},
		"a result without a call":  {user(say("Go.")), user(result("call_z", "lookup", value)), user(say("And?"))},
		"a result long after":      {user(say("Go.")), assistant(callA), user(say("And?")), assistant(say("Wait.")), user(result("call_a", "lookup", value)), user(say("Now?"))},
		"a result twice":           {user(say("Go.")), assistant(callA), user(result("call_a", "lookup", value), result("call_a", "lookup", value)), user(say("And?"))},
		"a result with text after": {user(say("Go.")), assistant(callA, callB), user(result("call_b", "lookup", value), say("And?"))},
	} {
		for mode, stream := range modes {
			llm, script, _ := c.always(Text("ok"))
			r := call(c.Context(), llm, request(contents...), stream)
			if r.err != nil {
				c.Errorf("%s, %s: failed: %v", name, mode, r.err)
				continue
			}
			c.wellFormed(r, stream)
			if !c.wire {
				continue
			}
			seen := script.Requests()[0].Contents
			// Neighbours of one role may be joined.
			got, want := strings.Join(strings.Fields(allText(seen...)), " "), strings.Join(strings.Fields(allText(contents...)), " ")
			if !strings.HasPrefix(got, want) {
				c.Errorf("%s, %s: the provider read %q, want %q", name, mode, got, want)
			}
			// That each call has a result is what the upstream checks; here, that a
			// result which exists was not replaced.
			if name == "one of two has a result" && show(responses(seen)[0].Response) != show(value) {
				c.Errorf("%s, %s: the provider saw %s", name, mode, show(responses(seen)))
			}
		}
	}
}

func emptyIDs(c *trial) {
	contents := []*genai.Content{
		user(say("Look up a twice, then b.")),
		assistant(calling("", "lookup", map[string]any{"key": "a"}), calling("", "lookup", map[string]any{"key": "a"}), calling("", "other", nil)),
		user(result("", "other", map[string]any{"value": "third"}), result("", "lookup", map[string]any{"value": "first"}), result("", "lookup", map[string]any{"value": "second"})),
		user(say("And?")),
	}
	for mode, stream := range modes {
		llm, script, _ := c.always(Text("ok"))
		c.ask(llm, request(contents...), stream)
		if !c.wire {
			continue
		}
		if got := pairs(script.Requests()[0].Contents); got != "lookup=first lookup=second other=third" {
			c.Errorf("%s: the provider reads the results as %s", mode, got)
		}
	}
}

// pairs writes each call with the result that belongs to it, in the order of the
// calls: by id, or where there is none by name and order.
func pairs(contents []*genai.Content) string {
	var out []string
	for i, content := range contents {
		_, _, calls := read(content)
		if len(calls) == 0 || i+1 == len(contents) {
			continue
		}
		left := responses(contents[i+1 : i+2])
		for _, f := range calls {
			value := "nothing"
			for j, r := range left {
				if r != nil && r.ID == f.ID && r.Name == f.Name {
					value, left[j] = fmt.Sprint(r.Response["value"]), nil
					break
				}
			}
			out = append(out, f.Name+"="+value)
		}
	}
	return strings.Join(out, " ")
}

// nothingAsked has requests that no caller should make: an answer or an error is
// fine, silence or a panic is not.
func nothingAsked(c *trial) {
	for mode, stream := range modes {
		for name, req := range map[string]*model.LLMRequest{
			"no contents":   {},
			"nil config":    {Contents: simple().Contents},
			"empty content": {Contents: []*genai.Content{{Role: genai.RoleUser}}},
			"nil content":   {Contents: []*genai.Content{nil, user(nil, say("Hello.")), nil}},
		} {
			llm, _, up := c.always(Text("ok"))
			r := call(c.Context(), llm, req, stream)
			switch {
			case errors.Is(r.err, errPanicked):
				c.Errorf("%s, %s: %v", name, mode, r.err)
			case r.finals != 1 && r.err == nil || r.late:
				c.Errorf("%s, %s: neither an answer nor an error", name, mode)
			case r.err != nil:
				c.noSecrets(r.err, up)
			}
		}
	}
}
