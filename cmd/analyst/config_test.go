package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
)

func configFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "analyst.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestConfigurationFile has flags before the environment before the file.
func TestConfigurationFile(t *testing.T) {
	w := newWorld(t, nil)
	w.env[cli.EnvConfig] = configFile(t, "model: nobody/x\nttl: 2m\ndrain: 10s # which run has not\n")
	w.env[cli.EnvModel] = "offline"
	if got := w.run("run", "Summarize doc_9982"); got.code != 0 || !strings.Contains(got.stderr, "for 2m0s") {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
	if got := w.run("run", "--ttl", "1m", "Summarize doc_9982"); got.code != 0 || !strings.Contains(got.stderr, "for 1m0s") {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
	w.env[cli.EnvModel] = ""
	if got := w.run("run", "Summarize doc_9982"); got.code != cli.ExitUsage || !strings.Contains(got.stderr, `unknown model "nobody/x"`) {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
}

// TestMistakesInAConfigurationFile has all of them said at once, with their lines.
func TestMistakesInAConfigurationFile(t *testing.T) {
	for _, tt := range []struct {
		text string
		says []string
	}{
		{"modell: offline\nttl: soon\nclient-secret: hunter2\nmcp: {a: b}\njson: true\nttl: 1m\nreports: [a, b]", []string{
			"line 1: there is no setting modell: did you mean model?", `line 2: ttl: time: invalid duration "soon"`,
			"line 3: there is no setting client-secret: did you mean client-secret-file?", "line 4: mcp is a list of values",
			"line 5: there is no setting json", "line 6: the file has ttl twice", "line 7: reports is one value",
		}},
		{"model: nobody/x\ndocuments: /nowhere", []string{`line 1: unknown model "nobody/x"`, "line 2: --documents: open /nowhere"}},
		{"bogus: 1\nquorum: 3\nlisten: foo\napprovers: x\nunattended: no\nmodel: nobody/x", []string{
			"line 1: there is no setting bogus", "line 2: --quorum 3", "line 3: --listen: ", "line 4: approvers is a list", "line 5: --unattended is deny", `line 6: unknown model "nobody/x"`,
		}},
		{"max-runs: many", []string{"line 1: max-runs: "}}, {"quorum: two\npolicy: /nowhere", []string{"line 1: quorum: ", "line 2: --policy: open /nowhere"}},
		{"ttl: 1m\n---\nttl: 2m", []string{"line 2: a second document begins"}}, {"mcp: crm=https://mcp.example.com/mcp", []string{"line 1: mcp is a list of values"}},
		// What the commands would refuse.
		{"cert: a.pem\nworkers: -5\nmax-runs: 0\nmax-open-per-user: 0\nquorum: 3\nurl: https://a.example/b\nttl: 1500ms\nvault-key: /nowhere\ncheckpoints: /nowhere\nnotify-url: ftp://a", []string{
			"line 1: --cert and --key go together", "line 2: --workers must not be negative", "line 3: --max-runs must be", "line 4: --max-open-per-user must be", "line 5: --quorum 3: it is 1 or 2",
			`line 6: --url "https://a.example/b"`, "line 7: --ttl is", "line 8: --vault-key is for a database", "line 8: --vault-key: open /nowhere", "line 9: --checkpoint-key and", "line 10: --notify-url: URL",
		}},
		{"listen: nonsense\nmetrics-listen: nonsense", []string{"line 1: --listen: ", "line 2: --metrics-listen: "}},
		{"listen: 127.0.0.1:99999\norigin: [https://a.example, b]\ntrusted-proxy: [c]", []string{"line 1: --listen: ", `line 2: --origin "b"`, `line 3: --trusted-proxy "c"`}},
		{"listen: 0.0.0.0:80", []string{"line 1: --listen 0.0.0.0:80 is not loopback"}}, {"quorum: 2\napprovers: []", []string{"line 1: --quorum 2: without", "line 1: --quorum 2: --approvers names no group"}},
		{"model: openai/x\nmodel-option: [volume=11]", []string{`openai has no setting "volume"`}},
		{"database: mysql://a\ntenant: A-B\nmigrate: perhaps\nttl: 1500ms\nprices: /nowhere\nmodel: openai/x\nmodel-option: [volume=11]\ndocuments: /nowhere/at/all", []string{
			"the database's address does not read", `line 2: tenant "A-B"`, "line 3: --migrate is", "line 4: --ttl is", "line 5: --prices: open /nowhere: ", `openai has no setting "volume"`, "line 8: --documents: ",
			"a database needs a key",
		}},
		{"tenant: a\ndatabase: [a, b]", []string{"line 2: database is one value"}}, {"", []string{"it is empty"}}, {"- a", []string{"line 1: the file is not names with values"}},
	} {
		w := newWorld(t, nil)
		for _, name := range []string{cli.EnvURL, cli.EnvOrg, cli.EnvClientID, cli.EnvSecret, cli.EnvAPI} {
			delete(w.env, name)
		}
		file := configFile(t, tt.text)
		text, asJSON := w.run("config", "check", file), w.run("config", "check", "--json", file)
		if text.code != cli.ExitUsage || asJSON.code != cli.ExitUsage || strings.Contains(text.stderr+asJSON.stdout, "hunter2") {
			t.Errorf("%q: exit %d and %d: %s", tt.text, text.code, asJSON.code, text.stderr)
		}
		if strings.Contains(text.stderr, "--quorum 0") || strings.Contains(text.stderr, "--max-runs must be positive") && strings.Contains(tt.text, "many") {
			t.Errorf("%q: what follows from a value that cannot be read is said too: %s", tt.text, text.stderr)
		}
		for _, says := range tt.says {
			if !strings.Contains(text.stderr, says) {
				t.Errorf("%q: no %q in %s", tt.text, says, text.stderr)
			}
			if line, _, ok := strings.Cut(strings.TrimPrefix(says, "line "), ":"); ok && !strings.Contains(asJSON.stdout, `"line": `+line) {
				t.Errorf("%q: no line %s in %s", tt.text, line, asJSON.stdout)
			}
		}
	}
	w := newWorld(t, nil)
	if got := w.run("--config", configFile(t, "ttl: 1m\nworkers: 0\n"), "config", "check"); got.code != 0 || !strings.Contains(got.stdout, "nothing is wrong") {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
}
