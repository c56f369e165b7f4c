package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// A bench is what all faults share: the built program and a directory.
type bench struct {
	options
	bin       string // the analyst, with failpoints
	source    string // the module it is built from
	dir       string
	commit    string
	goVersion string

	mu     sync.Mutex
	stderr io.Writer
}

func newBench(ctx context.Context, o options, stderr io.Writer) (*bench, error) {
	dir, err := os.MkdirTemp("", "analyst-faults-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, dir: dir, bin: filepath.Join(dir, "analyst"), stderr: stderr, goVersion: runtime.Version()}
	gomod, err := output(ctx, ".", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/jitagent/jitagent")
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	b.source = gomod
	if _, err := output(ctx, b.source, "go", "build", "-tags", "failpoints", "-o", b.bin, "./cmd/analyst"); err != nil {
		return nil, errors.Join(err, b.close())
	}
	b.commit = "unknown"
	if commit, err := output(ctx, b.source, "git", "rev-parse", "--short=12", "HEAD"); err == nil {
		b.commit = commit
		if changes, err := output(ctx, b.source, "git", "status", "--porcelain"); err == nil && changes != "" {
			b.commit += " with changes"
		}
	}
	return b, nil
}

// output runs a command to its end.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

func (b *bench) close() error {
	if b.keep {
		b.say("kept: %s", b.dir)
		return nil
	}
	return os.RemoveAll(b.dir)
}

// say tells a person how far it is.
func (b *bench) say(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, _ = fmt.Fprintf(b.stderr, "faults: "+format+"\n", args...) // nobody to tell
}

func (b *bench) detail(format string, args ...any) {
	if b.verbose {
		b.say(format, args...)
	}
}

// random returns a source of its own for each use, all from one seed.
func (b *bench) random(use uint64) *rand.Rand {
	return rand.New(rand.NewPCG(b.seed, use)) //nolint:gosec // to be repeated, not to be secret
}
