package models_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/models"
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
	tests := []struct {
		name string
		opts models.Options
		want string
	}{
		{"", models.Options{}, `models: unknown model "": use offline, gemini or gemini/NAME`},
		{"openai/gpt", models.Options{}, `models: unknown model "openai/gpt": use offline, gemini or gemini/NAME`},
		{"Gemini", models.Options{}, `models: unknown model "Gemini": use offline, gemini or gemini/NAME`},
		{strings.Repeat("x", 200), models.Options{}, `models: unknown model "` + strings.Repeat("x", 64) + `...": use offline, gemini or gemini/NAME`},
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
	for name, want := range map[string]string{"gemini": models.DefaultGemini, "gemini/gemini-2.5-pro": "gemini-2.5-pro"} {
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
		if p.Data == "" || (p.Host != "") != strings.Contains(p.Data, "leave this machine to "+p.Host) {
			t.Errorf("%s: host %q, data %q", p.Name, p.Host, p.Data)
		}
	}
	if diff := cmp.Diff([]string{"offline", "gemini"}, names); diff != "" {
		t.Errorf("providers (-want +got):\n%s", diff)
	}
	p, name, err := models.Describe("gemini")
	if err != nil || p.Name != "gemini" || name != models.DefaultGemini {
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

func ExampleProviders() {
	for _, p := range models.Providers() {
		fmt.Printf("%s: %s\n", p.Name, p.Data)
	}
	// Output:
	// offline: documents stay in this process: summaries are extracted by rules, no language model is involved
	// gemini: documents leave this machine to generativelanguage.googleapis.com (Google)
}
