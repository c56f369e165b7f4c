package models_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models"
	"github.com/jitagent/jitagent/models/gemini"
	"github.com/jitagent/jitagent/models/openai"
	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

// canary is a key that must appear nowhere but in a request's header.
const canary = "AIzaCanaryCanaryCanary123"

func env(pairs ...string) func(string) string {
	m := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func TestOpenFails(t *testing.T) {
	const names = "offline, gemini, gemini/NAME, openai, openai/NAME, azure/DEPLOYMENT, anthropic or anthropic/NAME"
	with := func(pairs ...string) models.Options { return models.Options{Getenv: env(pairs...)} }
	set := func(key, value string, pairs ...string) models.Options {
		return models.Options{Getenv: env(pairs...), Settings: map[string]string{key: value}}
	}
	tests := []struct {
		name string
		opts models.Options
		want string
	}{
		{"", models.Options{}, `models: unknown model "": use ` + names},
		{"nobody/x", models.Options{}, `models: unknown model "nobody/x": use ` + names},
		{"claude/x", models.Options{}, `models: unknown model "claude/x": did you mean "anthropic/x"? Or use ` + names},
		{"claude-x", models.Options{}, `models: unknown model "claude-x": did you mean "anthropic/claude-x"? Or use ` + names},
		{"gpt-5-mini", models.Options{}, `models: unknown model "gpt-5-mini": did you mean "openai/gpt-5-mini"? Or use ` + names},
		{"gemini-x", models.Options{}, `models: unknown model "gemini-x": did you mean "gemini/gemini-x"? Or use ` + names},
		{"Gemini", models.Options{}, `models: unknown model "Gemini": did you mean "gemini"? Or use ` + names},
		{"opnai/x", models.Options{}, `models: unknown model "opnai/x": did you mean "openai/x"? Or use ` + names},
		{"offlin", models.Options{}, `models: unknown model "offlin": did you mean "offline"? Or use ` + names},
		{strings.Repeat("x", 200), models.Options{}, `models: unknown model "` + strings.Repeat("x", 64) + `...": use ` + names},
		{"offline/small", models.Options{}, `models: offline takes no model name: use "offline"`},
		{"offline", models.Options{BaseURL: "https://x.test"}, `models: offline works in this process and takes no base URL`},
		{"gemini", models.Options{Getenv: env()}, `models: gemini needs an API key: set GOOGLE_API_KEY or GEMINI_API_KEY`},
		{"gemini", models.Options{Getenv: env("GEMINI_API_KEY", "  \n")}, `models: gemini needs an API key: set GOOGLE_API_KEY or GEMINI_API_KEY`},
		{"gemini", models.Options{Getenv: env("GEMINI_API_KEY", canary+"\n"+canary)}, `models: GEMINI_API_KEY holds a character that no API key has: set it again`},
		{"gemini/", models.Options{Getenv: env("GEMINI_API_KEY", canary)}, `models: malformed model name "gemini/": use a name such as "gemini/gemini-3.5-flash"`},
		{"gemini/../v1/files", models.Options{Getenv: env("GEMINI_API_KEY", canary)}, `models: malformed model name "gemini/../v1/files": use a name such as "gemini/gemini-3.5-flash"`},
		{"gemini/a?key=b", models.Options{Getenv: env("GEMINI_API_KEY", canary)}, `models: malformed model name "gemini/a?key=b": use a name such as "gemini/gemini-3.5-flash"`},
		{"gemini", models.Options{Getenv: env("GEMINI_API_KEY", canary), BaseURL: "http://api.acme-corp.com"}, `models: base URL for gemini must be https, or http on loopback: the API key is sent there`},
		{"gemini", models.Options{Getenv: env("GEMINI_API_KEY", canary), BaseURL: "http://127.0.0.1.acme-corp.com"}, `models: base URL for gemini must be https, or http on loopback: the API key is sent there`},
		{"gemini", models.Options{Getenv: env("GEMINI_API_KEY", canary), BaseURL: "https://user:secret@x.test"}, `models: malformed base URL for gemini: use one such as https://host/path`},
		{"gemini", models.Options{Getenv: env("GEMINI_API_KEY", canary), BaseURL: "https://x.test?key=1"}, `models: malformed base URL for gemini: use one such as https://host/path`},
		{"gemini", models.Options{Getenv: env("GEMINI_API_KEY", canary), BaseURL: "%zz"}, `models: malformed base URL for gemini: use one such as https://host/path`},
		{"gemini", with("GEMINI_API_KEY", canary, "GOOGLE_GEMINI_BASE_URL", "http://gateway.acme-corp.com"), `models: base URL for gemini must be https, or http on loopback: the API key is sent there (in GOOGLE_GEMINI_BASE_URL)`},
		{"gemini", with("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:1"), `models: gemini needs an API key: set GOOGLE_API_KEY or GEMINI_API_KEY`},
		{"gemini", with("GOOGLE_GENAI_USE_VERTEXAI", "maybe"), `models: GOOGLE_GENAI_USE_VERTEXAI must be true or false`},
		{"gemini", with("GOOGLE_GENAI_USE_VERTEXAI", "true", "GEMINI_API_KEY", canary, "GOOGLE_CLOUD_PROJECT", "acme-corp"), `models: GOOGLE_GENAI_USE_VERTEXAI selects Vertex AI, which needs GOOGLE_CLOUD_PROJECT and GOOGLE_CLOUD_LOCATION: set both`},
		{"gemini", with("GOOGLE_GENAI_USE_VERTEXAI", "1", "GOOGLE_CLOUD_PROJECT", "acme-corp", "GOOGLE_CLOUD_LOCATION", "x.acme-corp.com/"), `models: malformed project or location for Vertex AI: use those such as acme-corp-1 and europe-west4`},
		{"gemini", with("GOOGLE_GENAI_USE_VERTEXAI", "1", "GOOGLE_CLOUD_PROJECT", "acme-corp", "GOOGLE_CLOUD_LOCATION", "eu", "GOOGLE_VERTEX_BASE_URL", "http://acme-corp.com"), `models: base URL for gemini must be https, or http on loopback: the API key is sent there (in GOOGLE_VERTEX_BASE_URL)`},
		{"gemini", models.Options{Getenv: env("GEMINI_API_KEY", canary), Settings: map[string]string{"thinking_budget": "1", "reasoning_effort": "low"}}, `models: gemini takes either reasoning_effort or thinking_budget`},
		{"gemini", set("reasoning_effort", "xhigh", "GEMINI_API_KEY", canary), `models: reasoning_effort cannot be "xhigh" for gemini: minimal, low, medium or high: how long the model thinks (Gemini 3 and later)`},
		{"gemini", set("api", "chat", "GEMINI_API_KEY", canary), `models: gemini has no setting "api": it takes temperature, top_p, max_tokens, seed, reasoning_effort, thinking_budget`},
		{"offline", set("temperature", "1"), `models: offline has no setting "temperature": it takes none`},
		{"openai", with(), `models: openai needs an API key: set OPENAI_API_KEY`},
		{"openai", with("OPENAI_BASE_URL", "https://llm.acme-corp.com/v1"), `models: openai needs an API key: set OPENAI_API_KEY`},
		{"openai", with("OPENAI_BASE_URL", "http://llm.acme-corp.com/v1", "OPENAI_API_KEY", canary), `models: base URL for openai must be https, or http on loopback: the API key is sent there (in OPENAI_BASE_URL)`},
		{"openai", with("OPENAI_BASE_URL", "https://user:secret@x.test", "OPENAI_API_KEY", canary), `models: malformed base URL for openai: use one such as https://host/path (in OPENAI_BASE_URL)`},
		{"openai/../x", with("OPENAI_API_KEY", canary), `models: malformed model name "openai/../x": use a name such as "openai/gpt-5-mini"`},
		{"openai/a//b", with("OPENAI_API_KEY", canary), `models: malformed model name "openai/a//b": use a name such as "openai/gpt-5-mini"`},
		{"openai/a b", with("OPENAI_API_KEY", canary), `models: malformed model name "openai/a b": use a name such as "openai/gpt-5-mini"`},
		{"openai", set("Temperature", "1", "OPENAI_API_KEY", canary), `models: openai has no setting "Temperature": it takes temperature, top_p, max_tokens, seed, reasoning_effort, api`},
		{"openai", set("temperature", "2.5", "OPENAI_API_KEY", canary), `models: temperature cannot be "2.5" for openai: a number from 0 to 2: how free the wording is (not for reasoning models)`},
		{"openai", set("max_tokens", "0", "OPENAI_API_KEY", canary), `models: max_tokens cannot be "0" for openai: a whole number from 1: the most tokens of an answer, reasoning included`},
		{"azure", with(), `models: azure needs a model name: use "azure/DEPLOYMENT"`},
		{"azure/a/b", with(), `models: malformed model name "azure/a/b": use a name such as "azure/DEPLOYMENT"`},
		{"azure/gpt", with("AZURE_OPENAI_API_KEY", canary), `models: azure needs its resource's address: set AZURE_OPENAI_ENDPOINT, such as https://NAME.openai.azure.com`},
		{"azure/gpt", with("AZURE_OPENAI_ENDPOINT", "https://acme-corp.openai.azure.com", "OPENAI_API_KEY", canary), `models: azure needs an API key: set AZURE_OPENAI_API_KEY`},
		{"azure/gpt", with("AZURE_OPENAI_ENDPOINT", "https://acme-corp.openai.azure.com", "AZURE_OPENAI_API_KEY", canary, "AZURE_OPENAI_API_VERSION", "a&b=c"), `models: malformed AZURE_OPENAI_API_VERSION: use one such as 2024-10-21, or unset it`},
	}
	for _, tt := range tests {
		llm, err := models.Open(t.Context(), tt.name, tt.opts)
		if err == nil || err.Error() != tt.want || llm != nil {
			t.Errorf("Open(%q) = %v, %v, want %s", tt.name, llm, err, tt.want)
		}
	}
}

// A key in the environment selects nothing: only the name does.
func TestKeysSelectNoProvider(t *testing.T) {
	asked := 0
	llm, err := models.Open(t.Context(), "offline", models.Options{Getenv: func(string) string { asked++; return canary }})
	if err != nil || llm.Name() != "offline" || asked > 0 {
		t.Errorf("Open(offline) = %v, %v after looking up %d variables", llm, err, asked)
	}
	if err := models.Check(t.Context(), llm); err != nil {
		t.Errorf("Check(offline) = %v", err)
	}
}

func TestOpenNamesTheModelAndLogsNoKey(t *testing.T) {
	var log bytes.Buffer
	opts := models.Options{Getenv: env("GEMINI_API_KEY", canary), Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	opts.Getenv = env("GEMINI_API_KEY", canary, "OPENAI_API_KEY", canary, "AZURE_OPENAI_API_KEY", canary, "AZURE_OPENAI_ENDPOINT", "https://acme-corp.openai.azure.com/")
	for name, want := range map[string]string{
		"gemini": gemini.DefaultModel, "gemini/gemini-2.5-pro": "gemini-2.5-pro",
		"openai": openai.DefaultModel, "openai/meta-llama/Llama-3.1-8B-Instruct": "meta-llama/Llama-3.1-8B-Instruct",
		"openai/hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M": "hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M",
		"openai/ft:gpt-4o-mini:acme-corp::id":                      "ft:gpt-4o-mini:acme-corp::id", "openai/qwen@q4": "qwen@q4",
		"azure/my-deployment": "my-deployment",
	} {
		llm, err := models.Open(t.Context(), name, opts)
		if err != nil {
			t.Fatal(err)
		}
		// ADK sends Name as the model's name, so it must not hold the provider.
		if llm.Name() != want {
			t.Errorf("Open(%q).Name() = %q, want %q", name, llm.Name(), want)
		}
	}
	if !strings.Contains(log.String(), "key_variable=GEMINI_API_KEY") || strings.Contains(log.String(), canary) {
		t.Errorf("log:\n%s", &log)
	}
}

func TestProvidersSayWhereDocumentsGo(t *testing.T) {
	var names []string
	for _, p := range models.Providers() {
		names = append(names, p.Name)
		leaves := p.Name != "offline"
		if p.Data == "" || leaves != strings.Contains(p.Data, "leave this machine to "+p.Host) || leaves != (p.BaseURLVariable != "") || leaves != (len(p.Settings) > 0) {
			t.Errorf("%s: host %q, data %q", p.Name, p.Host, p.Data)
		}
		for _, s := range p.Settings {
			if s.Name == "" || s.Help == "" {
				t.Errorf("%s: the setting %+v does not say what it is", p.Name, s)
			}
		}
	}
	if diff := cmp.Diff([]string{"offline", "gemini", "openai", "azure", "anthropic"}, names); diff != "" {
		t.Errorf("providers (-want +got):\n%s", diff)
	}
	p, name, err := models.Describe("gemini")
	if err != nil || p.Name != "gemini" || name != gemini.DefaultModel {
		t.Errorf("Describe(gemini) = %+v, %q, %v", p, name, err)
	}
	if _, _, err := models.Describe("nobody"); err == nil {
		t.Error("Describe(nobody) gives no error")
	}
	models.Providers()[0].Name = "changed"
	if models.Providers()[0].Name != "offline" {
		t.Error("a caller can change the table")
	}
}

func TestDestination(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts models.Options
		want string
	}{
		{"offline", models.Options{}, "documents stay in this process: summaries are extracted by rules, no language model is involved"},
		{"gemini", models.Options{}, "documents leave this machine to generativelanguage.googleapis.com (Google)"},
		{"gemini", models.Options{Getenv: env("GOOGLE_GEMINI_BASE_URL", "https://gateway.acme-corp.com/g")}, "documents leave this machine to gateway.acme-corp.com"},
		{"gemini", models.Options{BaseURL: "http://localhost:8080"}, "documents go to localhost:8080 on this machine"},
		{"gemini", models.Options{Getenv: env("GOOGLE_GENAI_USE_VERTEXAI", "True", "GOOGLE_CLOUD_PROJECT", "acme-corp", "GOOGLE_CLOUD_LOCATION", "europe-west4")},
			"documents leave this machine to europe-west4-aiplatform.googleapis.com (Google Vertex AI, project acme-corp, location europe-west4)"},
		{"openai/x", models.Options{}, "documents leave this machine to api.openai.com (OpenAI)"},
		{"openai/x", models.Options{Getenv: env("OPENAI_BASE_URL", " http://127.0.0.1:11434/v1 ")}, "documents go to 127.0.0.1:11434 on this machine"},
		{"openai/x", models.Options{BaseURL: "https://a.test/v1", Getenv: env("OPENAI_BASE_URL", "https://b.test/v1")}, "documents leave this machine to a.test"},
		{"azure/x", models.Options{Getenv: env("AZURE_OPENAI_ENDPOINT", "https://acme-corp.openai.azure.com")}, "documents leave this machine to acme-corp.openai.azure.com (Azure OpenAI)"},
	} {
		if tt.opts.Getenv == nil {
			tt.opts.Getenv = env()
		}
		got, err := models.Destination(tt.name, tt.opts)
		if err != nil || got != tt.want {
			t.Errorf("Destination(%q) = %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
	for name, opts := range map[string]models.Options{
		"nobody": {}, "openai/x": {BaseURL: "http://a.test"}, "azure/x": {Getenv: env()}, "offline": {BaseURL: "https://a.test"},
	} {
		if got, err := models.Destination(name, opts); err == nil {
			t.Errorf("Destination(%q) = %q, want an error", name, got)
		}
	}
}

// Each provider is opened by name and asked over a socket: the right path, the right
// header, the setting in the request, and the key nowhere else.
func TestOpenedModelsAskTheirServer(t *testing.T) {
	var path, key, body string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		path, body = r.URL.RequestURI(), string(b)
		key = strings.Join([]string{r.Header.Get("Authorization"), r.Header.Get("Api-Key"), r.Header.Get("X-Goog-Api-Key")}, "|")
		if strings.Contains(path, "enerateContent") {
			_, _ = io.WriteString(w, `{"candidates":[{"content":{"role":"model","parts":[{"text":"ok"}]},"finishReason":"STOP"}]}`)
			return
		}
		_, _ = io.WriteString(w, `{"choices":[{"index":0,"message":{"content":"ok"},"finish_reason":"stop"}]}`)
	}))
	defer srv.Close()
	token := func(context.Context) (secret.String, error) { return secret.New("token-" + canary), nil }
	for _, tt := range []struct {
		name, path, key string
		env             []string
	}{
		{"openai/a/b", "/v1/chat/completions", "Bearer " + canary + "||", []string{"OPENAI_API_KEY", canary, "OPENAI_BASE_URL", srv.URL + "/v1/"}},
		{"openai/a", "/deep/er/chat/completions", "||", []string{"OPENAI_BASE_URL", srv.URL + "/deep/er"}}, // no key: on this machine none is needed
		{"azure/dep", "/openai/v1/chat/completions", "|" + canary + "|", []string{"AZURE_OPENAI_API_KEY", canary, "AZURE_OPENAI_ENDPOINT", srv.URL}},
		{"azure/dep", "/openai/deployments/dep/chat/completions?api-version=2024-10-21", "|" + canary + "|", []string{"AZURE_OPENAI_API_KEY", canary, "AZURE_OPENAI_ENDPOINT", srv.URL + "/", "AZURE_OPENAI_API_VERSION", "2024-10-21"}},
		{"gemini/g", "/v1beta/models/g:generateContent", "||" + canary, []string{"GEMINI_API_KEY", canary, "GOOGLE_GEMINI_BASE_URL", srv.URL}},
		{"gemini/g", "/v1beta1/projects/acme-corp/locations/eu/publishers/google/models/g:generateContent", "Bearer token-" + canary + "||",
			[]string{"GOOGLE_GENAI_USE_VERTEXAI", "true", "GOOGLE_CLOUD_PROJECT", "acme-corp", "GOOGLE_CLOUD_LOCATION", "eu", "GOOGLE_VERTEX_BASE_URL", srv.URL}},
	} {
		llm, err := models.Open(t.Context(), tt.name, models.Options{Getenv: env(tt.env...), VertexToken: token, Settings: map[string]string{"temperature": "0.5"}})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		for resp, err := range llm.GenerateContent(t.Context(), &model.LLMRequest{Contents: genai.Text("hi")}, false) {
			if err != nil || resp.Content.Parts[0].Text != "ok" {
				t.Errorf("%s: %+v, %v", tt.name, resp, err)
			}
		}
		if path != tt.path || key != tt.key || !strings.Contains(body, `"temperature":0.5`) || strings.Contains(path+body, canary) {
			t.Errorf("%s: asked %s with %q: %s", tt.name, path, key, body)
		}
	}
}

func TestRetryIsTheCallers(t *testing.T) {
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer srv.Close()
	var log bytes.Buffer
	for attempts := 1; attempts <= 3; attempts++ {
		asked = 0
		llm, err := models.Open(t.Context(), "openai/x", models.Options{
			Getenv: env(), BaseURL: srv.URL, Retry: provider.RetryPolicy{Attempts: attempts, Initial: 1, Max: 1}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range llm.GenerateContent(t.Context(), &model.LLMRequest{Contents: genai.Text("hi")}, true) {
			if e, ok := errors.AsType[*provider.Error](err); !ok || e.Status != http.StatusServiceUnavailable {
				t.Errorf("got %v", err)
			}
		}
		if asked != attempts {
			t.Errorf("asked %d times, want %d", asked, attempts)
		}
	}
	if n := strings.Count(log.String(), "trying again"); n != 3 {
		t.Errorf("%d retries are logged, want 3:\n%s", n, &log)
	}
}

func ExampleProviders() {
	for _, p := range models.Providers() {
		fmt.Printf("%s: %s\n", p.Name, p.Data)
	}
	// Output:
	// offline: documents stay in this process: summaries are extracted by rules, no language model is involved
	// gemini: documents leave this machine to generativelanguage.googleapis.com (Google), or to Vertex AI or the server that GOOGLE_GEMINI_BASE_URL names where those are chosen
	// openai: documents leave this machine to api.openai.com (OpenAI), or go to the server that OPENAI_BASE_URL names where it is set
	// azure: documents leave this machine to the Azure OpenAI resource that AZURE_OPENAI_ENDPOINT names (Microsoft)
	// anthropic: documents leave this machine to api.anthropic.com (Anthropic), or go to the server that ANTHROPIC_BASE_URL names where it is set
}

func ExampleDestination() {
	ollama := func(name string) string {
		return map[string]string{"OPENAI_BASE_URL": "http://127.0.0.1:11434/v1"}[name]
	}
	where, err := models.Destination("openai/llama3.1", models.Options{Getenv: ollama})
	fmt.Println(where, err)
	// Output: documents go to 127.0.0.1:11434 on this machine <nil>
}

// A base URL that is the whole path of an endpoint works, and it is said what of it is
// not used.
func TestAWholePathIsMended(t *testing.T) {
	for path, mended := range map[string]bool{"/v1": false, "/v1/": false, "/v1/chat/completions": true, "/v1/chat/completions/": true, "/v1/responses": true, "/v1/models": true} {
		var paths []string
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			paths = append(paths, r.URL.Path)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"choices":[{"index":0,"message":{"content":"ok"},"finish_reason":"stop"}]}`)
		}))
		var log bytes.Buffer
		llm, err := models.Open(t.Context(), "openai/m", models.Options{Getenv: env(), BaseURL: srv.URL + path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range llm.GenerateContent(t.Context(), &model.LLMRequest{Contents: genai.Text("hi")}, false) {
			if err != nil {
				t.Error(err)
			}
		}
		srv.Close()
		if len(paths) != 1 || paths[0] != "/v1/chat/completions" || strings.Contains(log.String(), "was mended") != mended {
			t.Errorf("%s: asked %v, said %q", path, paths, &log)
		}
	}
}
