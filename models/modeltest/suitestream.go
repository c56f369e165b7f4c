package modeltest

import (
	"fmt"
	"strings"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/dev/modelserver"
)

// streamTests are about answers in pieces, whole and broken.
func streamTests() []subtest {
	return []subtest{
		{name: "pieces come as they are", run: piecesPass},
		{name: "a call's arguments split at every byte", run: argumentsSplit},
		{name: "an answer split at every byte", run: answerSplit},
		{name: "a stream cut at every event", run: streamCut},
		{name: "a stream cut at every byte", run: streamCutBytes},
		{name: "an answer cut at every byte", run: answerCutBytes},
		{name: "an error within a stream", run: errorWithin},
		{name: "nothing is retried after the first piece", run: noRetryWithin},
	}
}

func piecesPass(c *trial) {
	llm, _, _ := c.always(full())
	r := c.ask(llm, simple(), true)
	var got []string
	for _, p := range r.pieces {
		text, thought, _ := read(p.Content)
		got = append(got, thought+text)
	}
	if joined := strings.Join(got, "|"); joined != "They want |two keys.|I look |up |both." {
		c.Errorf("the pieces are %s", joined)
	}
}

func argumentsSplit(c *trial) {
	calls := []*genai.FunctionCall{
		{ID: "call_1", Name: "lookup", Args: map[string]any{"key": "dök 👩‍🚀", "q": "\"\\\n"}},
		{ID: "call_2", Name: "lookup", Args: map[string]any{"key": "b"}},
	}
	for n := 1; n <= len(show(calls[0].Args)); n++ {
		llm := c.open(c.upstream(modelserver.Config{Fallback: Always(Turn{Texts: []string{"ok"}, Calls: calls}), ArgumentPiece: n}))
		if r := c.ask(llm, simple(), true); show(r.calls) != show(calls) || r.text != "ok" {
			c.Errorf("in pieces of %d bytes: %s, want %s", n, show(r.calls), show(calls))
		}
	}
}

func answerSplit(c *trial) {
	want := Turn{Thoughts: []string{"Hm 👩‍🚀"}, Texts: []string{"日本", "語 👩‍🚀", letters}, Calls: full().Calls, Usage: full().Usage}
	for name, fault := range map[string]func(n int) Fault{"as it is": Split, "as escapes": Escape} {
		for mode, stream := range modes {
			for _, n := range []int{1, 2, 3, 5, 7, 64} {
				llm, _, up := c.always(want)
				up.Next(fault(n))
				r := c.ask(llm, simple(), stream)
				if r.text != strings.Join(want.Texts, "") || r.thought != want.Thoughts[0] || show(r.calls) != show(want.Calls) {
					c.Errorf("%s, %s, in pieces of %d bytes: %q, thoughts %q, calls %s", mode, name, n, r.text, r.thought, show(r.calls))
				}
			}
		}
	}
}

// events returns what the provider sends for turn, event by event, and the index of
// the one that says why the answer ended.
func events(c *trial, turn Turn) (all []string, end int) {
	c.Helper()
	llm, _, up := c.always(turn)
	up.Next(watch(&all))
	c.ask(llm, simple(), true)
	for i, event := range all {
		if strings.Contains(event, `"finish_reason":"`) || strings.Contains(event, `"finishReason":"`) {
			return all, i
		}
	}
	c.Fatalf("no event says why the answer ended: %q", all)
	return nil, 0
}

// broken makes a call whose answer breaks off, and judges what comes of it. Before its end was said it is
// an error; after that the answer may be taken, if it is whole.
func (c *trial) broken(llm model.LLM, up *Upstream, fault Fault, stream bool, turn Turn, ended bool, where string) {
	c.Helper()
	before := up.count()
	up.Next(fault)
	r := call(c.Context(), llm, simple(), stream)
	text, thought := r.streamed()
	if !strings.HasPrefix(strings.Join(turn.Texts, ""), text) || !strings.HasPrefix(strings.Join(turn.Thoughts, ""), thought) {
		c.Errorf("%s: the pieces are %q, thoughts %q", where, text, thought)
	}
	// A call that said nothing yet may have been tried again, with success.
	sent := up.count() - before
	again := sent > 1
	if again && len(r.pieces) > 0 && r.err != nil {
		c.Errorf("%s: %d requests, the last of them after a piece was passed on", where, sent)
	}
	if r.err != nil {
		c.fails(r, up)
		return
	}
	if !ended && !again {
		c.Errorf("%s: half an answer was taken for a whole one: %q, calls %s", where, r.text, show(r.calls))
		return
	}
	if r.text != strings.Join(turn.Texts, "") || r.thought != strings.Join(turn.Thoughts, "") || show(r.calls) != show(turn.Calls) {
		c.Errorf("%s: taken for an answer: %q, thoughts %q, calls %s", where, r.text, r.thought, show(r.calls))
	}
}

func streamCut(c *trial) {
	for _, turn := range []Turn{full(), Text("Hello."), Calls(full().Calls...)} {
		all, end := events(c, turn)
		llm, _, up := c.always(turn)
		for n := range len(all) + 1 {
			c.broken(llm, up, Cut(n), true, turn, n > end, fmt.Sprintf("cut after event %d of %d", n, len(all)))
		}
	}
}

func streamCutBytes(c *trial) {
	turn := Text("日本語")
	all, end := events(c, turn)
	// Where the bytes of the event that ends the answer are.
	before, within := len(strings.Join(all[:end], "")), len(all[end])
	llm, _, up := c.always(turn)
	for n := range before + within - 2 { // what follows the JSON text ends the event, not the answer
		c.broken(llm, up, CutBytes(n), true, turn, false, fmt.Sprintf("cut after byte %d", n))
	}
}

func answerCutBytes(c *trial) {
	turn := Turn{Texts: []string{"日本語"}, Calls: full().Calls[:1]}
	var all []string
	llm, _, up := c.always(turn)
	up.Next(watch(&all))
	c.ask(llm, simple(), false)
	whole := strings.TrimSpace(strings.Join(all, ""))
	for n := range len(whole) {
		c.broken(llm, up, CutBytes(n), false, turn, false, fmt.Sprintf("cut after byte %d", n))
	}
}

func errorWithin(c *trial) {
	llm, _, up := c.always(Turn{Texts: []string{"Half ", "an "}, Err: errUpstream})
	r := call(c.Context(), llm, simple(), true)
	c.fails(r, up)
	if text, _ := r.streamed(); text != "Half an " {
		c.Errorf("the pieces before the error are %q", text)
	}
}

// noRetryWithin: what a caller has seen cannot be taken back, and would come twice.
func noRetryWithin(c *trial) {
	for name, prepare := range map[string]func() (model.LLM, *Upstream){
		"an error": func() (model.LLM, *Upstream) {
			llm, _, up := c.scripted(Turn{Texts: []string{"Half "}, Err: errUpstream}, Text("Whole."), Text("Whole."))
			return llm, up
		},
		"a cut": func() (model.LLM, *Upstream) {
			llm, _, up := c.always(Turn{Texts: []string{"Half ", "whole."}})
			all, _ := events(c, Turn{Texts: []string{"Half ", "whole."}})
			for i, event := range all {
				if strings.Contains(event, "Half ") {
					up.Next(Cut(i + 1))
				}
			}
			return llm, up
		},
	} {
		llm, up := prepare()
		r := call(c.Context(), llm, simple(), true)
		c.fails(r, up)
		if text, _ := r.streamed(); text != "Half " || len(up.Requests()) != 1 {
			c.Errorf("%s: %d requests, want 1; the pieces are %q", name, len(up.Requests()), text)
		}
	}
}
