package main

import (
	"bufio"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
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
			"npm install --prefix V openai@7.59.0 @google/genai@3.3.0 @copilotkit/aimock@1.43.0 && MODEL_CLIENTS=$PWD/V go test ./cmd/analyst -run TestOfficialClients")
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

// TestJobOnAThirdPartyMock runs the whole job over each wire against a server that is
// not of this project and speaks all of them: npm's @copilotkit/aimock, from the folder
// MODEL_CLIENTS.
func TestJobOnAThirdPartyMock(t *testing.T) {
	aimock := filepath.Join(os.Getenv("MODEL_CLIENTS"), "node_modules", "@copilotkit", "aimock", "dist", "cli.js")
	if _, err := os.Stat(aimock); os.Getenv("MODEL_CLIENTS") == "" || err != nil {
		t.Skip("no aimock: TestOfficialClients says how to install it")
	}
	mock := exec.CommandContext(t.Context(), "node", aimock, "--port", "0", "--strict", "--fixtures", filepath.Join("..", "..", "lab", "realmodels", "aimock.json"))
	said, err := mock.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := mock.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mock.Process.Kill(); _ = mock.Wait() })
	address := regexp.MustCompile(`listening on (http://\S+)`)
	url := ""
	lines := bufio.NewScanner(said)
	for url == "" && lines.Scan() {
		if m := address.FindStringSubmatch(lines.Text()); m != nil {
			url = m[1]
		}
	}
	if url == "" {
		t.Fatal("aimock ended before it listened")
	}
	for _, model := range []string{"openai/gpt-4.1", "gemini/gemini-2.5-flash", "anthropic/claude-sonnet-4-5"} {
		for _, way := range []string{"--stream=false", "--stream"} {
			t.Run(model+way, func(t *testing.T) {
				env := map[string]string{
					"OPENAI_BASE_URL": url + "/v1", "GOOGLE_GEMINI_BASE_URL": url, "ANTHROPIC_BASE_URL": url,
					"OPENAI_API_KEY": "any", "GOOGLE_API_KEY": "any", "ANTHROPIC_API_KEY": "any",
				}
				reports := t.TempDir()
				var stdout, stderr strings.Builder
				code := run(t.Context(), []string{"run", "--model", model, way, "--reports", reports, "Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'."}, private(t, env), strings.NewReader(""), &stdout, &stderr)
				written, err := filepath.Glob(filepath.Join(reports, "*.md"))
				if code != cli.ExitDone || err != nil || len(written) != 1 || !strings.Contains(stdout.String(), "The report Q4 Analysis is written.") {
					t.Errorf("exit %d, reports %q, %v\n%s%s", code, written, err, &stdout, &stderr)
				}
			})
		}
	}
}
