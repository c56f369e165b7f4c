package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/pgtest"
)

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"analyst": main, "orders": serveOrders})
}

// tests stop the database server at their end, if one of them had it.
type tests struct{ m *testing.M }

func (t tests) Run() int { return pgtest.Main(t.m) }

// TestScripts runs what a user types, as real processes, and reads what they see.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("NO_PROXY", "*")
			env.Setenv(cli.EnvState, filepath.Join(env.WorkDir, "state"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode": exitcode,
			"source":   source,
			"waitfile": waitfile,
			"waitline": waitline,
			"waitout":  waitout,
			"deadport": deadport,
			"jsonline": jsonline,
			"approve":  approve,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// exitcode N CMD...: runs a command and wants this exit code.
func exitcode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N command...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// approve FILE: approves the request that a file names, as the reviewer whose token is in
// the environment.
func approve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: approve file")
	}
	id := regexp.MustCompile("jit_[A-Z0-9]+").FindString(ts.ReadFile(args[0]))
	req, err := http.NewRequest(http.MethodPost, ts.Getenv(cli.EnvURL)+"/orgs/"+ts.Getenv(cli.EnvOrg)+"/api/v1/jit/approve/"+id, strings.NewReader("{}"))
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+ts.Getenv("LUMODEV_REVIEWER_TOKEN"))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("approve %s: %s", id, resp.Status)
	}
}

// source FILE: sets the variables of the export lines in a file.
func source(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: source file")
	}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if ok {
			ts.Setenv(name, strings.Trim(value, "'"))
		}
	}
}

// waitfile FILE: waits until a background process has written it.
func waitfile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfile file")
	}
	waitUntil(ts, args[0]+" was never written", func() bool {
		info, err := os.Stat(ts.MkAbs(args[0]))
		return err == nil && info.Size() > 0
	})
}

// waitline FILE REGEXP: waits until a background process has written such a line.
func waitline(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitline file regexp")
	}
	line, err := regexp.Compile(args[1])
	ts.Check(err)
	waitUntil(ts, "no line "+args[1]+" in "+args[0], func() bool {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && line.Match(text)
	})
}

// waitout REGEXP CMD...: runs a command again until it succeeds and stdout matches.
func waitout(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: waitout regexp command...")
	}
	text, err := regexp.Compile(args[0])
	ts.Check(err)
	waitUntil(ts, strings.Join(args[1:], " ")+" never said "+args[0], func() bool {
		return ts.Exec(args[1], args[2:]...) == nil && text.MatchString(ts.ReadFile("stdout"))
	})
}

// waitUntil returns when done does so with true, and fails the script after a minute.
func waitUntil(ts *testscript.TestScript, never string, done func() bool) {
	timeout := time.NewTimer(time.Minute)
	defer timeout.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-timeout.C:
			ts.Fatalf("%s", never)
		}
	}
}

// deadport VAR: sets VAR to a loopback URL where nobody listens.
func deadport(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: deadport variable")
	}
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	ts.Setenv(args[0], srv.URL)
}

// jsonline: wants every line of the last stdout to be a JSON object with "event".
func jsonline(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: jsonline")
	}
	n := 0
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		var e struct{ Event string }
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Event == "" {
			ts.Fatalf("not an event: %s", line)
		}
		n++
	}
	if n == 0 {
		ts.Fatalf("no events")
	}
}

// TestExitCodes runs the command in this process, over what a shell cannot easily
// vary.
func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		env  map[string]string
		code int
		say  string // on stderr
	}{
		{"unknown command", []string{"fly"}, nil, 2, "unknown command"},
		{"unknown flag", []string{"run", "--fly", "x"}, nil, 2, "unknown flag"},
		{"near a command", []string{"runn"}, nil, 2, "hint: did you mean analyst run?"},
		{"near a subcommand", []string{"tasks", "shwo"}, nil, 2, "hint: did you mean analyst tasks show?"},
		{"near a flag", []string{"run", "--quite", "x"}, nil, 2, "hint: did you mean --quiet?"},
		{"no prompt", []string{"run"}, nil, 2, "the prompt is empty"},
		{"joined words", []string{"run", "Summarize", "doc_9982"}, nil, 0, "document_id: \"doc_9982\""},
		{"the version as a flag", []string{"--version"}, nil, 0, ""},
		{"models", []string{"models"}, nil, 0, ""},
		{"empty prompt", []string{"run", " "}, nil, 2, "the prompt is empty"},
		{"json and quiet", []string{"run", "--json", "--quiet", "x"}, nil, 2, "exclude each other"},
		{"negative ttl", []string{"run", "--ttl", "-1s", "x"}, nil, 2, "a whole number of seconds, at least 1s"},
		{"negative wait", []string{"run", "--wait", "-1s", "x"}, nil, 2, "--wait must not be negative"},
		{"a lifetime too long", []string{"run", "--ttl", "30m", "Summarize doc_9982"}, nil, 0, "--ttl 30m0s is more than LumoAuth grants: each token lives at most 15m0s"},
		{"a lifetime cut", []string{"run", "--ttl", "30m", "Summarize doc_9982"}, nil, 0, ", for 15m0s of the 30m0s that were asked for"},
		{"nobody to decide", []string{"run", "Summarize doc_7310"}, nil, 8, "hint: analyst approvals approve jit_"},
		{"unknown model", []string{"run", "--model", "nobody/x", "x"}, nil, 2, "nobody"},
		{"gemini without key", []string{"run", "--model", "gemini", "x"}, nil, 2, "GOOGLE_API_KEY"},
		{"url only", []string{"run", "x"}, map[string]string{cli.EnvURL: "https://l.test"}, 2, "LUMOAUTH_ORG_ID or LUMOAUTH_TENANT (--org), AGENT_CLIENT_ID (--client-id), AGENT_CLIENT_SECRET (--client-secret-file), ANALYST_API_URL (--api-url)"},
		{"all but the API", []string{"run", "x"}, map[string]string{cli.EnvURL: "https://l.test", cli.EnvTenant: "o", cli.EnvClientID: "c", cli.EnvSecret: "s3cret-canary"}, 2, "ANALYST_API_URL"},
		{"API only", []string{"run", "x"}, map[string]string{cli.EnvAPI: "https://api.test"}, 2, cli.EnvURL},
		{"secret only", []string{"run", "x"}, map[string]string{cli.EnvSecret: "s3cret-canary"}, 2, cli.EnvURL},
		{"two organizations", []string{"run", "x"}, full(map[string]string{cli.EnvTenant: "other"}), 2, "unset one"},
		{"plain http", []string{"run", "x"}, full(map[string]string{cli.EnvURL: "http://l.test"}), 2, "https"},
		{"plain http API", []string{"run", "x"}, full(map[string]string{cli.EnvAPI: "http://api.test"}), 2, "https"},
		{"bad URL", []string{"run", "x"}, full(map[string]string{cli.EnvURL: "::nonsense"}), 2, cli.EnvURL},
		{"bad API URL", []string{"run", "x"}, full(map[string]string{cli.EnvAPI: "ftp://api.test"}), 2, cli.EnvAPI},
		{"documents with another API", []string{"run", "--documents", ".", "x"}, full(nil), 2, "--documents"},
		{"no secret file", []string{"run", "--client-secret-file", "/nonexistent/file", "x"}, nil, 2, "no such file"},
		{"no documents directory", []string{"run", "--documents", "/nonexistent/dir", "x"}, nil, 2, "nonexistent"},
		{"help", []string{"run", "--help"}, nil, 0, ""},
		{"version", []string{"version"}, nil, 0, ""},
		{"version with an argument", []string{"version", "x"}, nil, 2, "unknown command"},
		{"one file for two", []string{"dev", "--env-file", "one.env", "--operator-env-file", "./one.env"}, nil, 2, "name one file"},
		{"remote address", []string{"dev", "--addr", "0.0.0.0:0"}, nil, 1, "not loopback"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			code := run(t.Context(), tt.args, private(t, tt.env), strings.NewReader(""), &stdout, &stderr)
			if code != tt.code || !strings.Contains(stderr.String(), tt.say) {
				t.Errorf("exit %d, stderr %q; want %d and %q", code, stderr.String(), tt.code, tt.say)
			}
			if strings.Contains(stderr.String()+stdout.String(), "s3cret-canary") {
				t.Error("the secret is in the output")
			}
			if strings.Contains(stderr.String(), "goroutine ") {
				t.Error("a stack is in the output")
			}
		})
	}
}

// full is a whole configuration with changes.
func full(change map[string]string) map[string]string {
	env := map[string]string{cli.EnvURL: "https://l.test", cli.EnvOrg: "o", cli.EnvClientID: "c", cli.EnvSecret: "s3cret-canary", cli.EnvAPI: "https://api.test"}
	for name, value := range change {
		env[name] = value
	}
	return env
}

// TestHelpExamplesRun runs the examples of the help texts that need no terminal,
// so that none of them rots.
func TestHelpExamplesRun(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("notes", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("notes", "notes.md"), []byte("# Notes\n\nThe roof was mended on 3 May for 1,200 euros. The garden waits until June."), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("go.mod", []byte("module example.test/billing\n"), 0o600); err != nil { // for new-tool
		t.Fatal(err)
	}
	p := &cli.Program{Getenv: private(t, nil)}
	for _, cmd := range command(p).Commands() {
		if cmd.Name() == "completion" || cmd.Name() == "help" {
			continue
		}
		if cmd.Example == "" && !cmd.HasSubCommands() {
			t.Errorf("%s has no examples", cmd.Name())
		}
		for line := range strings.Lines(cmd.Example) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " | ")
			line, _, _ = strings.Cut(line, " <")
			if slices.Contains([]string{"dev", "serve", "worker"}, cmd.Name()) || strings.Contains(line, "gemini") || strings.Contains(line, "--mcp") || strings.HasPrefix(line, "echo") {
				continue // runs until interrupted, needs a key, needs a server (TestScripts/mcp has one), needs a shell
			}
			t.Run(line, func(t *testing.T) {
				var stderr strings.Builder
				want := cli.ExitDone
				if cmd.Name() == "resume" || cmd.Name() == "approvals" { // something has to wait
					_ = run(t.Context(), []string{"run", "Summarize doc_7310"}, p.Getenv, strings.NewReader(""), io.Discard, io.Discard)
					if cmd.Name() == "resume" && !strings.Contains(line, "--drop") {
						want = cli.ExitPending
					}
				}
				code := run(t.Context(), words(line)[1:], p.Getenv, strings.NewReader(""), &strings.Builder{}, &stderr)
				if code != want {
					t.Errorf("exit %d: %s", code, stderr.String())
				}
			})
		}
	}
}

// readme returns the README.
func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeCommandsRun runs what the README tells a newcomer to type.
func TestReadmeCommandsRun(t *testing.T) {
	text := readme(t)
	t.Chdir("../..")
	getenv := private(t, nil)
	built := filepath.Join(t.TempDir(), "mcpserver")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", built, "./examples/mcpserver").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ran := 0
	for line := range strings.Lines(text) {
		command, comment, _ := strings.Cut(strings.TrimSpace(line), " #")
		command, _, _ = strings.Cut(command, " <")
		rest, ok := strings.CutPrefix(command, "bin/analyst ")
		if !ok || strings.HasPrefix(rest, "dev") {
			continue // TestScripts/dev does that
		}
		ran++
		t.Run(rest, func(t *testing.T) {
			want := cli.ExitDone
			if strings.Contains(comment, "exit code 8") {
				want = cli.ExitPending
			}
			args := words(strings.ReplaceAll(rest, "bin/mcpserver", built))
			if args[0] == "run" {
				args = append(args, "--reports", t.TempDir())
			}
			var stderr strings.Builder
			code := run(t.Context(), args, getenv, strings.NewReader(""), &strings.Builder{}, &stderr)
			if code != want {
				t.Errorf("exit %d, want %d: %s", code, want, stderr.String())
			}
		})
	}
	if ran < 5 {
		t.Errorf("%d commands found, want those of the README", ran)
	}
}

// words splits a command line at spaces outside quotes, as a shell does.
func words(line string) []string {
	var out []string
	var word strings.Builder
	var quote rune
	inside := false
	for _, r := range line + " " {
		switch {
		case quote == 0 && (r == '"' || r == '\''):
			quote, inside = r, true
		case r == quote:
			quote = 0
		case quote == 0 && r == ' ':
			if inside {
				out = append(out, word.String())
			}
			word.Reset()
			inside = false
		default:
			word.WriteRune(r)
			inside = true
		}
	}
	return out
}
