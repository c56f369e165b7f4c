package openai

import (
	"math"
	"strings"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/models/provider"
)

// answer collects what the server says, in one piece or in many.
type answer struct {
	id, model, fingerprint string
	text, thought          strings.Builder
	refused                bool
	calls                  []*building
	finishReason           string
	usage                  *usage
	logprobs               []logprob
}

// building is a function call whose arguments are still coming.
type building struct {
	index int
	id    string
	name  strings.Builder
	args  strings.Builder
}

// maxCalls bounds the calls of one answer. OpenAI makes fewer than 128 at once.
const maxCalls = 256

// usage counts tokens. completion holds reasoning.
type usage struct{ prompt, completion, total, cached, reasoning int64 }

// complete reports whether the server has said why it ended.
func (a *answer) complete() bool { return a.finishReason != "" }

// readChat is a [reader] of chat completions.
func readChat(a *answer, data []byte, streamed bool) (delta, error) {
	var in chatAnswer
	if err := decode(data, &in); err != nil {
		return delta{}, err
	}
	if len(in.Error) > 0 && in.Error.Kind() != 'n' {
		return delta{}, readFailure(in.Error)
	}
	a.id, a.model, a.fingerprint = or(a.id, in.ID), or(a.model, in.Model), or(a.fingerprint, in.Fingerprint)
	if u := in.Usage; u != nil {
		a.usage = &usage{u.Prompt, u.Completion, u.Total, u.PromptDetails.Cached, u.CompletionDetails.Reasoning}
	}
	var out delta
	for i := range in.Choices {
		c := &in.Choices[i]
		if c.Index != 0 {
			continue // one was asked for; others are nobody's answer
		}
		m := &c.Message
		if streamed {
			m = &c.Delta
		}
		thought := string(m.ReasoningContent)
		if thought == "" {
			thought = string(m.Reasoning)
		}
		out.thought += thought
		out.text += string(m.Content) + string(m.Refusal)
		a.refused = a.refused || m.Refusal != ""
		for j := range m.ToolCalls {
			t := &m.ToolCalls[j]
			if !streamed {
				t.Index = &j
			}
			if !a.addCall(t) {
				return delta{}, errUnreadable
			}
		}
		if f := m.FunctionCall; f != nil {
			zero := 0
			if !a.addCall(&chatToolCall{Index: &zero, Function: *f}) {
				return delta{}, errUnreadable
			}
		}
		a.finishReason = or(c.FinishReason, a.finishReason)
		if c.Logprobs != nil {
			a.logprobs = append(a.logprobs, c.Logprobs.Content...)
		}
	}
	a.thought.WriteString(out.thought)
	a.text.WriteString(out.text)
	return out, nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// addCall adds a call or a piece of one. Pieces of one call share an index; the
// first has id and name. Some servers send every call under index 0, or under none,
// so an id other than the last one's begins a call too.
func (a *answer) addCall(t *chatToolCall) bool {
	var b *building
	for i := len(a.calls) - 1; i >= 0 && b == nil; i-- {
		same := t.ID == "" || a.calls[i].id == t.ID
		if t.Index != nil {
			same = a.calls[i].index == *t.Index
		}
		if same {
			b = a.calls[i]
		}
	}
	if b == nil || t.ID != "" && b.id != "" && t.ID != b.id {
		if len(a.calls) == maxCalls {
			return false
		}
		b = &building{index: -1}
		if t.Index != nil {
			b.index = *t.Index
		}
		a.calls = append(a.calls, b)
	}
	// A piece with an id is a head. One that is sent again repeats the name.
	if t.ID == "" || b.id == "" {
		b.name.WriteString(t.Function.Name)
	}
	b.id = or(b.id, t.ID)
	b.args.WriteString(string(t.Function.Arguments))
	return true
}

// finishReasons are Google's words for OpenAI's.
var finishReasons = map[string]genai.FinishReason{
	"stop": genai.FinishReasonStop, "tool_calls": genai.FinishReasonStop, "function_call": genai.FinishReasonStop,
	"length": genai.FinishReasonMaxTokens, "content_filter": genai.FinishReasonSafety,
}

// response returns the whole answer, the final response of a call. An answer without
// its end, one without anything in it, and a call that cannot be read are errors.
func (a *answer) response(to provider.Target) (*model.LLMResponse, error) {
	if !a.complete() {
		return nil, to.Fail(provider.BrokenOff, nil)
	}
	resp := &model.LLMResponse{
		ModelVersion: provider.Shorten(a.model), UsageMetadata: a.usage.metadata(), TurnComplete: true,
		LogprobsResult: logprobsResult(a.logprobs),
	}
	finish, known := finishReasons[a.finishReason]
	switch {
	case a.refused:
		finish = genai.FinishReasonSafety
	case !known:
		finish = genai.FinishReasonOther
	}
	resp.FinishReason = finish
	resp.CustomMetadata = a.metadata()
	parts := make([]*genai.Part, 0, 2+len(a.calls))
	if a.thought.Len() > 0 {
		parts = append(parts, &genai.Part{Text: a.thought.String(), Thought: true})
	}
	if a.text.Len() > 0 {
		parts = append(parts, &genai.Part{Text: a.text.String()})
	}
	for _, b := range a.calls {
		f, problem := b.call(finish)
		if f == nil {
			return nil, to.Fail(problem, nil)
		}
		parts = append(parts, &genai.Part{FunctionCall: f})
	}
	switch {
	case len(parts) > 0:
		resp.Content = &genai.Content{Role: genai.RoleModel, Parts: parts}
	case finish == genai.FinishReasonStop:
		return nil, to.Fail(provider.NoAnswer, nil) // ADK would end the run without a word
	default:
		resp.ErrorCode, resp.ErrorMessage = string(finish), "the provider stopped the answer"
	}
	return resp, nil
}

// call returns the finished call, or says what is wrong with it.
func (b *building) call(finish genai.FinishReason) (*genai.FunctionCall, provider.Problem) {
	name := b.name.String()
	if name == "" {
		return nil, provider.Problem{Text: "the model called a tool without naming it", Remedy: "try again, or use another model"}
	}
	var args map[string]any
	if text := b.args.String(); strings.TrimSpace(text) != "" && strictjson.Unmarshal([]byte(text), &args) != nil {
		if finish == genai.FinishReasonMaxTokens {
			return nil, provider.Problem{Text: "the answer was cut off within its call of " + toolName(name), Remedy: "raise max_tokens"}
		}
		return nil, provider.Problem{Text: "the model called " + toolName(name) + " with arguments that are no JSON object", Remedy: "try again, or use another model"}
	}
	if args == nil {
		args = map[string]any{}
	}
	return &genai.FunctionCall{ID: b.id, Name: name, Args: args}, provider.Problem{}
}

// toolName returns a name that the model wrote for use in an error.
func toolName(s string) string {
	if formatNames.MatchString(s) {
		return s
	}
	return "a tool"
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

// metadata counts as ADK does: what it calls candidates is without the thoughts.
func (u *usage) metadata() *genai.GenerateContentResponseUsageMetadata {
	if u == nil || *u == (usage{}) {
		return nil
	}
	return &genai.GenerateContentResponseUsageMetadata{
		PromptTokenCount:        count(u.prompt),
		CachedContentTokenCount: count(u.cached),
		CandidatesTokenCount:    count(u.completion - u.reasoning),
		ThoughtsTokenCount:      count(u.reasoning),
		TotalTokenCount:         count(u.total),
	}
}

func count(n int64) int32 {
	return int32(max(0, min(n, math.MaxInt32))) //nolint:gosec // bounded on this line
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
