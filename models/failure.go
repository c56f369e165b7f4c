package models

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"syscall"
	"time"

	"google.golang.org/genai"
)

// A CallError is a call that a provider did not answer. It holds nothing that the
// provider wrote but a status code and a reason from a fixed alphabet, because
// providers echo keys and prompts in their messages.
type CallError struct {
	Provider string
	Model    string
	// Status is the HTTP status, 0 when there was no answer.
	Status int
	// Reason is the provider's code, such as RESOURCE_EXHAUSTED; empty when it gave
	// none.
	Reason string
	// Problem and Remedy say what happened and what to do, for people.
	Problem string
	Remedy  string
	// RetryAfter is the wait that the provider asked for, 0 when it asked for none.
	RetryAfter time.Duration
}

// Error is one line.
func (e *CallError) Error() string {
	var code string
	switch {
	case e.Status != 0 && e.Reason != "":
		code = fmt.Sprintf(" (%d %s)", e.Status, e.Reason)
	case e.Status != 0:
		code = fmt.Sprintf(" (%d)", e.Status)
	case e.Reason != "":
		code = " (" + e.Reason + ")"
	}
	return fmt.Sprintf("models: %s/%s: %s%s: %s", e.Provider, e.Model, e.Problem, code, e.Remedy)
}

// Temporary reports whether the same call may succeed later, and the least wait
// before it (0 when the provider named none).
func (e *CallError) Temporary() (time.Duration, bool) {
	return e.RetryAfter, e.Status == http.StatusTooManyRequests || e.Status >= 500
}

// problem is what people are told about a failure.
type problem struct{ text, remedy string }

func (g *gemini) failure(name string, p problem) *CallError {
	return &CallError{Provider: "gemini", Model: shorten(name), Problem: p.text, Remedy: p.remedy}
}

func (g *gemini) blocked(name, reason string) *CallError {
	e := g.failure(name, problem{"the provider blocked the prompt", "its safety policy forbids this content: use another document or model"})
	e.Reason = code(reason)
	return e
}

// explain turns what genai returned into a CallError. A context's end stays what
// it is.
func (g *gemini) explain(ctx context.Context, name string, err error) error {
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("models: gemini/%s: %w", shorten(name), cause)
	}
	if answer, ok := errors.AsType[genai.APIError](err); ok {
		reason := code(answer.Status)
		for _, detail := range answer.Details {
			if r, ok := detail["reason"].(string); ok && code(r) != "" {
				reason = code(r)
			}
		}
		e := g.failure(name, g.statusProblem(name, answer.Code, reason))
		e.Status, e.Reason = answer.Code, reason
		e.RetryAfter = retryDelay(answer.Details)
		return e
	}
	return g.failure(name, g.networkProblem(err))
}

// statusProblem words an HTTP status. Google answers a wrong key with 400.
func (g *gemini) statusProblem(name string, status int, reason string) problem {
	switch {
	case reason == "API_KEY_INVALID", status == http.StatusUnauthorized:
		return problem{"the API key was refused", "check the key in " + g.key}
	case status == http.StatusForbidden:
		return problem{"the API key may not use this model", "check the key in " + g.key + " and what its project is allowed"}
	case status == http.StatusNotFound:
		return problem{"there is no such model", "choose another name, for example gemini/" + DefaultGemini}
	case status == http.StatusTooManyRequests:
		return problem{"the quota is used up", "wait, or raise the quota of the project behind " + g.key}
	case reason == "FAILED_PRECONDITION":
		return problem{"the provider does not serve this project or region", "check billing and region of the project behind " + g.key}
	case status == http.StatusRequestEntityTooLarge:
		return problem{"the request is too large", "use a shorter document or conversation"}
	case status >= 300 && status < 400:
		return problem{"the server answered with a redirect, which is not followed", "check the base URL"}
	case status >= 500, status == http.StatusRequestTimeout:
		return problem{"the provider failed", "try again later"}
	case status >= 400:
		return problem{"the provider refused the request", "try another model than " + shorten(name)}
	}
	return problem{"the answer could not be read", "check the base URL"}
}

// networkProblem words an error that came without an answer.
func (g *gemini) networkProblem(err error) problem {
	to := "no connection to " + g.host
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return problem{to + ": the host name was not found", "check the network"}
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return problem{to + ": its certificate is not trusted", "check the base URL and the system's certificates"}
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return problem{to + ": connection refused", "check the network and proxy settings"}
	}
	if errors.Is(err, errBodyTooLarge) {
		return problem{fmt.Sprintf("the answer is over %d MiB", maxBody>>20), "ask for less"}
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return problem{to, "check the network and proxy settings"}
	}
	return problem{"the answer could not be read", "try again; if it stays so, check the base URL"}
}

var codes = regexp.MustCompile(`^[A-Z][A-Z_]{0,63}$`)

// code returns s when it is one of the provider's codes, and "" for free text.
func code(s string) string {
	if codes.MatchString(s) {
		return s
	}
	return ""
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
