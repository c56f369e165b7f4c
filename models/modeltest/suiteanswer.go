package modeltest

import (
	"slices"
	"strings"

	"google.golang.org/genai"
)

// answerTests are about what a provider's answer becomes.
func answerTests() []subtest {
	return []subtest{
		{name: "parallel calls", run: parallelCalls},
		{name: "thoughts", run: thoughts},
		{name: "usage", run: usage},
		{name: "every finish reason", run: finishReasons},
		{name: "a refusal", run: refusal},
		{name: "a blocked prompt", run: blockedPrompt},
		{name: "an empty answer", run: emptyAnswer},
		{name: "the model's version", run: modelVersion},
	}
}

func parallelCalls(c *trial) {
	want := []*genai.FunctionCall{
		{ID: "call_1", Name: "lookup", Args: map[string]any{"key": "a", "deep": map[string]any{"list": []any{1.5, "x", nil, true}}}},
		{ID: "call_2", Name: "lookup", Args: map[string]any{"key": "a"}},
		{ID: "call_3", Name: "other"},
	}
	for mode, stream := range modes {
		for _, texts := range [][]string{nil, {"I look."}} {
			llm, _, _ := c.always(Turn{Texts: texts, Calls: want})
			r := c.ask(llm, simple(), stream)
			if len(r.calls) != len(want) {
				c.Errorf("%s: %d calls, want %d: %s", mode, len(r.calls), len(want), show(r.calls))
				continue
			}
			for i, w := range want {
				got := *r.calls[i]
				if len(got.Args) == 0 {
					got.Args = nil // no arguments may be written either way
				}
				if show(got) != show(w) {
					c.Errorf("%s: call %d is %s, want %s", mode, i, show(got), show(w))
				}
			}
			if r.text != strings.Join(texts, "") || finish(r) != genai.FinishReasonStop {
				c.Errorf("%s: text %q, finish reason %s", mode, r.text, finish(r))
			}
		}
	}
}

func thoughts(c *trial) {
	for mode, stream := range modes {
		llm, _, _ := c.always(full())
		r := c.ask(llm, simple(), stream)
		if r.thought != "They want two keys." || r.text != "I look up both." {
			c.Errorf("%s: thoughts %q, text %q", mode, r.thought, r.text)
		}
		if parts := r.final.Content.Parts; len(parts) == 0 || !parts[0].Thought {
			c.Errorf("%s: thoughts do not come first: %s", mode, show(parts))
		}
		if _, thought := r.streamed(); stream && thought != r.thought {
			c.Errorf("streamed thoughts are %q", thought)
		}
	}
}

// usage counts the way genai and ADK do: candidates hold no thoughts. OpenAI's wire
// counts them in.
func usage(c *trial) {
	for mode, stream := range modes {
		for _, want := range []*genai.GenerateContentResponseUsageMetadata{
			full().Usage,
			{PromptTokenCount: 7, CandidatesTokenCount: 5, TotalTokenCount: 12},
		} {
			llm, _, _ := c.always(Turn{Texts: []string{"Hello ", "to you."}, Usage: want})
			r := c.ask(llm, simple(), stream)
			got := r.final.UsageMetadata
			if got == nil {
				c.Errorf("%s: no usage", mode)
				continue
			}
			counts := func(u *genai.GenerateContentResponseUsageMetadata) []int32 {
				return []int32{u.PromptTokenCount, u.CandidatesTokenCount, u.ThoughtsTokenCount, u.TotalTokenCount, u.CachedContentTokenCount}
			}
			if !slices.Equal(counts(got), counts(want)) {
				c.Errorf("%s: prompt, candidates, thoughts, total, cached: %v, want %v", mode, counts(got), counts(want))
			}
		}
	}
}

func finishReasons(c *trial) {
	// OpenAI has one word for all that a filter stopped.
	filtered := []genai.FinishReason{genai.FinishReasonSafety}
	for _, tt := range []struct {
		said genai.FinishReason
		also []genai.FinishReason
	}{
		{genai.FinishReasonStop, nil}, {genai.FinishReasonMaxTokens, nil}, {genai.FinishReasonSafety, nil},
		{genai.FinishReasonRecitation, filtered}, {genai.FinishReasonBlocklist, filtered}, {genai.FinishReasonProhibitedContent, filtered}, {genai.FinishReasonSPII, filtered},
		{genai.FinishReasonOther, nil}, {genai.FinishReasonLanguage, []genai.FinishReason{genai.FinishReasonOther}},
		{genai.FinishReasonMalformedFunctionCall, []genai.FinishReason{genai.FinishReasonOther}},
		{"A_REASON_OF_TOMORROW", []genai.FinishReason{genai.FinishReasonOther}},
	} {
		for mode, stream := range modes {
			llm, _, _ := c.always(Turn{Texts: []string{"Half ", "an answer"}, FinishReason: tt.said})
			r := c.ask(llm, simple(), stream)
			if got := finish(r); got != tt.said && !slices.Contains(tt.also, got) || r.text != "Half an answer" {
				c.Errorf("%s: the provider ended with %s, the model with %s and %q", mode, tt.said, got, r.text)
			}
			// Without content the reason is all there is to say.
			llm, _, up := c.always(Turn{FinishReason: tt.said})
			r = call(c.Context(), llm, simple(), stream)
			switch {
			case r.err != nil:
				c.fails(r, up)
			case tt.said == genai.FinishReasonStop:
				c.wellFormed(r, stream)
			case r.finals != 1 || r.final.ErrorCode == "" || finish(r) != tt.said && !slices.Contains(tt.also, finish(r)):
				c.Errorf("%s: the provider ended with %s and nothing else; the model with %d responses, %q, error code %q: callers see no reason", mode, tt.said, r.finals, finish(r), show(r.final))
			}
		}
	}
}

func refusal(c *trial) {
	for mode, stream := range modes {
		llm, _, _ := c.always(Turn{Texts: []string{"I cannot ", "help with that."}, Refusal: true})
		r := c.ask(llm, simple(), stream)
		if r.text != "I cannot help with that." || finish(r) != genai.FinishReasonSafety {
			c.Errorf("%s: the refusal came as %q with %s", mode, r.text, finish(r))
		}
	}
}

func blockedPrompt(c *trial) {
	for mode, stream := range modes {
		llm, _, up := c.always(Turn{Blocked: "PROHIBITED_CONTENT"})
		r := call(c.Context(), llm, simple(), stream)
		switch {
		case r.err != nil:
			c.fails(r, up)
			if n := len(up.Requests()); n != 1 {
				c.Errorf("%s: a blocked prompt was sent %d times", mode, n)
			}
		case r.finals != 1 || r.final.ErrorCode == "":
			c.Errorf("%s: %d responses and no error code: callers see nothing", mode, r.finals)
		}
	}
}

// emptyAnswer: ADK drops a response without content and a run then ends without an
// event, so an answer must say at least that it is one.
func emptyAnswer(c *trial) {
	for _, stream := range modes {
		for _, turn := range []Turn{{}, {Usage: full().Usage}, {Thoughts: []string{"Hm."}}} {
			llm, _, up := c.always(turn)
			if r := call(c.Context(), llm, simple(), stream); r.err != nil {
				c.fails(r, up)
			} else {
				c.wellFormed(r, stream)
			}
		}
	}
}

func modelVersion(c *trial) {
	for mode, stream := range modes {
		llm, _, _ := c.always(Turn{Texts: []string{"ok"}, Version: "version-1"})
		if r := c.ask(llm, simple(), stream); r.final.ModelVersion != "version-1" {
			c.Errorf("%s: the version is %q, want version-1", mode, r.final.ModelVersion)
		}
	}
}
