package docs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPromisesNameTestsThatExist reads promises.md: a promise whose test is gone
// is one that nobody holds any more.
func TestPromisesNameTestsThatExist(t *testing.T) {
	text := read(t, "promises.md")
	var tests strings.Builder
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, "_test.go") {
			tests.WriteString(read(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z0-9_]+)(/[a-z]+)?`").FindAllStringSubmatch(text, -1)
	if len(names) < 50 {
		t.Fatalf("%d tests are named, which cannot be all", len(names))
	}
	for _, n := range names {
		if !strings.Contains(tests.String(), "func "+n[1]+"(") {
			t.Errorf("promises.md names %s, which does not exist", n[1])
		}
		if script, ok := strings.CutPrefix(n[2], "/"); ok {
			read(t, "../cmd/analyst/testdata/script/"+script+".txtar")
		}
	}
}

// TestLinksLeadSomewhere follows the links between files of the repository.
func TestLinksLeadSomewhere(t *testing.T) {
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../README.md", "../AGENTS.md", "../CONTRIBUTING.md", "../SECURITY.md", "../CHANGELOG.md") {
		for _, link := range regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`).FindAllStringSubmatch(read(t, file), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), link[1])); err != nil {
				t.Errorf("%s links to %s: %v", file, link[1], err)
			}
		}
	}
}

// TestEveryDependencyHasItsReason compares go.mod with dependencies.md.
func TestEveryDependencyHasItsReason(t *testing.T) {
	reasons := read(t, "dependencies.md")
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(read(t, "../go.mod"), -1) { // not "// indirect"
		name := strings.TrimSuffix(strings.TrimPrefix(m[1], "github.com/"), "/sdk")
		if !strings.Contains(reasons, name) {
			t.Errorf("dependencies.md gives no reason for %s", m[1])
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeCodeCompiles builds the README's Go, which leaves out what stands around it.
func TestReadmeCodeCompiles(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read(t, "../README.md"), -1)
	if len(blocks) == 0 {
		t.Fatal("the README has no Go")
	}
	for i, block := range blocks {
		file := filepath.Join(t.TempDir(), "readme.go")
		const module = "github.com/jitagent/jitagent/"
		text := "package main\n\nimport (\n\t\"context\"\n\t\"net/http\"\n\t\"os\"\n\n\t\"" +
			strings.Join([]string{module + "jit", module + "lumoauth", module + "rar", module + "secret"}, "\"\n\t\"") +
			"\"\n)\n\nfunc main() { _, _ = work(context.Background(), jit.Origin{}, \"\") }\n\n" +
			"func work(ctx context.Context, origin jit.Origin, url string) (*http.Response, error) {\n" + block[1] + "\treturn resp, err\n}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "go", "vet", file)
		cmd.Dir = ".."
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("block %d: %v\n%s", i+1, err, said)
		}
	}
}

// TestMakeRunHandsOnThePrompt: no character of a prompt is one of make or the shell.
func TestMakeRunHandsOnThePrompt(t *testing.T) {
	const prompt = "a $HOME $(x) $$ `id` \"q\" it's \\ # %"
	cmd := exec.CommandContext(t.Context(), "make", "-s", "run", `GO=printf '%s\n'`, "PROMPT="+prompt)
	cmd.Dir = ".."
	said, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("there is no make")
	}
	if want := "run\n./cmd/analyst\nrun\n" + prompt + "\n"; err != nil || string(said) != want {
		t.Errorf("make run = %q, %v; want %q", said, err, want)
	}
}
