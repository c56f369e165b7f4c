package gemini

import (
	"cmp"
	"context"
	"errors"
	"net/http"

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
	seen := x.Seen()
	if seen.Err != nil {
		err = seen.Err // genai saw only where the body ended
	}
	answer, ok := errors.AsType[genai.APIError](err)
	page := false
	if seen.Status >= 300 { // genai takes errors of a few forms alone
		ok, answer, page = true, genai.APIError{}, true
		var problem members
		if strictjson.Unmarshal(seen.Problem, &problem) == nil && problem["error"] != nil {
			answer, page = readError(problem["error"]), false
		}
		answer.Code = seen.Status
	}
	if !ok {
		return to.Unanswered(x, err)
	}
	kind := provider.Code(answer.Status)
	r := provider.Refusal{Status: answer.Code, Kind: kind, Message: answer.Message, Details: answer.Details, RetryAfter: seen.RetryAfter, Page: page}
	e := to.Refused(r, genai.APIError{Code: answer.Code, Status: kind})
	if !r.Page || e.Status != http.StatusNotFound {
		a.reword(to, e)
	}
	return e
}

// reword puts what Google's statuses mean at Google.
func (a *attempt) reword(to provider.Target, e *provider.Error) {
	var p provider.Problem
	vertex := a.backend == genai.BackendVertexAI
	switch {
	case vertex && e.Status == http.StatusUnauthorized:
		p = provider.Problem{Text: "the access token was refused", Remedy: tokenless.Remedy}
	case vertex && e.Status == http.StatusForbidden:
		p = provider.Problem{Text: "the credentials may not use this model", Remedy: "check the project, that its Vertex AI API is enabled, and the role of the credentials"}
	case e.Status == http.StatusNotFound:
		p = provider.Problem{Text: "there is no such model", Remedy: "choose another name, for example gemini/" + DefaultModel}
	case e.Reason == "FAILED_PRECONDITION":
		p = provider.Problem{Text: "the provider does not serve this project or region", Remedy: "check billing and region of " + cmp.Or(to.Account, "the project behind "+to.Key)}
	default:
		return
	}
	e.Problem, e.Remedy = p.Text, p.Remedy
}
