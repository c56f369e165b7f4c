package main

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/dev"
)

// TestOfficialClients runs OpenAI's and Google's own clients, and an agent of
// Google's ADK for Python, against the models that analyst dev serves: each program
// in testdata/clients says what it does, and fails where an answer is not right.
// The folder MODEL_CLIENTS is a Python environment with node_modules in it.
func TestOfficialClients(t *testing.T) {
	clients := os.Getenv("MODEL_CLIENTS")
	if clients == "" {
		t.Skip("no clients: python3 -m venv V && V/bin/pip install openai==3.57.0 google-adk==2.13.0 && " +
			"npm install --prefix V openai@7.59.0 @google/genai@3.3.0 && MODEL_CLIENTS=$PWD/V go test ./cmd/analyst -run TestOfficialClients")
	}
	models, err := dev.Models(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(models)
	t.Cleanup(srv.Close)
	for _, name := range []string{"openai_client.py", "genai_client.py", "adk_agent.py", "openai_client.mjs", "genai_client.mjs"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program, err := os.ReadFile(filepath.Join("testdata", "clients", name))
			if err != nil {
				t.Fatal(err)
			}
			// Node looks for modules from where the program is.
			dir := t.TempDir()
			if err := os.Symlink(filepath.Join(clients, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), program, 0o600); err != nil {
				t.Fatal(err)
			}
			interpreter := "node"
			if strings.HasSuffix(name, ".py") {
				interpreter = filepath.Join(clients, "bin", "python")
			}
			cmd := exec.CommandContext(t.Context(), interpreter, name)
			cmd.Dir, cmd.Env = dir, []string{
				"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "OPENAI_BASE_URL=" + srv.URL + "/v1", "GOOGLE_GEMINI_BASE_URL=" + srv.URL,
				"OPENAI_API_KEY=any", "GOOGLE_API_KEY=any", // the clients insist on keys
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}
