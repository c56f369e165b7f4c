package modeltest

import (
	"encoding/json"
	"slices"
	"strings"

	"google.golang.org/genai"
)

func parallelCalls(c *trial) {
	want := []*genai.FunctionCall{
		{ID: "call_1", Name: "lookup", Args: map[string]any{"key": "a", "deep": map[string]any{"list": []any{1.5, "x", nil, true}}}},
		{ID: "call_2", Name: "lookup", Args: map[string]any{"key": "a"}},
		{ID: "call_3", Name: "other"},
	}
	for _, texts := range [][]string{nil, {"I look."}} {
		r := c.before(Turn{Texts: texts, Calls: want}).ask(simple())
		for _, got := range r.calls {
			if len(got.Args) == 0 {
				got.Args = nil // no arguments may be written either way
			}
		}
		if show(r.calls) != show(want) || r.text != strings.Join(texts, "") || finish(r) != genai.FinishReasonStop {
			c.Errorf("got %s %s, want %q and %s", r, finish(r), texts, show(want))
		}
	}
}

// numbersKept: what is called for account 1234567890123456789 is not for its neighbor.
// A wire whose library knows float64 alone may write such a number as text in the
// history.
func numbersKept(c *trial) {
	const large = "1234567890123456789"
	args := map[string]any{"key": json.Number(large), "deep": []any{map[string]any{"n": json.Number("-" + large)}}, "small": 5.0, "half": 0.5}
	b := c.before(Calls(&genai.FunctionCall{ID: "call_a", Name: "lookup", Args: args}), Text("ok"))
	r := b.ask(simple())
	if len(r.calls) != 1 || show(r.calls[0].Args) != show(args) {
		c.Fatalf("the model called with %s, want %s", show(r.calls), show(args))
	}
	b.ask(request(user(say("Hello.")), r.final.Content, user(result("call_a", "lookup", nil))))
	_, _, calls := read(b.script.Requests()[1].Contents[1])
	if got := strings.NewReplacer(`"`+large+`"`, large, `"-`+large+`"`, "-"+large).Replace(show(calls[0].Args)); got != show(args) {
		c.Errorf("the provider saw %s, want %s", got, show(args))
	}
}

func thoughts(c *trial) {
	r := c.before(full()).ask(simple())
	if r.thought != "They want two keys." || r.text != "I look up both." {
		c.Errorf("got %s", r)
	}
	if parts := r.final.Content.Parts; len(parts) == 0 || !parts[0].Thought {
		c.Errorf("thoughts do not come first: %s", show(parts))
	}
	if _, thought := r.streamed(); c.stream && thought != r.thought {
		c.Errorf("streamed thoughts are %q", thought)
	}
}

// usage counts the way genai and ADK do: candidates hold no thoughts. OpenAI's wire
// counts them in.
func usage(c *trial) {
	for _, want := range []*genai.GenerateContentResponseUsageMetadata{
		full().Usage,
		{PromptTokenCount: 7, CandidatesTokenCount: 5, TotalTokenCount: 12},
	} {
		got := c.before(Turn{Texts: []string{"Hello ", "to you."}, Usage: want}).ask(simple()).final.UsageMetadata
		if got == nil {
			c.Errorf("no usage")
			continue
		}
		counts := func(u *genai.GenerateContentResponseUsageMetadata) []int32 {
			return []int32{u.PromptTokenCount, u.CandidatesTokenCount, u.ThoughtsTokenCount, u.TotalTokenCount, u.CachedContentTokenCount}
		}
		if !slices.Equal(counts(got), counts(want)) {
			c.Errorf("prompt, candidates, thoughts, total, cached: %v, want %v", counts(got), counts(want))
		}
	}
}

func finishReasons(c *trial) {
	// OpenAI has one word for all that a filter stopped, and none for many others.
	const filtered, other = genai.FinishReasonSafety, genai.FinishReasonOther
	for said, also := range map[genai.FinishReason]genai.FinishReason{
		genai.FinishReasonStop: "", genai.FinishReasonMaxTokens: "", genai.FinishReasonSafety: "", genai.FinishReasonOther: "",
		genai.FinishReasonRecitation: filtered, genai.FinishReasonBlocklist: filtered, genai.FinishReasonProhibitedContent: filtered, genai.FinishReasonSPII: filtered,
		genai.FinishReasonLanguage: other, genai.FinishReasonMalformedFunctionCall: other, "A_REASON_OF_TOMORROW": other,
	} {
		is := func(got genai.FinishReason) bool { return got == said || also != "" && got == also }
		if r := c.before(Turn{Texts: []string{"Half ", "an answer"}, FinishReason: said}).ask(simple()); !is(finish(r)) || r.text != "Half an answer" {
			c.Errorf("the provider ended with %s, the model with %s and %q", said, finish(r), r.text)
		}
		// Without content the reason is all there is to say.
		b := c.before(Turn{FinishReason: said})
		r := b.try(simple())
		switch {
		case r.err != nil:
			b.fails(r)
		case said == genai.FinishReasonStop:
			c.wellFormed(r)
		case r.finals != 1 || r.final.ErrorCode == "" || !is(finish(r)):
			c.Errorf("the provider ended with %s and nothing else; the model with %d responses, %s: callers see no reason", said, r.finals, show(r.final))
		}
	}
}

func refusal(c *trial) {
	r := c.before(Turn{Texts: []string{"I cannot ", "help with that."}, Refusal: true}).ask(simple())
	if r.text != "I cannot help with that." || finish(r) != genai.FinishReasonSafety {
		c.Errorf("the refusal came as %q with %s", r.text, finish(r))
	}
}

func blockedPrompt(c *trial) {
	b := c.before(Turn{Blocked: "PROHIBITED_CONTENT"})
	r := b.try(simple())
	switch {
	case r.err != nil:
		b.fails(r)
		b.sent(1)
	case r.finals != 1 || r.final.ErrorCode == "":
		c.Errorf("%d responses and no error code: callers see nothing", r.finals)
	}
}

// emptyAnswer: ADK drops a response without content and a run then ends without an
// event, so an answer must say at least that it is one.
func emptyAnswer(c *trial) {
	for _, turn := range []Turn{{}, {Usage: full().Usage}, {Thoughts: []string{"Hm."}}} {
		b := c.before(turn)
		if r := b.try(simple()); r.err != nil {
			b.fails(r)
		} else {
			c.wellFormed(r)
		}
	}
}

func modelVersion(c *trial) {
	if r := c.before(Turn{Texts: []string{"ok"}, Version: "version-1"}).ask(simple()); r.final.ModelVersion != "version-1" {
		c.Errorf("the version is %q, want version-1", r.final.ModelVersion)
	}
}

func piecesPass(c *trial) {
	var got []string
	for _, p := range c.before(full()).ask(simple()).pieces {
		text, thought, _ := read(p.Content)
		got = append(got, thought+text)
	}
	if joined := strings.Join(got, "|"); joined != "They want |two keys.|I look |up |both." {
		c.Errorf("the pieces are %s", joined)
	}
}
