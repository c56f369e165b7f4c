package modeltest

import (
	"fmt"
	"strings"

	"google.golang.org/genai"

	"github.com/jitagent/jitagent/dev/modelserver"
)

// says reports whether r is all that turn says.
func (r *reply) says(turn Turn) bool {
	return r.text == strings.Join(turn.Texts, "") && r.thought == strings.Join(turn.Thoughts, "") && show(r.calls) == show(turn.Calls)
}

func argumentsSplit(c *trial) {
	turn := Turn{Texts: []string{"ok"}, Calls: []*genai.FunctionCall{
		{ID: "call_1", Name: "lookup", Args: map[string]any{"key": "dök 👩‍🚀", "q": "\"\\\n"}},
		{ID: "call_2", Name: "lookup", Args: map[string]any{"key": "b"}},
	}}
	for n := 1; n <= len(show(turn.Calls[0].Args)); n++ {
		if r := c.upstream(modelserver.Config{Fallback: Always(turn), ArgumentPiece: n}).ask(simple()); !r.says(turn) {
			c.Errorf("in pieces of %d bytes: %s, want %s", n, r, show(turn.Calls))
		}
	}
}

func answerSplit(c *trial) {
	turn := Turn{Thoughts: []string{"Hm 👩‍🚀"}, Texts: []string{"日本", "語 👩‍🚀", letters}, Calls: full().Calls, Usage: full().Usage}
	for name, fault := range map[string]func(n int) Fault{"as it is": split, "as escapes": escape} {
		for _, n := range []int{1, 2, 3, 5, 7, 64} {
			b := c.before(turn)
			b.up.Next(fault(n))
			if r := b.ask(simple()); !r.says(turn) {
				c.Errorf("%s, in pieces of %d bytes: %s", name, n, r)
			}
		}
	}
}

// events returns what the provider sends for turn, event by event, and the index of
// the one that says why the answer ended.
func events(c *trial, turn Turn) (all []string, end int) {
	c.Helper()
	b := c.before(turn)
	b.up.Next(watch(&all))
	b.ask(simple())
	for i, event := range all {
		if strings.Contains(event, `"finish_reason":"`) || strings.Contains(event, `"finishReason":"`) || strings.Contains(event, `"stop_reason":"`) || strings.Contains(event, `event: response.completed`) {
			return all, i
		}
	}
	c.Fatalf("no event says why the answer ended: %q", all)
	return nil, 0
}

// broken makes a call whose answer breaks off, and judges what comes of it. Before its end was said it is
// an error; after that the answer may be taken, if it is whole.
func (b *bench) broken(fault Fault, turn Turn, ended bool, where string) {
	b.Helper()
	before := b.up.count()
	b.up.Next(fault)
	r := b.try(simple())
	text, thought := r.streamed()
	if !strings.HasPrefix(strings.Join(turn.Texts, ""), text) || !strings.HasPrefix(strings.Join(turn.Thoughts, ""), thought) {
		b.Errorf("%s: the pieces are %q, thoughts %q", where, text, thought)
	}
	// A call that said nothing yet may have been tried again, with success.
	again := b.up.count()-before > 1
	switch {
	case r.err != nil:
		if again && len(r.pieces) > 0 {
			b.Errorf("%s: %d requests, the last of them after a piece was passed on", where, b.up.count()-before)
		}
		b.fails(r)
	case !ended && !again:
		b.Errorf("%s: half an answer was taken for a whole one: %s", where, r)
	case !r.says(turn):
		b.Errorf("%s: taken for an answer: %s", where, r)
	}
}

func streamCut(c *trial) {
	for _, turn := range []Turn{full(), Text("Hello."), Calls(full().Calls...)} {
		all, end := events(c, turn)
		b := c.before(turn)
		for n := range len(all) + 1 {
			b.broken(Cut(n), turn, n > end, fmt.Sprintf("cut after event %d of %d", n, len(all)))
		}
	}
}

// cutAt cuts the answer after each of its first bytes.
func (c *trial) cutAt(turn Turn, bytes int) {
	c.Helper()
	b := c.before(turn)
	for n := range bytes {
		b.broken(cutBytes(n), turn, false, fmt.Sprintf("cut after byte %d", n))
	}
}

func streamCutBytes(c *trial) {
	turn := Text("日本語")
	all, end := events(c, turn)
	c.cutAt(turn, len(strings.Join(all[:end+1], ""))-2) // what follows the JSON text ends the event, not the answer
}

func answerCutBytes(c *trial) {
	turn := Turn{Texts: []string{"日本語"}, Calls: full().Calls[:1]}
	var all []string
	b := c.before(turn)
	b.up.Next(watch(&all))
	b.ask(simple())
	c.cutAt(turn, len(strings.TrimSpace(strings.Join(all, ""))))
}

func errorWithin(c *trial) {
	b := c.before(Turn{Texts: []string{"Half ", "an "}, Err: errUpstream})
	r := b.try(simple())
	b.fails(r)
	if text, _ := r.streamed(); text != "Half an " {
		c.Errorf("the pieces before the error are %q", text)
	}
}

// noRetryWithin: what a caller has seen cannot be taken back, and would come twice.
// So whatever strikes after that is an error, each time.
func noRetryWithin(c *trial) {
	half := Turn{Texts: []string{"Half "}, Err: errUpstream}
	whole := Turn{Texts: []string{"Half ", "whole."}}
	all, _ := events(c, whole)
	cut := 1
	for !strings.Contains(all[cut-1], "Half ") {
		cut++
	}
	for range runs {
		for name, tt := range map[string]struct {
			turns []Turn
			fault Fault
		}{
			"an error": {[]Turn{half, whole, whole}, nil},
			"a cut":    {[]Turn{whole}, Cut(cut)},
		} {
			b := c.before(tt.turns...)
			b.up.Next(tt.fault)
			r := b.try(simple())
			b.fails(r)
			if text, _ := r.streamed(); text != "Half " {
				c.Errorf("%s: the pieces are %q", name, text)
			}
			b.sent(1)
		}
	}
}
