// Package deptest holds the direction of imports: docs/architecture.md says which
// room may know which, and this test reads what the build really takes.
package deptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/jitagent/jitagent/"

// allowed lists, for each package, which packages of this module it may import
// itself. What they import in turn is their own line's business. A package that is
// not here fails the test: say first where it belongs.
var allowed = map[string][]string{
	// The bottom: no framework, no server, nothing of ours above them.
	"secret":              {},
	"internal/strictjson": {},
	"internal/disk":       {},
	"internal/sqldb":      {"internal/disk", "internal/pause"},
	"internal/peer":       {},
	"internal/markdown":   {"internal/lazy"},
	"internal/deptest":    {},
	"internal/lazy":       {},
	"internal/es256":      {},
	"internal/logtest":    {},
	"internal/pause":      {},
	"internal/program":    {},
	"internal/plain":      {},
	"internal/serve":      {},
	"internal/yamlfile":   {},
	"internal/pgtest":     {},
	"docs":                {},
	"api":                 {},
	"rar":                 {"internal/strictjson"},
	"policy":              {"internal/lazy", "internal/yamlfile", "rar"},

	// Proofs of a key.
	"dpop": {"internal/es256", "secret", "internal/peer", "internal/strictjson"},

	// The engine. It knows neither ADK nor LumoAuth.
	"jit/challenge": {"dpop", "oauth", "rar", "internal/strictjson", "internal/peer"},
	"jit":           {"dpop", "jit/challenge", "rar", "secret", "internal/strictjson", "internal/peer"},

	// What authorization servers say, for their clients and for APIs.
	"oauth": {"rar", "secret", "internal/strictjson"},

	// The authorization server: its client, and the one for development.
	"lumoauth":    {"dpop", "jit", "oauth", "rar", "secret", "state/approval", "internal/strictjson", "internal/peer"},
	"oauthz":      {"dpop", "jit", "oauth", "rar", "secret", "internal/strictjson", "internal/peer", "internal/serve"},
	"dev/lumodev": {"internal/es256", "internal/lazy", "internal/pause", "internal/peer", "dpop", "state/approval", "oauth", "rar", "secret", "internal/strictjson", "internal/disk", "internal/sqldb", "internal/serve"},

	// API owners, and the sample API.
	"resource":   {"dpop", "jit/challenge", "oauth", "rar", "secret", "internal/strictjson", "internal/peer"},
	"dev/docapi": {"internal/lazy", "dpop", "resource", "rar", "jit/challenge", "secret", "internal/strictjson", "internal/disk", "internal/sqldb", "internal/markdown", "internal/plain", "internal/serve"},

	// Both of them started together.
	"dev": {"dev/docapi", "dev/lumodev", "internal/disk", "internal/serve", "lumoauth", "rar", "resource"},

	// The test kit of both.
	"jit/jittest/fake": {"jit", "jit/challenge", "rar", "secret"},
	"jit/jittest": {
		"jit/jittest/fake", "jit", "jit/challenge", "lumoauth", "dev", "dev/lumodev", "resource", "rar", "secret",
		"state/approval", "internal/logtest", "internal/strictjson",
	},

	// What survives a crash.
	"state/journal":  {"jit", "rar", "secret", "internal/plain", "internal/strictjson"},
	"state/sqlite":   {"state/journal", "jit", "secret", "internal/disk", "internal/plain", "internal/sqldb", "internal/strictjson"},
	"state/postgres": {"state/journal", "state/vault", "jit", "secret", "internal/lazy", "internal/pause", "internal/plain"},
	"state/recovery": {"state/journal", "jit", "internal/pause"},
	"state/vault":    {"secret", "internal/lazy", "internal/disk", "internal/strictjson"},
	"state/approval": {"internal/plain", "internal/serve", "internal/strictjson", "rar"},
	"state/runs":     {"runner", "state/approval", "state/journal", "state/session", "jit", "secret", "internal/disk", "internal/pause", "internal/sqldb"},
	"state/session":  {"runner", "state/journal", "internal/disk", "internal/pause", "internal/sqldb"},

	// What tests of journals share.
	"state/journal/journaltest": {"state/journal", "jit", "rar"},

	// Where a process dies, in builds that are made to be killed.
	"lab/failpoint": {},
	"lab/cluster":   {},

	// The agent, from the middleware up.
	"prompts":       {},
	"jitmw":         {"policy", "jit", "rar", "internal/peer", "internal/strictjson"},
	"tools":         {"internal/lazy", "policy", "jitmw", "jit", "rar", "prompts", "internal/strictjson", "internal/peer", "internal/plain"},
	"tools/mcp":     {"internal/lazy", "dpop", "tools", "policy", "jitmw", "jit", "rar", "internal/strictjson", "internal/peer", "internal/program"},
	"agent":         {"jitmw", "prompts"},
	"notice":        {"internal/peer", "internal/plain", "internal/program", "jit", "runner", "secret"},
	"runner":        {"policy", "jitmw", "jit", "rar", "internal/strictjson", "internal/peer"},
	"telemetry":     {"internal/lazy", "jit", "secret"},
	"state/explain": {"internal/plain", "state/journal", "jit", "rar"},
	"serve":         {"internal/disk", "internal/lazy", "internal/serve", "internal/strictjson", "jit", "resource", "runner", "secret", "state/approval", "state/explain", "state/journal"},
	"serve/a2a":     {"internal/lazy", "internal/strictjson", "jit", "runner", "serve", "state/approval", "state/journal"},

	// Models. None of them knows what it works for.
	"models/provider":  {"internal/lazy", "secret", "internal/strictjson", "internal/peer", "internal/plain"},
	"models/offline":   {"internal/lazy", "internal/markdown"},
	"models/gemini":    {"internal/lazy", "models/provider", "secret", "internal/strictjson"},
	"models/openai":    {"internal/lazy", "models/provider", "secret", "internal/strictjson"},
	"models/anthropic": {"internal/lazy", "models/provider", "internal/strictjson"},
	"models":           {"internal/lazy", "models/anthropic", "models/gemini", "models/offline", "models/openai", "models/provider", "internal/plain", "secret"},
	"dev/modelserver":  {"internal/strictjson"},
	"models/modeltest": {"dev/modelserver", "internal/strictjson", "models/provider"},

	// For those who build tools and agents.
	"jit/jittest/adktest": {"jit", "jit/jittest", "models/modeltest", "runner"},

	"lab/agentdojo":           {"policy"},
	"lab/bench":               {},
	"lab/conformance":         {},
	"lab/bench/peers/byhand":  {"lab/bench/peers/measure"},
	"lab/bench/peers/measure": {},
	"lab/bench/peers/ours":    {"agent", "jit", "lab/bench/peers/measure", "lumoauth", "models", "runner", "secret", "state/sqlite", "tools"},

	// The program. Its commands share cmd/analyst/internal/cli and do not know each other.
	"cmd/analyst/internal/failpoints": {"jit", "lab/failpoint", "runner", "secret", "state/recovery"},
	"cmd/analyst/internal/timeline":   {"internal/peer", "internal/plain", "jit", "rar", "runner"},
	"cmd/analyst/internal/cli": {
		"cmd/analyst/internal/failpoints", "notice", "policy", "dev", "dev/docapi", "dev/lumodev", "internal/disk", "internal/pause", "internal/plain", "internal/lazy", "internal/serve", "internal/yamlfile", "jit", "lumoauth", "models", "oauthz", "rar", "runner", "secret",
		"state/approval", "state/vault", "state/journal", "state/sqlite", "state/postgres", "state/recovery", "state/runs", "state/session", "telemetry", "tools", "tools/mcp",
	},
	"cmd/analyst/internal/config":    {"cmd/analyst/internal/cli", "internal/plain", "internal/yamlfile"},
	"cmd/analyst/internal/approvals": {"cmd/analyst/internal/cli", "internal/plain", "jit", "lumoauth", "state/approval"},
	"cmd/analyst/internal/run": {
		"agent", "dev", "cmd/analyst/internal/cli", "cmd/analyst/internal/failpoints", "cmd/analyst/internal/service", "cmd/analyst/internal/timeline", "internal/markdown", "internal/pause", "internal/plain",
		"internal/strictjson", "jit", "jitmw", "lumoauth", "models", "models/provider", "notice", "policy", "runner", "state/approval", "state/journal", "state/recovery", "state/session", "tools", "tools/mcp",
	},
	"cmd/analyst/internal/service": {
		"agent", "cmd/analyst/internal/cli", "cmd/analyst/internal/failpoints", "dev", "dev/lumodev", "internal/serve", "jit", "jitmw", "lumoauth", "models", "notice", "runner", "state/approval", "state/journal", "state/recovery", "state/runs", "state/session", "state/sqlite", "tools", "tools/mcp",
	},
	"cmd/analyst/internal/worker": {"cmd/analyst/internal/cli", "cmd/analyst/internal/service", "internal/plain", "internal/serve", "jit", "runner"},
	"cmd/analyst/internal/serve":  {"cmd/analyst/internal/cli", "cmd/analyst/internal/service", "internal/disk", "internal/plain", "internal/serve", "jit", "runner", "secret", "serve", "serve/a2a", "state/approval", "state/journal"},
	"cmd/analyst/internal/dev": {
		"cmd/analyst/internal/cli", "dev", "dev/docapi", "dev/lumodev", "dev/modelserver", "models/offline",
	},
	"cmd/analyst/internal/doctor": {
		"cmd/analyst/internal/cli", "internal/plain", "jit", "lumoauth", "models", "models/provider", "policy", "state/postgres", "state/recovery", "tools", "tools/mcp",
	},
	"cmd/analyst/internal/kill": {"cmd/analyst/internal/cli", "internal/pause", "internal/plain", "jit", "state/journal", "state/postgres", "state/recovery"},
	"cmd/analyst/internal/tasks": {
		"cmd/analyst/internal/cli", "cmd/analyst/internal/failpoints", "internal/plain", "jit", "state/journal", "state/recovery",
	},
	"cmd/analyst/internal/audit": {
		"cmd/analyst/internal/cli", "internal/disk", "internal/plain", "jit", "state/explain", "state/journal",
	},
	"cmd/analyst/internal/sessions": {"cmd/analyst/internal/cli", "internal/plain", "state/session"},
	"cmd/analyst/internal/plan": {
		"cmd/analyst/internal/cli", "internal/plain", "internal/strictjson", "jit", "jitmw", "policy", "rar", "runner", "state/journal", "state/session", "tools", "tools/mcp",
	},
	"cmd/analyst/internal/newtool": {"internal/lazy", "cmd/analyst/internal/cli", "internal/disk"},
	"cmd/analyst": {
		"cmd/analyst/internal/approvals", "cmd/analyst/internal/audit", "cmd/analyst/internal/cli", "cmd/analyst/internal/config", "cmd/analyst/internal/dev", "cmd/analyst/internal/doctor",
		"cmd/analyst/internal/kill", "cmd/analyst/internal/newtool", "cmd/analyst/internal/plan", "cmd/analyst/internal/run", "cmd/analyst/internal/serve", "cmd/analyst/internal/sessions", "cmd/analyst/internal/tasks", "cmd/analyst/internal/worker",
		"models", "tools",
	},
}

// withoutADK lists what must build without the agent framework and the model
// libraries, at any distance: others use it for programs that have no agent.
var withoutADK = []string{
	"policy", "internal/yamlfile",
	"internal/markdown",
	"secret", "rar", "dpop", "internal/peer", "oauth", "jit", "jit/challenge", "lumoauth", "oauthz", "dev/lumodev", "state/approval", "resource", "internal/strictjson",
	"internal/disk", "internal/es256", "internal/lazy", "internal/pause", "internal/sqldb", "internal/plain", "internal/serve", "dev/docapi", "internal/logtest", "state/journal", "state/sqlite", "state/postgres", "state/recovery", "state/vault",
	"jit/jittest", "jit/jittest/fake", "dev",
}

// frameworks are what those may not link.
var frameworks = []string{"google.golang.org/adk", "google.golang.org/genai", "github.com/sashabaranov/go-openai", "github.com/invopop/jsonschema", "github.com/modelcontextprotocol/go-sdk"}

// withoutSQL lists what must build without a database: another store may take its place.
var withoutSQL = []string{
	"secret", "rar", "dpop", "jit", "jit/challenge", "resource", "lumoauth", "jitmw", "tools", "agent", "runner",
	"state/journal", "state/recovery", "state/explain",
}

// databases are what those may not link.
var databases = []string{"database/sql", "github.com/glebarez/go-sqlite"}

// never lists what a package must not reach at any distance, by whatever way.
var never = map[string][]string{
	"jitmw":          {"state/journal", "state/sqlite", "state/postgres", "state/recovery", "state/explain", "agent", "runner", "tools", "lumoauth", "models"},
	"tools":          {"state/journal", "state/sqlite", "state/postgres", "state/recovery", "state/explain", "agent", "runner", "lumoauth", "models"},
	"agent":          {"state/journal", "state/sqlite", "state/postgres", "state/recovery", "state/explain", "runner", "lumoauth", "models"},
	"runner":         {"state/journal", "state/sqlite", "state/postgres", "state/recovery", "state/explain", "agent", "tools", "lumoauth", "models", "dev/docapi"},
	"jit":            {"lumoauth", "resource"},
	"lumoauth":       {"dev", "dev/lumodev", "resource", "dev/docapi"},
	"dev/lumodev":    {"jit", "lumoauth", "dev/docapi"},
	"resource":       {"jit", "lumoauth"},
	"dev/docapi":     {"jit", "lumoauth"},
	"models":         {"jit", "agent", "runner", "tools", "lumoauth"},
	"models/offline": {"jit", "agent", "runner", "tools", "lumoauth"},
	// A program that people run links no test code.
	"cmd/analyst": {"jit/jittest", "jit/jittest/adktest", "models/modeltest", "internal/logtest"},
}

type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

// list returns the packages of the module, without their tests.
func list(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,GoFiles,Imports,Deps", module+"...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	packages := map[string]listed{}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[strings.TrimPrefix(p.ImportPath, module)] = p
		// go test keeps a result until a file changes that the test itself has looked
		// at; what go list reads does not count.
		for _, file := range p.GoFiles {
			if _, err := os.Stat(filepath.Join(p.Dir, file)); err != nil {
				t.Fatal(err)
			}
		}
		for _, dir := range []string{p.Dir, filepath.Dir(p.Dir)} {
			if _, err := os.ReadDir(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestImportsPointOneWay(t *testing.T) {
	packages := list(t)
	for _, name := range []string{"jit", "jitmw", "runner", "cmd/analyst"} {
		if _, ok := packages[name]; !ok {
			t.Fatalf("%s is not among the %d packages, so nothing is tested", name, len(packages))
		}
	}
	for name, p := range packages {
		may, known := allowed[name]
		if !known && !strings.HasPrefix(name, "examples/") {
			t.Errorf("%s is not in the table of allowed imports: say where it belongs", name)
		}
		for _, imported := range p.Imports {
			ours, ok := strings.CutPrefix(imported, module)
			switch {
			case !ok:
			case strings.HasPrefix(ours, "cmd/") && !strings.HasPrefix(name, "cmd/"), strings.HasPrefix(ours, "examples/"):
				t.Errorf("%s imports %s, which nobody may", name, ours)
			case known && !slices.Contains(may, ours):
				t.Errorf("%s imports %s, which its line in the table does not allow", name, ours)
			}
		}
		for _, dep := range p.Deps {
			if ours, ok := strings.CutPrefix(dep, module); ok && slices.Contains(never[name], ours) {
				t.Errorf("%s depends on %s, be it by way of others", name, ours)
			}
			if slices.Contains(withoutADK, name) && slices.ContainsFunc(frameworks, func(f string) bool { return dep == f || strings.HasPrefix(dep, f+"/") }) {
				t.Errorf("%s depends on %s, and must build without it", name, dep)
			}
			if slices.Contains(withoutSQL, name) && slices.Contains(databases, dep) {
				t.Errorf("%s depends on %s, and must build without it", name, dep)
			}
		}
	}
}

// A line that says what never happens is as wrong as a line that is missing.
func TestTableIsConsistent(t *testing.T) {
	for name, may := range allowed {
		for _, other := range may {
			if _, ok := allowed[other]; !ok {
				t.Errorf("%s may import %s, which is not in the table", name, other)
			}
			if slices.Contains(never[name], other) {
				t.Errorf("%s may and may not import %s", name, other)
			}
			if below(name) && !below(other) {
				t.Errorf("%s must build without ADK, but may import %s, which need not", name, other)
			}
			if path.Dir(other) == "cmd" || strings.HasPrefix(name, "cmd/analyst/internal/") && isCommand(other) {
				t.Errorf("%s may import the command %s", name, other)
			}
			// failpoints does so in builds that are made to be killed, and in no other.
			if strings.HasPrefix(other, "lab/") && !strings.HasPrefix(name, "lab/") && name != "cmd/analyst/internal/failpoints" {
				t.Errorf("%s may import %s: what measures and breaks us is nobody's dependency", name, other)
			}
		}
	}
}

// below reports whether a package must build without ADK. prompts are texts.
func below(name string) bool { return slices.Contains(withoutADK, name) || name == "prompts" }

// isCommand reports whether a package is a command of the program, or a family of them,
// and not what commands share.
func isCommand(name string) bool {
	shared, ok := strings.CutPrefix(name, "cmd/analyst/internal/")
	return ok && shared != "cli" && shared != "failpoints" && shared != "service" && shared != "timeline"
}
