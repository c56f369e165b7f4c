package provider

import (
	"cmp"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/secret"
)

// A Refusal is an error as a provider states it. Its texts are looked at for what is
// known, and go no further than [Error.Said].
type Refusal struct {
	// Status is the HTTP status, 0 for an error within an answer that gives none.
	Status int
	// Code and Kind are the provider's words for the error, such as
	// context_length_exceeded and invalid_request_error; a number is fine, empty too.
	Code, Kind string
	// Message is its text.
	Message string
	// Details are Google's (google.rpc.ErrorInfo, QuotaFailure, RetryInfo).
	Details []map[string]any
	// RetryAfter is the wait that the answer's headers ask for, 0 for none.
	RetryAfter time.Duration
	// Page says that the answer is not of the form of the provider's errors: it is
	// then of a server that does not know the API, or of a proxy.
	Page bool
}

// Refused returns the error for r. Each kind of it that is known has its own words
// and its own rule for trying again, whichever provider states it and however. cause
// is as in [Target.Fail].
func (t Target) Refused(r Refusal, cause error) *Error {
	reason, quota := r.details()
	e := t.Fail(Problem{}, cause)
	e.Status, e.Reason = r.Status, cmp.Or(reason, Code(r.Code), Code(r.Kind))
	e.RetryAfter = cmp.Or(quota.wait, r.RetryAfter, waitIn(r.Message))
	e.said = said(r.Message, t.Secret)
	p, permanent := t.kind(&r, e, quota)
	e.Problem, e.Remedy, e.permanent = p.Text, p.Remedy, permanent
	return e
}

// kind tells what r is, and whether trying again is of no use whatever its status.
func (t Target) kind(r *Refusal, e *Error, quota quota) (p Problem, permanent bool) {
	says := func(known ...string) bool { return r.says(known...) }
	switch {
	case says(tooLong...):
		return TooLong, true
	case says("output blocked by content filtering"): // Anthropic
		return Problem{"the provider blocked the answer", "its content policy forbids this content: use another document or model"}, true
	case says("content_filter", "content_policy_violation", "data_inspection_failed", "sensitive content", "input was flagged"):
		return Problem{"the provider blocked the prompt", "its content policy forbids this content: use another document or model"}, true
	case says("requires --jinja"):
		return Problem{"the server takes no tools", "start llama.cpp's server with --jinja"}, true
	case says("requires --enable-auto-tool-choice"):
		return Problem{"the server takes no tools", "start vLLM with --enable-auto-tool-choice and --tool-call-parser"}, true
	case says(noTools...):
		return Problem{"the model takes no tools", "use a model that can call tools"}, true
	case (r.Status == http.StatusBadRequest || r.Status == 0) && says(wrongKey...), says("key was reported as leaked"):
		return t.Status(http.StatusUnauthorized), true
	case says("unsupported_country_region_territory"):
		return Problem{"the provider does not serve this region", "use another provider"}, true
	case r.Status == http.StatusNotFound && r.Page, r.Status == http.StatusMethodNotAllowed:
		return Problem{"the server has no such API at this address", "check the base URL"}, true
	case r.Status == http.StatusTooManyRequests && zeroLimit.MatchString(r.Message):
		return Problem{"there is no quota for this model", "choose another, or check plan and billing of " + t.account()}, true
	case r.Status == http.StatusPaymentRequired, !quota.named && says(noMeans...):
		return t.noMeans(), true
	case quota.daily, r.Status == http.StatusTooManyRequests && says("requests per day", "tokens per day", "daily limit", "daily quota"):
		return Problem{"the quota of the day is used up", "go on tomorrow, or raise the quota of " + t.account()}, true
	case r.Status == http.StatusTooManyRequests && e.RetryAfter > 0:
		p = t.Status(r.Status)
		p.Remedy = "wait " + (e.RetryAfter + time.Second - 1).Truncate(time.Second).String() + strings.TrimPrefix(p.Remedy, "wait")
		return p, false
	case says("roles must alternate", "is not supported", "not supported by"):
		return t.Status(cmp.Or(min(r.Status, 499), http.StatusBadRequest)), r.Status >= 500 // another request would be answered
	case r.Status == 0:
		return t.Status(http.StatusInternalServerError), false
	}
	return t.Status(r.Status), false
}

// says reports whether r holds one of known: one word is a code, as it is; several
// are a phrase of the message, in which "*" stands for anything.
func (r *Refusal) says(known ...string) bool {
	// A message that quotes the conversation could hold a phrase by chance further on.
	const most = 512
	message := strings.ToLower(r.Message[:min(len(r.Message), most)])
	for _, k := range known {
		if r.Code == k || r.Kind == k {
			return true
		}
		if !strings.Contains(k, " ") {
			continue
		}
		rest, found := message, true
		for fragment := range strings.SplitSeq(k, "*") {
			_, rest, found = strings.Cut(rest, fragment)
			if !found {
				break
			}
		}
		if found {
			return true
		}
	}
	return false
}

var (
	// tooLong is what servers write when a prompt does not fit.
	tooLong = []string{
		"context_length_exceeded", "exceed_context_size_error", // OpenAI, llama.cpp: as codes, with 400 or 500
		"1261",                    // GLM
		"maximum context length",  // OpenAI before its code, vLLM to 0.15, LiteLLM, Mistral
		"model's context length",  // vLLM from 0.16, Together, SGLang
		"longer than the model's", // SGLang
		"longer than the maximum model length",
		"exceeds model's maximum context",
		"exceeds the available context size", // llama.cpp
		"greater than the context length",    // LM Studio
		"exceeds the context window",         // OpenAI, Responses
		"context window exceeds",             // MiniMax
		"exceed context limit",
		"exceeded max context length", // Ollama
		"maximum prompt length is",    // xAI
		"exceeded model token limit",  // Kimi
		"prompt is too long",          // Anthropic
		"prompt too long",
		"prompt exceeds max length",
		"input is too long", // Bedrock
		"exceeds the maximum allowed input length",
		"range of input length should be",    // DashScope
		"input token count*exceeds the maxi", // Gemini
		"exceeds*maximum number of tokens",   // Gemini on Vertex AI
	}
	noTools = []string{
		"does not support tool", "tool use is not supported", "tools is not supported", "tools are not supported", "support tool use", "does not support function",
		"function calling is not enabled", "tool calling is not supported", "tool choice is not supported",
	}
	wrongKey = []string{
		"API_KEY_INVALID", "invalid_api_key", "no_db_connection", // the last: LiteLLM without its database knows one key alone
		"api key not valid", "invalid api key", "incorrect api key", "api key expired",
	}
	noMeans = []string{
		"insufficient_quota", "exceeded_current_quota_error", "billing_not_active", "Arrearage",
		"insufficient balance", "credit balance is too low", "check your plan and billing",
		"reached your specified api usage limits", // Anthropic
	}
	// zeroLimit is how Google says that a plan does not have a model at all, with a
	// wait that would be in vain.
	zeroLimit = regexp.MustCompile(`\blimit: 0(?:[,\s]|$)`)
)

// quota is what Google's details say of one.
type quota struct {
	wait  time.Duration
	daily bool
	named bool // it comes back by itself, though the text speaks of plan and billing
}

// details reads what Google says besides: the reason, and which quota is used up.
func (r *Refusal) details() (reason string, q quota) {
	for _, d := range r.Details {
		if s, ok := d["reason"].(string); ok {
			reason = Code(s)
			if reason == "API_KEY_INVALID" {
				r.Kind = reason
			}
		}
		if s, ok := d["retryDelay"].(string); ok {
			s, err := strconv.ParseFloat(strings.TrimSuffix(s, "s"), 64)
			if err == nil || errors.Is(err, strconv.ErrRange) { // beyond it lies infinity, which is long
				q.wait = peer.Seconds(s)
			}
		}
		violations, _ := d["violations"].([]any)
		for _, v := range violations {
			if v, ok := v.(map[string]any); ok {
				id, _ := v["quotaId"].(string)
				q.daily = q.daily || strings.Contains(id, "PerDay")
				q.named = q.named || strings.Contains(id, "Per")
			}
		}
	}
	q.named = q.named || q.wait > 0
	return reason, q
}

var waits = regexp.MustCompile(`(?i)(?:try again|retry) (?:in|after) ((?:[0-9]+(?:\.[0-9]+)?(?:h|ms|m|s))+)`)

// waitIn finds a wait that a message names, as OpenAI's, Groq's and Google's do.
func waitIn(message string) time.Duration {
	m := waits.FindStringSubmatch(message)
	if m == nil {
		return 0
	}
	wait, err := time.ParseDuration(m[1])
	if err != nil {
		return peer.MaxRetryAfter // it is of the form, so it is too long for one
	}
	return min(wait, peer.MaxRetryAfter)
}

// keys are credentials of the forms that providers give out.
var keys = regexp.MustCompile(`(?i)(\b(?:sk|pk|gsk|xai|AIza|ya29|AQ)[-_.][A-Za-z0-9_.-]{8,}|AIza[A-Za-z0-9_-]{20,}|bearer +[^ "]+)`)

// said makes a provider's text fit for a log: see [Error.Said].
func said(message string, key secret.String) secret.String {
	if k := key.Reveal(); k != "" {
		message = strings.ReplaceAll(message, k, "[key]")
	}
	return secret.New(peer.Clean(keys.ReplaceAllString(message, "[key]"), 500))
}
