package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestNoFailpointsInTheProgram asks what the program is linked from. The points at
// which tests kill it are not part of what people run, whatever their environment
// says.
func TestNoFailpointsInTheProgram(t *testing.T) {
	const pkg = "github.com/jitagent/jitagent/lab/failpoint"
	linked := func(tags string) bool {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", tags, ".").Output()
		if err != nil {
			t.Fatal(err)
		}
		return slices.Contains(strings.Fields(string(out)), pkg)
	}
	if linked("") {
		t.Errorf("without a tag the program is linked from %s", pkg)
	}
	if !linked("failpoints") { // or the above could not fail
		t.Errorf("with the tag failpoints it is not linked from %s", pkg)
	}
}
