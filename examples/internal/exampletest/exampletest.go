// Package exampletest runs an example as the process that a reader would start,
// and holds its output against what its README shows.
//
// For tests only.
package exampletest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asProgram tells the test binary to be the example.
const asProgram = "EXAMPLETEST_AS_PROGRAM"

// Main is called by an example's TestMain with the example's own main, which the
// test binary runs in place of the tests when [README] starts it.
func Main(m *testing.M, main func()) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	m.Run()
}

// README runs the example of the working directory in a process of its own. Its
// standard output must be what README.md shows below "$ go run", port numbers
// aside, and its standard error empty.
func README(t *testing.T) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	command := "$ go run ./examples/" + filepath.Base(dir) + "\n"
	_, shown, found := strings.Cut(string(readme), "```console\n"+command)
	want, _, closed := strings.Cut(shown, "```\n")
	if !found || !closed {
		t.Fatalf("README.md has no console block that begins with %q", command)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self) //nolint:gosec // this test binary
	cmd.Env = append(os.Environ(), asProgram+"=1", "NO_PROXY=*")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("the program: %v, and on standard error: %s", err, stderr.String())
	}
	if diff := cmp.Diff(ports(want), ports(stdout.String())); diff != "" {
		t.Errorf("the output is not what README.md shows (-README +program):\n%s", diff)
	}
}

var port = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)

// ports replaces what differs from run to run.
func ports(s string) string { return port.ReplaceAllString(s, "127.0.0.1:PORT") }
