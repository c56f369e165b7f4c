package modeltest

import (
	"context"
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

func hasName(c *trial) {
	llm := c.before(Text("ok")).llm
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
	for _, turn := range []Turn{Text("Hello to you."), full()} {
		c.before(turn).ask(simple())
	}
}

func sameBothWays(c *trial) {
	for _, turn := range []Turn{Text("Hello to you."), full(), Calls(full().Calls...)} {
		b := c.before(turn)
		c.stream = false
		plain := b.ask(simple())
		c.stream = true
		streamed := b.ask(simple())
		if plain.text != streamed.text || plain.thought != streamed.thought || !reflect.DeepEqual(plain.calls, streamed.calls) || finish(plain) != finish(streamed) {
			c.Errorf("%s %s; unstreamed it was %s %s", streamed, finish(streamed), plain, finish(plain))
		}
		if c.wire && (plain.text != strings.Join(turn.Texts, "") || show(plain.calls) != show(turn.Calls)) {
			c.Errorf("the answer is %s, want %q with %s", plain, turn.Texts, show(turn.Calls))
		}
	}
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
	req.Config.MaxOutputTokens = 500
	req.Config.ToolConfig = &genai.ToolConfig{FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAuto}}
	return req
}

func requestKept(c *trial) {
	for _, dangling := range []bool{false, true} {
		req := aConversation()
		// Room behind the last content: an append would write into the caller's array.
		req.Contents = append(make([]*genai.Content, 0, 16), req.Contents...)
		if dangling {
			req.Contents = append(req.Contents, assistant(calling("", "lookup", nil)))
		}
		before, spare := show(req), show(req.Contents[:cap(req.Contents)])
		config := req.Config
		c.before(Text("ok")).ask(req)
		if after := show(req); after != before || req.Config != config {
			c.Errorf("the request was\n%s\nand is now\n%s", before, after)
		}
		if after := show(req.Contents[:cap(req.Contents)]); after != spare {
			c.Errorf("the caller's array behind the contents was written to")
		}
	}
}

// echo is an upstream that repeats the last text of its request, in pieces.
type echo struct{}

func (echo) Name() string { return "echo" }

func (echo) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	var pieces []string
	if n := len(req.Contents); n > 0 {
		for _, r := range allText(req.Contents[n-1]) {
			pieces = append(pieces, string(r))
		}
	}
	return Always(Turn{Texts: pieces}).GenerateContent(ctx, req, stream)
}

func manyAtOnce(c *trial) {
	b := c.upstream(modelserver.Config{Fallback: echo{}})
	shared := aConversation() // read by all at once: the race detector sees writes
	const n = 12
	replies, want := make([]*reply, 2*n), make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		want[i] = fmt.Sprintf("Hello, I am caller %d.", i)
		wg.Go(func() { replies[i] = call(c.Context(), b.llm, request(user(say(want[i]))), i%2 == 0) })
		wg.Go(func() { replies[n+i] = call(c.Context(), b.llm, shared, i%2 == 0) })
	}
	wg.Wait()
	for i, r := range replies {
		c.stream = i%n%2 == 0
		c.wellFormed(r)
		if c.wire && i < n && r.text != want[i] {
			c.Errorf("caller %d got %q", i, r.text)
		}
	}
}

// stopListening breaks off after each response: a model that goes on yielding
// panics, which the runtime sees to.
func stopListening(c *trial) {
	for stop := 1; stop <= 4; stop++ {
		b, n := c.before(full()), 0
		for _, err := range b.llm.GenerateContent(c.Context(), simple(), c.stream) {
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
		b.ask(simple()) // and it goes on working
	}
}

func cancelledBefore(c *trial) {
	b := c.before(Text("ok"))
	ctx, cancel := context.WithCancel(c.Context())
	cancel()
	r := call(ctx, b.llm, simple(), c.stream)
	if !errors.Is(r.err, context.Canceled) || r.finals > 0 || len(r.pieces) > 0 || r.late || b.up.count() > 0 {
		c.Errorf("error %v with %d responses after %d requests, want context.Canceled and none", r.err, r.finals+len(r.pieces), b.up.count())
	}
}

// Letters that break careless code: other scripts, pairs of surrogates, joined and
// combined characters, line separators, controls, and what looks like markup.
const letters = "Grüße, 日本語 мир שלום 𝒳 👩‍🚀 e\u0301 \u2028 \u0001 \" \\ </script> data: [DONE]\n\nevent: x"

func anyLetters(c *trial) {
	if r := c.upstream(modelserver.Config{Fallback: echo{}}).ask(request(user(say(letters)))); c.wire && r.text != letters {
		c.Errorf("%q came back as %q", letters, r.text)
	}
	args := map[string]any{"key": letters, letters: []any{letters, 1.5, true, nil, map[string]any{}}}
	b := c.before(Calls(&genai.FunctionCall{ID: "call_x", Name: "lookup", Args: args}))
	req := request(user(say("Hello.")), assistant(say(letters), calling("call_y", "lookup", args)), user(result("call_y", "lookup", args)))
	req.Config.SystemInstruction = user(say(letters))
	r := b.ask(req)
	if !c.wire {
		return
	}
	if len(r.calls) != 1 || show(r.calls[0].Args) != show(args) {
		c.Errorf("arguments %s came back as %s", show(args), r)
	}
	seen := b.seen()
	_, _, calls := read(seen.Contents[1])
	results := responses(seen.Contents)
	if len(calls) != 1 || len(results) != 1 || show(calls[0].Args) != show(args) || show(results[0].Response) != show(args) ||
		allText(seen.Contents[1]) != letters || allText(seen.Config.SystemInstruction) != letters {
		c.Errorf("the provider saw %s", show(seen))
	}
}

func longHistory(c *trial) {
	var contents []*genai.Content
	for i := range 500 {
		contents = append(contents, user(say(fmt.Sprintf("Hello %d.", 2*i))), assistant(say(fmt.Sprintf("Hello %d.", 2*i+1))))
	}
	contents = append(contents, user(say("Hello 1000.")))
	b := c.before(Text("ok"))
	b.ask(request(contents...))
	if !c.wire {
		return
	}
	if got, want := allText(b.seen().Contents...), allText(contents...); got != want {
		c.Errorf("of %d bytes of history %d arrived, or in another order", len(want), len(got))
	}
}

func toolError(c *trial) {
	failed := map[string]any{"status": "failed", "error": "no such key: a"}
	b := c.before(Text("It failed."))
	b.ask(request(user(say("Look up a.")), assistant(calling("call_a", "lookup", map[string]any{"key": "a"})), user(result("call_a", "lookup", failed))))
	if !c.wire {
		return
	}
	if got := responses(b.seen().Contents); len(got) != 1 || got[0].ID != "call_a" || show(got[0].Response) != show(failed) {
		c.Errorf("the provider saw %s, want the error", show(got))
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
		b := c.before(Text("ok"))
		r := b.try(request(contents...))
		if r.err != nil {
			c.Errorf("%s: failed: %v", name, r.err)
			continue
		}
		c.wellFormed(r)
		if !c.wire {
			continue
		}
		seen := b.seen().Contents
		// Neighbours of one role may be joined.
		got, want := strings.Join(strings.Fields(allText(seen...)), " "), strings.Join(strings.Fields(allText(contents...)), " ")
		if !strings.HasPrefix(got, want) {
			c.Errorf("%s: the provider read %q, want %q", name, got, want)
		}
		// That each call has a result is what the upstream checks; here, that a
		// result which exists was not replaced.
		if name == "one of two has a result" && show(responses(seen)[0].Response) != show(value) {
			c.Errorf("%s: the provider saw %s", name, show(responses(seen)))
		}
	}
}

func emptyIDs(c *trial) {
	b := c.before(Text("ok"))
	b.ask(request(
		user(say("Look up a twice, then b.")),
		assistant(calling("", "lookup", map[string]any{"key": "a"}), calling("", "lookup", map[string]any{"key": "a"}), calling("", "other", nil)),
		user(result("", "other", map[string]any{"value": "third"}), result("", "lookup", map[string]any{"value": "first"}), result("", "lookup", map[string]any{"value": "second"})),
		user(say("And?")),
	))
	if !c.wire {
		return
	}
	if got := pairs(b.seen().Contents); got != "lookup=first lookup=second other=third" {
		c.Errorf("the provider reads the results as %s", got)
	}
}

// nothingAsked has requests that no caller should make: an answer or an error is
// fine, silence or a panic is not.
func nothingAsked(c *trial) {
	for name, req := range map[string]*model.LLMRequest{
		"no contents":   {},
		"nil config":    {Contents: simple().Contents},
		"empty content": {Contents: []*genai.Content{{Role: genai.RoleUser}}},
		"nil content":   {Contents: []*genai.Content{nil, user(nil, say("Hello.")), nil}},
	} {
		b := c.before(Text("ok"))
		r := b.try(req)
		switch {
		case errors.Is(r.err, errPanicked):
			c.Errorf("%s: %v", name, r.err)
		case r.finals != 1 && r.err == nil || r.late:
			c.Errorf("%s: neither an answer nor an error", name)
		case r.err != nil:
			b.noSecrets(r.err)
		}
	}
}
