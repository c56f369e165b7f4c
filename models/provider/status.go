package provider

import (
	"net/http"
	"strings"
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
)

// Status words an HTTP status that is no success, for t. reason is the provider's
// code or empty. A provider whose statuses mean something of their own decides
// about those first and asks here for the rest.
func (t Target) Status(status int, reason string) Problem {
	switch {
	case status == http.StatusUnauthorized:
		return Problem{"the API key was refused", "check the key" + t.inKey()}
	case status == http.StatusForbidden:
		return Problem{"the API key may not use this model", "check the key" + t.inKey() + " and what its project is allowed"}
	case status == http.StatusNotFound:
		return Problem{"there is no such model", "choose another name"}
	case reason == reasonNoQuota, status == http.StatusPaymentRequired:
		return Problem{"the quota is used up", "check plan and billing of the account behind " + t.account()}
	case status == http.StatusTooManyRequests:
		return Problem{"too many requests", "wait, or raise the rate limit of the account behind " + t.account()}
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

// inKey names the key's variable within a sentence.
func (t Target) inKey() string {
	if t.Key == "" {
		return ""
	}
	return " in " + t.Key
}

func (t Target) account() string {
	if t.Key == "" {
		return "the API key"
	}
	return t.Key
}

// tooLongCodes are codes and types of errors for a conversation that does not fit:
// OpenAI's, and llama.cpp's, which it sends with 400 or 500.
var tooLongCodes = []string{"context_length_exceeded", "exceed_context_size_error"}

// tooLongPhrases are what servers without a code for it write, in lower case: all
// the fragments of one line must occur.
var tooLongPhrases = [][]string{
	{"maximum context length"},                // OpenAI before it had the code, vLLM to 0.15, LiteLLM
	{"model's context length is"},             // vLLM from 0.16
	{"longer than the model's context"},       // SGLang
	{"longer than the maximum model length"},  // vLLM
	{"exceeds the available context size"},    // llama.cpp
	{"greater than the context length"},       // LM Studio
	{"exceeds the context window"},            // OpenAI, Responses
	{"input token count", "exceeds the maxi"}, // Gemini
	{"exceeds", "maximum number of tokens"},   // Gemini on Vertex AI
}

// ContextTooLong reports whether an error of a provider means that the conversation
// does not fit the model. code and kind are the error's code and type, message its
// text, which is looked at for known phrases and never repeated.
func ContextTooLong(code, kind, message string) bool {
	for _, c := range tooLongCodes {
		if code == c || kind == c {
			return true
		}
	}
	// A message that quotes the conversation could hold a phrase by chance further on.
	const most = 512
	message = strings.ToLower(message[:min(len(message), most)])
	for _, phrase := range tooLongPhrases {
		found := true
		for _, fragment := range phrase {
			found = found && strings.Contains(message, fragment)
		}
		if found {
			return true
		}
	}
	return false
}
