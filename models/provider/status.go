package provider

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// Problems that read alike whoever the provider is.
var (
	// BrokenOff is an answer without its end: half of it, or of a call's arguments.
	BrokenOff = Problem{"the answer broke off", "try again"}
	// NoAnswer is an answer without anything in it.
	NoAnswer = Problem{"there was no answer", "try again"}
	// Unreadable is an answer that is not of the provider's form.
	Unreadable = Problem{"the answer could not be read", "try again; if it stays so, check the base URL"}
	// TooLong is a conversation over what the model takes.
	TooLong = Problem{"the conversation is longer than the model's context", "ask about fewer or shorter documents, or use a model with a longer context"}
	// BadName is a model name that cannot be sent.
	BadName = Problem{"the model name is malformed", "choose another"}

	redirected = Problem{"the server answered with a redirect, which is not followed", "check the base URL"}
	proxyLogin = Problem{"the proxy wants a login", "put user and password into HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT"}
)

// Status words an HTTP status that is no success, for t. A provider whose statuses
// mean something of their own decides about those first and asks here for the rest.
func (t Target) Status(status int) Problem {
	switch {
	case status == http.StatusUnauthorized:
		return Problem{"the API key was refused", "check the key" + t.inKey()}
	case status == http.StatusForbidden:
		return Problem{"the API key may not use this model", "check the key" + t.inKey() + " and what its project is allowed"}
	case status == http.StatusNotFound:
		return Problem{"there is no such model", "choose another name"}
	case status == http.StatusProxyAuthRequired:
		return proxyLogin
	case status == http.StatusPaymentRequired:
		return t.noMeans()
	case status == http.StatusTooManyRequests:
		return Problem{"too many requests", "wait, or raise the rate limit of " + t.account()}
	case status == http.StatusRequestEntityTooLarge:
		return Problem{"the request is too large", "use a shorter document or conversation"}
	case status >= 300 && status < 400:
		return redirected
	case status >= 500, status == http.StatusRequestTimeout:
		return Problem{"the provider failed", "try again later"}
	case status >= 400:
		return Problem{"the provider refused the request", "try another model than " + Shorten(t.Model)}
	}
	return Unreadable
}

func (t Target) noMeans() Problem {
	return Problem{"the quota is used up", "check plan and billing of " + t.account()}
}

// inKey names the key's variable within a sentence.
func (t Target) inKey() string {
	if t.Key == "" {
		return ""
	}
	return " in " + t.Key
}

func (t Target) account() string {
	return cmp.Or(t.Account, "the account behind "+cmp.Or(t.Key, "the API key"))
}

// Finish completes resp, the last response of a call, whose parts and finish reason are
// known. What ADK would end a run on without a word is an error: an answer with nothing
// in it, and one that its maker stopped when it had begun a call, which is not made.
// Another that was stopped says in its ErrorMessage what to do. word is the provider's
// own for the reason, bounded says whether the request set a bound for the answer.
func (t Target) Finish(resp *model.LLMResponse, word string, bounded bool) error {
	finish := resp.FinishReason
	var parts []*genai.Part
	if resp.Content != nil {
		parts = resp.Content.Parts
	}
	calls := slices.ContainsFunc(parts, func(p *genai.Part) bool { return p.FunctionCall != nil })
	switch {
	case finish == genai.FinishReasonStop && len(parts) == 0:
		return t.Fail(NoAnswer, nil)
	case finish == genai.FinishReasonStop:
		return nil
	}
	p := Problem{"the provider stopped the answer", "try again, or use another model"}
	if finish == genai.FinishReasonMaxTokens {
		p = t.cutOff(bounded)
	}
	if calls {
		e := t.Fail(Problem{p.Text + " within a call, which is not made", p.Remedy}, nil)
		e.inCall, e.Reason = true, cmp.Or(Code(word), Code(string(finish)))
		return e
	}
	resp.ErrorMessage = p.Remedy
	if len(parts) == 0 {
		resp.Content, resp.ErrorCode = nil, string(finish)
	}
	return nil
}

// cutOff is an answer that reached a bound: that of the request, or else the one that
// the model has or the server.
func (t Target) cutOff(bounded bool) Problem {
	p := Problem{"the answer was cut off", "give the server a longer context, or set max_tokens if its default is low; or ask for less"}
	switch {
	case bounded:
		p.Remedy = "raise max_tokens, or ask for less"
	case t.Hosted:
		p.Remedy = "ask for less, or use a model with a longer context"
	}
	return p
}

// written is an answer that calls a tool in words.
func (t Target) written(tool string) *Error {
	if t.Hosted {
		return t.Fail(Problem{"the model wrote a call of " + tool + " as text, so nothing was done", "try again, or use another model"}, nil)
	}
	return t.Fail(Problem{
		"the server handed out a call of " + tool + " as text, so nothing was done",
		"start it with its parser of tool calls: llama.cpp --jinja, vLLM --enable-auto-tool-choice --tool-call-parser NAME, SGLang --tool-call-parser NAME; or use another model",
	}, nil)
}

// finishReasons are Google's words for those of other APIs and servers, in lower case.
var finishReasons = map[string]genai.FinishReason{
	"stop": genai.FinishReasonStop, "tool_calls": genai.FinishReasonStop, "function_call": genai.FinishReasonStop,
	"eos": genai.FinishReasonStop, "eos_token": genai.FinishReasonStop, "end": genai.FinishReasonStop, "end_turn": genai.FinishReasonStop,
	"stop_sequence": genai.FinishReasonStop, "complete": genai.FinishReasonStop, "completed": genai.FinishReasonStop, "tool_use": genai.FinishReasonStop,
	"length": genai.FinishReasonMaxTokens, "max_tokens": genai.FinishReasonMaxTokens, "max_output_tokens": genai.FinishReasonMaxTokens,
	"model_length": genai.FinishReasonMaxTokens, "model_context_window_exceeded": genai.FinishReasonMaxTokens,
	"content_filter": genai.FinishReasonSafety, "content_filtered": genai.FinishReasonSafety, "guardrail_intervened": genai.FinishReasonSafety,
	"safety": genai.FinishReasonSafety, "sensitive": genai.FinishReasonSafety, "refusal": genai.FinishReasonSafety,
}

// FinishReason returns Google's word for why an answer ended, in whatever case and of
// whichever API the server's word is. One that is not known is passed on in capitals, as
// Google's are, for whoever reads it, and is no whole answer.
func FinishReason(word string) genai.FinishReason {
	if f, known := finishReasons[strings.ToLower(strings.TrimSpace(word))]; known {
		return f
	}
	return genai.FinishReason(cmp.Or(strings.ToUpper(Code(word)), string(genai.FinishReasonOther)))
}
