package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

var whole = flag.Bool("whole", false, "build for every platform, and the second time without what the first left in the build cache")

// first is the release that the tests share.
var first = sync.OnceValues(func() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "first")
	if err != nil {
		return nil, err
	}
	files, err := release(dir)
	return files, errors.Join(err, os.RemoveAll(dir))
})

// release builds HEAD from a clone of its own in dir, and returns what came of it.
func release(dir string, env ...string) (map[string][]byte, error) {
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return nil, err
	}
	clone, out := filepath.Join(dir, "clone"), filepath.Join(dir, "dist")
	if out, err := exec.Command("git", "clone", "--quiet", strings.TrimSpace(string(top)), clone).CombinedOutput(); err != nil { //nolint:gosec // our own
		return nil, fmt.Errorf("clone: %w: %s", err, out)
	}
	// What is not committed has no part in a release.
	if err := os.WriteFile(filepath.Join(clone, "README.md"), []byte("mine"), 0o600); err != nil {
		return nil, err
	}
	platforms := []string{"linux/" + runtime.GOARCH}
	if *whole {
		platforms = strings.Split(everywhere, ",")
	}
	if err := (options{checkout: clone, out: out, platforms: platforms, env: env}).run(context.Background()); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(out)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(out, e.Name())); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// TestTwiceTheSameBytes builds the same commit in two places.
func TestTwiceTheSameBytes(t *testing.T) {
	first, err := first()
	if err != nil {
		t.Fatal(err)
	}
	var env []string
	if *whole {
		env = []string{"GOCACHE=" + t.TempDir()}
	}
	second, err := release(filepath.Join(t.TempDir(), "another", "and a longer one"), env...)
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(first))
	if others := slices.Sorted(maps.Keys(second)); !slices.Equal(names, others) {
		t.Fatalf("the first is %q, the second %q", names, others)
	}
	var sums bytes.Buffer
	for _, name := range names {
		if !bytes.Equal(first[name], second[name]) {
			t.Errorf("%s differs", name)
		}
		if name != "SHA256SUMS" {
			fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(first[name]), name)
		}
	}
	if got := string(first["SHA256SUMS"]); got != sums.String() {
		t.Errorf("SHA256SUMS is %q, want %q", got, sums.String())
	}
	for name, content := range first {
		if strings.Contains(name, "dirty") {
			t.Errorf("%s: what is not committed had a part", name)
		}
		if strings.HasSuffix(name, ".cdx.json") {
			checkMaterials(t, name, content)
		}
	}
}

// checkMaterials holds a bill of materials to what is known to be linked.
func checkMaterials(t *testing.T, name string, content []byte) {
	t.Helper()
	var bill struct {
		BOMFormat  string
		Components []struct {
			Name, PURL string
			Evidence   struct{ Licenses []any }
		}
	}
	if err := json.Unmarshal(content, &bill); err != nil || bill.BOMFormat != "CycloneDX" {
		t.Fatalf("%s: %v, format %q", name, err, bill.BOMFormat)
	}
	missing := map[string]bool{"google.golang.org/adk/v2": true, "modernc.org/sqlite": true, "std": true}
	for _, c := range bill.Components {
		delete(missing, c.Name)
		if c.Name != "std" && len(c.Evidence.Licenses) == 0 {
			t.Errorf("%s: %s has no license", name, c.Name)
		}
	}
	if len(missing) > 0 {
		t.Errorf("%s lacks %v", name, slices.Collect(maps.Keys(missing)))
	}
}
