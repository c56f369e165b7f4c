package gemini

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/models/provider"
)

// levels are the thinking levels by the setting's word.
var levels = map[string]genai.ThinkingLevel{
	"minimal": genai.ThinkingLevelMinimal, "low": genai.ThinkingLevelLow, "medium": genai.ThinkingLevelMedium, "high": genai.ThinkingLevelHigh,
}

func blocked(to provider.Target, reason string) error {
	e := to.Fail(provider.Problem{Text: "the provider blocked the prompt", Remedy: "its safety policy forbids this content: use another document or model"}, nil)
	e.Reason = provider.Code(reason)
	return e
}

// explain turns what genai returned into a [provider.Error]. A context's end stays
// what it is.
func (a *attempt) explain(ctx context.Context, to provider.Target, x *provider.Exchange, err error) error {
	if ended := to.Ended(ctx); ended != nil {
		return ended
	}
	if errors.Is(err, errNoToken) {
		return to.Fail(tokenless, errNoToken)
	}
	answer, ok := errors.AsType[genai.APIError](err)
	if cause := x.Err(); cause != nil && !ok {
		err = cause // genai saw only where the body ended
	}
	if !ok {
		return to.Unanswered(err)
	}
	reason := provider.Code(answer.Status)
	for _, detail := range answer.Details {
		if r, ok := detail["reason"].(string); ok && provider.Code(r) != "" {
			reason = provider.Code(r)
		}
	}
	e := to.Fail(a.status(to, answer.Code, reason, answer.Message), genai.APIError{Code: answer.Code, Status: reason})
	e.Status, e.Reason = answer.Code, reason
	e.RetryAfter = cmp.Or(retryDelay(answer.Details), x.RetryAfter())
	return e
}

// status words an HTTP status. Google answers a wrong key with 400.
func (a *attempt) status(to provider.Target, status int, reason, message string) provider.Problem {
	behind := "the project behind " + to.Key
	if a.backend == genai.BackendVertexAI {
		behind = "the Google Cloud project"
	}
	switch {
	case status == http.StatusBadRequest && provider.ContextTooLong("", "", message):
		return provider.TooLong
	case a.backend == genai.BackendVertexAI && status == http.StatusUnauthorized:
		return provider.Problem{Text: "the access token was refused", Remedy: tokenless.Remedy}
	case a.backend == genai.BackendVertexAI && status == http.StatusForbidden:
		return provider.Problem{Text: "the credentials may not use this model", Remedy: "check the project, that its Vertex AI API is enabled, and the role of the credentials"}
	case reason == "API_KEY_INVALID":
		return to.Status(http.StatusUnauthorized, reason)
	case status == http.StatusNotFound:
		return provider.Problem{Text: "there is no such model", Remedy: "choose another name, for example gemini/" + DefaultModel}
	case status == http.StatusTooManyRequests:
		return provider.Problem{Text: "the quota is used up", Remedy: "wait, or raise the quota of " + behind}
	case reason == "FAILED_PRECONDITION":
		return provider.Problem{Text: "the provider does not serve this project or region", Remedy: "check billing and region of " + behind}
	}
	return to.Status(status, reason)
}

// retryDelay finds google.rpc.RetryInfo among the details of an error.
func retryDelay(details []map[string]any) time.Duration {
	for _, detail := range details {
		if s, ok := detail["retryDelay"].(string); ok {
			if d, err := time.ParseDuration(s); err == nil && d > 0 {
				return d
			}
		}
	}
	return 0
}

// blockReason returns why the provider blocked the prompt, and "" when it did not.
// ADK's adapter reports an answer without candidates as empty and drops
// promptFeedback, which says why. head is the beginning of a unary answer; a
// blocked one is a few hundred bytes.
func blockReason(head []byte) string {
	var answer struct {
		Candidates     []any `json:"candidates"`
		PromptFeedback struct {
			BlockReason string `json:"blockReason"`
		} `json:"promptFeedback"`
	}
	if strictjson.Unmarshal(head, &answer) != nil || len(answer.Candidates) > 0 {
		return ""
	}
	return answer.PromptFeedback.BlockReason
}
