package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/genai"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/models/modeltest"
	"github.com/jitagent/jitagent/models/offline"
)

// TestModelErrorsAreOneLine fails the model in every way that a provider has, over
// each wire: one line with provider, model and remedy, the documented exit code,
// and a task that is completed.
func TestModelErrorsAreOneLine(t *testing.T) {
	const key = "sk-canary-5d1c7f20b9e64a38"
	faults := map[string]struct {
		fault    modeltest.Fault
		openai   string // what is said after "analyst: openai/offline: "
		gemini   string
		claude   string
		streamed bool
	}{
		"wrong key": {
			fault:  modeltest.Status(401, "", nil),
			openai: "the API key was refused", gemini: "the API key was refused", claude: "the API key was refused",
		},
		"unknown model": {
			fault:  modeltest.Status(404, "", nil),
			openai: "there is no such model", gemini: "there is no such model", claude: "there is no such model",
		},
		"too many requests": {
			fault:  modeltest.Status(429, "", http.Header{"Retry-After": {"3600"}}),
			openai: "too many requests", gemini: "", claude: "too many requests",
		},
		"failed": {
			fault:  modeltest.Status(500, "", nil),
			openai: "the provider failed", gemini: "the provider failed", claude: "the provider failed",
		},
		"too long": {
			fault:  modeltest.Answer(400, "application/json", `{"error":{"code":"context_length_exceeded","message":"maximum context length","type":"invalid_request_error"}}`),
			openai: "the conversation is longer than the model's context",
		},
		"garbage": {
			fault:  modeltest.Answer(200, "text/html", "<html>hello</html>"),
			openai: "the answer could not be read", gemini: "",
		},
		"cut stream": {
			fault: modeltest.Cut(1), streamed: true,
			openai: "the answer broke off", gemini: "the answer broke off", claude: "the answer broke off",
		},
	}
	for name, tt := range faults {
		for provider, want := range map[string]string{"openai": tt.openai, "gemini": tt.gemini, "anthropic": tt.claude} {
			if want == "" && name != "too many requests" && name != "garbage" {
				continue
			}
			t.Run(name+" "+provider, func(t *testing.T) {
				up := modeltest.Start(t, offline.New())
				for range 8 { // retries included
					up.Next(tt.fault)
				}
				args := []string{"run", "--model", provider + "/offline", "Summarize doc_9982"}
				if tt.streamed {
					args = append(args, "--stream")
				}
				said := modelFails(t, up, key, args)
				if !strings.HasPrefix(said, "analyst: "+provider+"/offline: "+want) || !strings.Contains(said, ": ") {
					t.Errorf("said %q, want %q", said, "analyst: "+provider+"/offline: "+want)
				}
			})
		}
	}
}

// A model that ends its answer for a reason of its own has failed too. Against a limit
// another thing helps where the request set it.
func TestModelEndsAreOneLine(t *testing.T) {
	bounded, cut := []string{"--model-option", "max_tokens=100"}, "the answer was cut off at the limit of tokens (MAX_TOKENS): "
	for _, tt := range []struct {
		reason          genai.FinishReason
		args, providers []string
		want            string
	}{
		{genai.FinishReasonMaxTokens, nil, []string{"openai", "gemini"}, cut + "give the server a longer context"},
		{genai.FinishReasonMaxTokens, nil, []string{"anthropic"}, cut + "raise max_tokens"}, // the API demands a bound
		{genai.FinishReasonMaxTokens, bounded, []string{"openai", "gemini", "anthropic"}, cut + "raise max_tokens"},
		{genai.FinishReasonSafety, nil, []string{"openai", "gemini", "anthropic"}, "the model refused to answer (SAFETY): word the request differently"},
		{"A_REASON_OF_TOMORROW", nil, []string{"openai", "gemini"}, "the model broke the answer off (A_REASON_OF_TOMORROW): "}, // the server has no such word for anthropic
	} {
		for _, provider := range tt.providers {
			t.Run(fmt.Sprint(tt.reason, " ", provider, " ", tt.args), func(t *testing.T) {
				up := modeltest.Start(t, modeltest.NewScript(modeltest.Turn{Texts: []string{"half of it"}, FinishReason: tt.reason}))
				said := modelFails(t, up, "", append([]string{"run", "--model", provider + "/scripted", "hello"}, tt.args...))
				if want := "analyst: " + provider + "/scripted: " + tt.want; !strings.HasPrefix(said, want) {
					t.Errorf("said %q, want %q", said, want)
				}
			})
		}
	}
}

// modelFails runs the command against up and returns the line in which it fails.
func modelFails(t *testing.T, up *modeltest.Upstream, key string, args []string) string {
	t.Helper()
	env := map[string]string{
		"OPENAI_BASE_URL": up.OpenAIURL(), "OPENAI_API_KEY": key, "GOOGLE_GEMINI_BASE_URL": up.GeminiURL(), "GOOGLE_API_KEY": key,
		"ANTHROPIC_BASE_URL": up.AnthropicURL(), "ANTHROPIC_API_KEY": key,
	}
	if key == "" {
		env["GOOGLE_API_KEY"] = "none"
	}
	var stdout, stderr strings.Builder
	code := run(t.Context(), args, private(t, env), strings.NewReader(""), &stdout, &stderr)
	if code != cli.ExitFailed || !strings.Contains(stderr.String(), " completed, ") {
		t.Errorf("exit %d, want %d and a completed task:\n%s", code, cli.ExitFailed, stderr.String())
	}
	if key != "" && strings.Contains(stdout.String()+stderr.String(), key) {
		t.Errorf("the key is in the output:\n%s", stderr.String())
	}
	var said []string
	for line := range strings.Lines(stderr.String()) {
		if strings.HasPrefix(line, "analyst: ") && !strings.HasPrefix(line, "analyst: embedded servers") {
			said = append(said, strings.TrimSuffix(line, "\n"))
		}
	}
	if len(said) != 1 {
		t.Fatalf("said %q, want one line", said)
	}
	return said[0]
}
