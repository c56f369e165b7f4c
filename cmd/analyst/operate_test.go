package main

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// TestOperateByTheLetter runs the shell of docs/operate.md as it stands.
func TestOperateByTheLetter(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil || runtime.GOOS == "windows" {
		t.Skip("no curl, or no sh")
	}
	page, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	script := "trap 'kill $! 2>/dev/null || true' EXIT\n"
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(page, -1) {
		script += string(block[1])
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", script) //nolint:gosec // our own page
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "NO_PROXY=*", "HOME="+cmd.Dir)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "held:  the checkpoint of") != 2 {
		t.Errorf("%v: %s", err, out)
	}
}
