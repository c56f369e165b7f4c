package provider_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

// What providers say when a prompt does not fit, each in its own words.
func TestTooLongInEveryWording(t *testing.T) {
	for who, r := range map[string]provider.Refusal{
		"OpenAI, by code":     {Status: 400, Code: "context_length_exceeded"},
		"OpenAI":              {Status: 400, Message: "This model's maximum context length is 8192 tokens. However, you requested 9001 tokens"},
		"OpenAI, Responses":   {Status: 400, Message: "Your input exceeds the context window of this model. Please adjust your input and try again."},
		"vLLM":                {Status: 400, Kind: "BadRequestError", Message: "You passed 9001 input tokens and requested 10 output tokens. However, the model's context length is only 8192 tokens"},
		"vLLM, in brackets":   {Status: 400, Message: "Input length (9001) exceeds model's maximum context length (8192)."},
		"llama.cpp, with 500": {Status: 500, Kind: "exceed_context_size_error", Message: "the request exceeds the available context size. try increasing the context size"},
		"LM Studio":           {Status: 400, Message: "Trying to keep the first 5000 tokens when the number of tokens to keep from the initial prompt is greater than the context length."},
		"Gemini":              {Status: 400, Message: "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."},
		"Anthropic":           {Status: 400, Message: "prompt is too long: 9001 tokens > 8192 maximum"},
		"Kimi":                {Status: 400, Message: "Your request exceeded model token limit: 8192 (requested: 9001)"},
		"xAI":                 {Status: 400, Message: "This model's maximum prompt length is 8192 but the request contains 9001 tokens."},
		"GLM":                 {Status: 400, Code: "1261", Message: "Prompt exceeds max length"},
		"Mistral":             {Status: 400, Message: "Prompt contains 9001 tokens and 0 draft tokens, too large for model with 8192 maximum context length"},
		"Poolside":            {Status: 400, Message: "Input length 9001 exceeds the maximum allowed input length of 8192 tokens."},
		"Together":            {Status: 422, Message: "The input (9001 tokens) is longer than the model's context length (8192 tokens)."},
		"Bedrock":             {Status: 400, Message: "Input is too long for requested model."},
		"DashScope":           {Status: 400, Message: "Range of input length should be [1, 8192]"},
		"MiniMax":             {Status: 400, Message: "invalid params, context window exceeds limit (2013)"},
		"Ollama":              {Status: 400, Message: "prompt too long; exceeded max context length by 809 tokens"},
		"with the bound":      {Status: 400, Message: "input length and max_tokens exceed context limit: 9001 + 1000 > 8192, decrease input length or max_tokens and try again"},
	} {
		e := target.Refused(r, nil)
		if _, again := e.Temporary(); e.Problem != provider.TooLong.Text || e.Remedy != provider.TooLong.Remedy || again {
			t.Errorf("%s: %v, tried again: %v", who, e, again)
		}
	}
}

func TestKindsOfRefusals(t *testing.T) {
	google := func(quota, delay string) []map[string]any {
		return []map[string]any{
			{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []any{map[string]any{"quotaId": quota}}},
			{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
		}
	}
	for _, tt := range []struct {
		name  string
		r     provider.Refusal
		want  string
		again bool
		wait  time.Duration
	}{
		{"a wrong key", provider.Refusal{Status: 401, Code: "invalid_api_key"}, "the API key was refused (401 invalid_api_key): check the key in ACME_KEY", false, 0},
		{"a wrong key, Google", provider.Refusal{Status: 400, Kind: "INVALID_ARGUMENT", Details: []map[string]any{{"reason": "API_KEY_INVALID"}}}, "the API key was refused (400 API_KEY_INVALID): check the key in ACME_KEY", false, 0},
		{"a wrong key, LiteLLM", provider.Refusal{Status: 400, Kind: "no_db_connection"}, "the API key was refused (400 no_db_connection): check the key in ACME_KEY", false, 0},
		{"no means", provider.Refusal{Status: 429, Code: "insufficient_quota"}, "the quota is used up (429 insufficient_quota): check plan and billing of the account behind ACME_KEY", false, 0},
		{"no means, Anthropic", provider.Refusal{Status: 400, Message: "Your credit balance is too low to access the API."}, "the quota is used up (400): check plan and billing of the account behind ACME_KEY", false, 0},
		{"a quota by the minute", provider.Refusal{Status: 429, Kind: "RESOURCE_EXHAUSTED", Details: google("GenerateRequestsPerMinutePerProject", "36.4s")}, "too many requests (429 RESOURCE_EXHAUSTED): wait 37s, or raise the rate limit of the account behind ACME_KEY", true, 36400 * time.Millisecond},
		{"a quota by the minute that speaks of billing", provider.Refusal{Status: 429, Kind: "RESOURCE_EXHAUSTED", Message: "You exceeded your current quota, please check your plan and billing details.", Details: google("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "7s")}, "too many requests (429 RESOURCE_EXHAUSTED): wait 7s, or raise the rate limit of the account behind ACME_KEY", true, 7 * time.Second},
		{"no quota named", provider.Refusal{Status: 429, Message: "You exceeded your current quota, please check your plan and billing details."}, "the quota is used up (429): check plan and billing of the account behind ACME_KEY", false, 0},
		{"a day that speaks of billing", provider.Refusal{Status: 429, Message: "please check your plan and billing details", Details: google("GenerateRequestsPerDayPerProject", "7s")}, "the quota of the day is used up (429): go on tomorrow, or raise the quota of the account behind ACME_KEY", false, 7 * time.Second},
		{"a wait beyond what there is", provider.Refusal{Status: 429, Details: google("PerMinute", "99999999999999s")}, "too many requests (429): wait 24h0m0s, or raise the rate limit of the account behind ACME_KEY", true, 24 * time.Hour},
		{"a wait in words beyond what there is", provider.Refusal{Status: 429, Message: "Retry after 99999999999h."}, "too many requests (429): wait 24h0m0s, or raise the rate limit of the account behind ACME_KEY", true, 24 * time.Hour},
		{"a wait that is none", provider.Refusal{Status: 429, Message: "Retry after 1.2.3s.", Details: google("PerMinute", "-5s")}, "too many requests (429): wait, or raise the rate limit of the account behind ACME_KEY", true, 0},
		{"a quota by the day", provider.Refusal{Status: 429, Kind: "RESOURCE_EXHAUSTED", Details: google("GenerateRequestsPerDayPerProject", "1s")}, "the quota of the day is used up (429 RESOURCE_EXHAUSTED): go on tomorrow, or raise the quota of the account behind ACME_KEY", false, time.Second},
		{"a quota by the day, in words", provider.Refusal{Status: 429, Message: "Rate limit reached on tokens per day (TPD): Limit 100000. Please try again in 7m2.5s."}, "the quota of the day is used up (429): go on tomorrow, or raise the quota of the account behind ACME_KEY", false, 422500 * time.Millisecond},
		{"a wait in words", provider.Refusal{Status: 429, Message: "Please try again in 20s."}, "too many requests (429): wait 20s, or raise the rate limit of the account behind ACME_KEY", true, 20 * time.Second},
		{"too many requests", provider.Refusal{Status: 429}, "too many requests (429): wait, or raise the rate limit of the account behind ACME_KEY", true, 0},
		{"no tools", provider.Refusal{Status: 400, Message: "registry.x.test/m does not support tools"}, "the model takes no tools (400): use a model that can call tools", false, 0},
		{"no tools, OpenRouter", provider.Refusal{Status: 404, Message: "No endpoints found that support tool use."}, "the model takes no tools (404): use a model that can call tools", false, 0},
		{"no tools, llama.cpp", provider.Refusal{Status: 500, Message: "tools param requires --jinja flag"}, "the server takes no tools (500): start llama.cpp's server with --jinja", false, 0},
		{"no tools, vLLM", provider.Refusal{Status: 400, Message: `"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set`}, "the server takes no tools (400): start vLLM with --enable-auto-tool-choice and --tool-call-parser", false, 0},
		{"what is never done, as 500", provider.Refusal{Status: 500, Message: "image input is not supported"}, "the provider refused the request (500): try another model than small", false, 0},
		{"a filter", provider.Refusal{Status: 400, Code: "content_filter"}, "the provider blocked the prompt (400 content_filter): its content policy forbids this content: use another document or model", false, 0},
		{"a filter of what is answered, Anthropic", provider.Refusal{Status: 400, Kind: "invalid_request_error", Message: "Output blocked by content filtering policy"}, "the provider blocked the answer (400 invalid_request_error): its content policy forbids this content: use another document or model", false, 0},
		{"a filter, OpenRouter", provider.Refusal{Status: 403, Code: "403", Message: "m requires moderation on P. Your input was flagged for \"x\"."}, "the provider blocked the prompt (403): its content policy forbids this content: use another document or model", false, 0},
		{"a region", provider.Refusal{Status: 403, Code: "unsupported_country_region_territory"}, "the provider does not serve this region (403 unsupported_country_region_territory): use another provider", false, 0},
		{"a leaked key, Google", provider.Refusal{Status: 403, Kind: "PERMISSION_DENIED", Message: "Your API key was reported as leaked. Please use another API key."}, "the API key was refused (403 PERMISSION_DENIED): check the key in ACME_KEY", false, 0},
		{"no quota at all, Google", provider.Refusal{Status: 429, Kind: "RESOURCE_EXHAUSTED", Message: "Quota exceeded for metric: m, limit: 0, model: x", Details: google("PerMinute", "36s")}, "there is no quota for this model (429 RESOURCE_EXHAUSTED): choose another, or check plan and billing of the account behind ACME_KEY", false, 36 * time.Second},
		{"a limit that is not 0", provider.Refusal{Status: 429, Message: "Quota exceeded for metric: m, limit: 0.5"}, "too many requests (429): wait, or raise the rate limit of the account behind ACME_KEY", true, 0},
		{"limits of one's own, Anthropic", provider.Refusal{Status: 400, Message: "You have reached your specified API usage limits. You will regain access on 2026-12-01."}, "the quota is used up (400): check plan and billing of the account behind ACME_KEY", false, 0},
		{"a page", provider.Refusal{Status: 404, Page: true}, "the server has no such API at this address (404): check the base URL", false, 0},
		{"a wrong method", provider.Refusal{Status: 405}, "the server has no such API at this address (405): check the base URL", false, 0},
		{"a proxy's login", provider.Refusal{Status: 407}, "the proxy wants a login (407): put user and password into HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT", false, 0},
		{"overloaded", provider.Refusal{Status: 529, Kind: "overloaded_error"}, "the provider failed (529 overloaded_error): try again later", true, 0},
		{"within an answer", provider.Refusal{Message: poison}, "the provider failed: try again later", false, 0},
		{"anything", provider.Refusal{Status: 400, Message: poison, Code: "free text " + poison}, "the provider refused the request (400): try another model than small", false, 0},
		{"a number in a message is no code", provider.Refusal{Status: 400, Message: "requested 1261 tokens"}, "the provider refused the request (400): try another model than small", false, 0},
		{"a bound that is no context", provider.Refusal{Status: 400, Message: "Invalid value: '4097'. max_tokens exceeds the maximum of 4096."}, "the provider refused the request (400): try another model than small", false, 0},
		{"deep in a quoted document", provider.Refusal{Status: 400, Message: strings.Repeat("x ", 600) + " maximum context length"}, "the provider refused the request (400): try another model than small", false, 0},
	} {
		e := target.Refused(tt.r, nil)
		if got := e.Error(); got != "models: acme/small: "+tt.want {
			t.Errorf("%s: %s", tt.name, got)
		}
		if wait, again := e.Temporary(); again != tt.again || wait != tt.wait {
			t.Errorf("%s: tried again %v after %s, want %v after %s", tt.name, again, wait, tt.again, tt.wait)
		}
		noPoison(t, tt.name, e)
	}
}

// What a provider says is there for whoever debugs, without the key; it is in no
// print of the error.
func TestSaidHoldsNoKey(t *testing.T) {
	to := target
	to.Secret = secret.New("the-key-itself")
	e := to.Refused(provider.Refusal{Status: 400, Message: "no the-key-itself,\nno sk-abcdefgh12345, no Bearer abc.def; " + poison}, errors.New("x"))
	if got, want := e.Said(), "no [key], no [key], no [key] "+poison; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	noPoison(t, "said", e)
}
