package openai

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// answer collects what the server says, in one piece or in many.
type answer struct {
	server string            // whose state it holds
	known  func(string) bool // whether a tool of that name is declared
	bound  int32             // the most tokens that were asked for, 0 for no bound

	id, model, fingerprint string
	text, thought          strings.Builder
	state                  members
	items                  []jsontext.Value
	refused                bool
	unfinished             bool // a call in it is not whole, as its own status says
	calls                  []*building
	pieces                 bool // it came in pieces
	counted                bool // an event came after the choices that says what they used
	finishReason           string
	usage                  usage
	logprobs               []logprob
}

// A delta is text or thought that is new in the answer.
type delta struct{ text, thought string }

// say adds d to the answer, and returns it.
func (a *answer) say(d delta) delta {
	a.text.WriteString(d.text)
	a.thought.WriteString(d.thought)
	return d
}

// complete reports whether the server has said that the answer ended.
func (a *answer) complete() bool { return a.finishReason != "" }

// close hears the mark that ends a stream of chat completions. Gateways send it too where
// the server behind them broke off, so that without a reason it counts for an answer's
// end only after the event that says what the whole answer used, and calls are whole.
func (a *answer) close() {
	if a.finishReason == "" && a.counted && !slices.ContainsFunc(a.calls, func(b *building) bool { return !b.args.end.Reached() }) {
		a.finishReason = "stop"
	}
}

// readChat is a [reader] of chat completions, in one piece or in events.
func readChat(a *answer, data []byte) (delta, error) {
	var in chatAnswer
	if err := decode(data, &in); err != nil {
		return delta{}, err
	}
	if f := in.failure(data); f != nil {
		return delta{}, f
	}
	a.id, a.model, a.fingerprint = cmp.Or(a.id, string(in.ID)), cmp.Or(a.model, string(in.Model)), cmp.Or(a.fingerprint, string(in.Fingerprint))
	if in.Usage.is != (usage{}) {
		a.usage, a.counted = in.Usage.is, len(in.Choices) == 0 && a.pieces
	}
	var out delta
	for i := range in.Choices {
		c := &in.Choices[i]
		if c.Index != 0 {
			continue // one was asked for; others are nobody's answer
		}
		if stated(c.Error) {
			return delta{}, readFailure(c.Error)
		}
		m := &c.Delta
		switch {
		case m.says():
			a.pieces = true
		case !a.pieces && c.Message.says(): // all of it, or a piece under this name
			m = &c.Message
			for j := range m.ToolCalls {
				m.ToolCalls[j].Index = new(number(j))
			}
		}
		a.state = merge(a.state, pick(m.State))
		out.thought += m.thought()
		out.text += string(m.Content) + string(m.Refusal)
		a.refused = a.refused || m.Refusal != ""
		if f := m.FunctionCall; f != nil {
			m.ToolCalls = append(m.ToolCalls, chatToolCall{Index: new(number(0)), Function: *f})
		}
		for j := range m.ToolCalls {
			if !a.addCall(&m.ToolCalls[j]) {
				return delta{}, provider.ErrUnreadable
			}
		}
		a.finishReason = cmp.Or(string(c.FinishReason), a.finishReason)
		a.logprobs = append(a.logprobs, c.Logprobs.is.Content...)
	}
	return a.say(out), nil
}

// finish returns why the answer ended, in Google's words.
func (a *answer) finish() genai.FinishReason {
	f := provider.FinishReason(a.finishReason)
	switch {
	case a.refused:
		return genai.FinishReasonSafety
	case a.unfinished && f == genai.FinishReasonStop:
		return genai.FinishReasonOther
	}
	return f
}

// response returns the whole answer, the final response of a call. An answer without
// its end, one without anything in it, and a call in an answer that was stopped are
// errors: nothing is done that the model did not finish asking for.
func (a *answer) response(to provider.Target) (*model.LLMResponse, error) {
	if !a.complete() {
		return nil, to.Fail(provider.BrokenOff, nil)
	}
	resp := &model.LLMResponse{
		ModelVersion: provider.Shorten(a.model), UsageMetadata: a.usage.metadata(), TurnComplete: true,
		LogprobsResult: logprobsResult(a.logprobs), FinishReason: a.finish(), CustomMetadata: a.metadata(),
	}
	parts := provider.Spoken(a.thought.String(), a.text.String())
	calls, named := a.callParts()
	if !named && resp.FinishReason == genai.FinishReasonStop {
		return nil, to.Fail(provider.Problem{Text: "the model called a tool without naming it", Remedy: "try again, or use another model"}, nil)
	}
	if parts = append(parts, calls...); len(calls) > 0 {
		a.keep(parts)
	}
	resp.Content = &genai.Content{Role: genai.RoleModel, Parts: parts}
	word := a.finishReason
	if a.refused {
		word = "refusal"
	}
	if err := to.Finish(resp, word, a.bound > 0); err != nil {
		return nil, err
	}
	return resp, nil
}

// keep seals the message's state into the first of its parts.
func (a *answer) keep(parts []*genai.Part) {
	var s state
	if parts[0].FunctionCall != nil {
		s = a.calls[0].kept
	}
	s.Message, s.Items = a.state, a.items
	if provider.Thinks(a.text.String()) { // some models' templates want the tags, others cut them off
		s.Message = merge(s.Message, members{"content": encode(a.text.String(), nil)})
	}
	parts[0].ThoughtSignature = a.seal(s)
}

// metadata is what tells one answer from another when asking the provider about it.
func (a *answer) metadata() map[string]any {
	m := map[string]any{}
	if a.id != "" {
		m["id"] = provider.Shorten(a.id)
	}
	if a.fingerprint != "" {
		m["system_fingerprint"] = provider.Shorten(a.fingerprint)
	}
	if a.refused {
		m["refusal"] = true
	}
	if len(m) == 0 {
		return nil
	}
	return m
}

// usage counts tokens, under the names of chat completions or of the Responses API. What
// was completed holds reasoning.
type usage struct {
	Prompt       number           `json:"prompt_tokens"`
	Input        number           `json:"input_tokens"`
	Completion   number           `json:"completion_tokens"`
	Output       number           `json:"output_tokens"`
	Total        number           `json:"total_tokens"`
	OfPrompt     lenient[details] `json:"prompt_tokens_details"`
	OfInput      lenient[details] `json:"input_tokens_details"`
	OfCompletion lenient[details] `json:"completion_tokens_details"`
	OfOutput     lenient[details] `json:"output_tokens_details"`
}

type details struct {
	Cached    number `json:"cached_tokens"`
	Reasoning number `json:"reasoning_tokens"`
}

// metadata counts as ADK does: what it calls candidates is without the thoughts.
func (u *usage) metadata() *genai.GenerateContentResponseUsageMetadata {
	if *u == (usage{}) {
		return nil
	}
	count := func(of ...number) int32 { return int32(min(slices.Max(of), math.MaxInt32)) } //nolint:gosec // bounded on this line
	reasoning := max(u.OfCompletion.is.Reasoning, u.OfOutput.is.Reasoning)
	return &genai.GenerateContentResponseUsageMetadata{
		PromptTokenCount:        count(u.Prompt, u.Input),
		CachedContentTokenCount: count(u.OfPrompt.is.Cached, u.OfInput.is.Cached),
		CandidatesTokenCount:    count(0, max(u.Completion, u.Output)-reasoning),
		ThoughtsTokenCount:      count(reasoning),
		TotalTokenCount:         count(u.Total),
	}
}

func logprobsResult(all []logprob) *genai.LogprobsResult {
	if len(all) == 0 {
		return nil
	}
	out := &genai.LogprobsResult{}
	for _, l := range all {
		out.ChosenCandidates = append(out.ChosenCandidates, candidate(l))
		top := &genai.LogprobsResultTopCandidates{}
		for _, t := range l.Top {
			top.Candidates = append(top.Candidates, candidate(t))
		}
		out.TopCandidates = append(out.TopCandidates, top)
	}
	return out
}

func candidate(l logprob) *genai.LogprobsResultCandidate {
	return &genai.LogprobsResultCandidate{Token: l.Token, LogProbability: float32(l.Logprob)}
}
