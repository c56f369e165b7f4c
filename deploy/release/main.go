// Command release builds what is released of the commit that a checkout is at: a
// program for each platform, as an archive with its bill of materials, a container image
// for Linux, and the checksums of all of them.
//
//	go -C deploy run ./release -out "$PWD/dist"
//
// The same commit, built by the same version of Go, gives the same bytes, wherever the
// checkout is: it is cloned first, so what is not committed has no part; paths are left
// out, and times are the commit's. Nothing is published.
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// everywhere is what a release runs on.
const everywhere = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"

// sbom is the tool that writes bills of materials (CycloneDX).
const sbom = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"

func main() {
	var o options
	var platforms string
	flag.StringVar(&o.checkout, "checkout", ".", "`DIR` in the repository, whose HEAD is built")
	flag.StringVar(&o.out, "out", "dist", "`DIR` that the release is written to; it must not be there, or be empty")
	flag.StringVar(&platforms, "platforms", everywhere, "comma-separated `OS/ARCH` to build for")
	flag.Parse()
	o.platforms = strings.Split(platforms, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		stop()
		os.Exit(1)
	}
}

// options are what is built, and where to.
type options struct {
	checkout, out string
	platforms     []string
	env           []string // beside the environment
}

// A build is the release under way.
type build struct {
	out, source string
	env         []string
	version     string
	revision    string
	at          time.Time // of the commit
	images      []platformImage
}

func (o options) run(ctx context.Context) (err error) {
	if entries, err := os.ReadDir(o.out); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty", o.out)
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil { //nolint:gosec // what is released is for everybody
		return err
	}
	dir, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &build{out: o.out, source: filepath.Join(dir, "source"), env: append(os.Environ(),
		"GOFLAGS=-trimpath", "GOWORK=off", "CGO_ENABLED=0", "GOEXPERIMENT=", "GOFIPS140=off", "GOAMD64=v1", "GOARM64=v8.0")}
	b.env = append(b.env, o.env...)
	top, err := b.tell(ctx, o.checkout, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	if _, err := b.tell(ctx, dir, "git", "clone", "--quiet", top, b.source); err != nil {
		return err
	}
	if b.revision, err = b.tell(ctx, b.source, "git", "rev-parse", "HEAD"); err != nil {
		return err
	}
	at, err := b.tell(ctx, b.source, "git", "show", "--no-patch", "--format=%cI")
	if err != nil {
		return err
	}
	if b.at, err = time.Parse(time.RFC3339, at); err != nil {
		return err
	}
	for _, platform := range o.platforms {
		if err := b.platform(ctx, platform); err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
	}
	if len(b.images) > 0 {
		if err := b.image(); err != nil {
			return fmt.Errorf("image: %w", err)
		}
	}
	return checksums(o.out)
}

// platform builds the program for one platform, as an archive with its bill of materials
// beside it, and remembers what goes into the image.
func (b *build) platform(ctx context.Context, platform string) error {
	goos, arch, ok := strings.Cut(platform, "/")
	if !ok {
		return errors.New("a platform reads OS/ARCH")
	}
	fmt.Fprintln(os.Stderr, "release:", platform)
	env := b.env
	b.env = append(env[:len(env):len(env)], "GOOS="+goos, "GOARCH="+arch)
	defer func() { b.env = env }()
	name := "analyst"
	if goos == "windows" {
		name += ".exe"
	}
	program := filepath.Join(b.source, "..", goos+"_"+arch, name)
	if _, err := b.tell(ctx, b.source, "go", "build", "-ldflags=-s -w", "-o", program, "./cmd/analyst"); err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return err
	}
	b.version = info.Main.Version
	base := filepath.Join(b.out, strings.Join([]string{"analyst", b.version, goos, arch}, "_"))
	if err := b.archive(base, program, goos == "windows"); err != nil {
		return err
	}
	if goos == "linux" {
		b.images = append(b.images, platformImage{arch, program})
	}
	return b.materials(ctx, base+".cdx.json")
}

// materials writes the bill of materials of what was built last.
func (b *build) materials(ctx context.Context, path string) error {
	tool := filepath.Join(b.source, "..", "cyclonedx-gomod")
	if _, err := os.Stat(tool); err != nil { // it runs here, whatever it is told about
		if _, err := b.tell(ctx, b.source, "env", "-u", "GOOS", "-u", "GOARCH", "GOBIN="+filepath.Dir(tool), "go", "install", sbom); err != nil {
			return err
		}
	}
	text, err := b.tell(ctx, b.source, tool, "app", "-json", "-noserial", "-licenses", "-std", "-main", "cmd/analyst", ".")
	if err != nil {
		return err
	}
	var bill map[string]any
	if err := json.Unmarshal([]byte(text), &bill); err != nil {
		return err
	}
	about, ok := bill["metadata"].(map[string]any)
	if !ok {
		return errors.New("bill of materials: it has no metadata")
	}
	about["timestamp"] = b.at.UTC().Format(time.RFC3339)
	if tools, ok := about["tools"].([]any); ok && len(tools) == 1 { // whose hash depends on the machine
		if tool, ok := tools[0].(map[string]any); ok {
			delete(tool, "hashes")
		}
	}
	clean, err := json.MarshalIndent(bill, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(clean, '\n'), 0o644) //nolint:gosec // for everybody
}

// tell runs a command and returns what it prints.
func (b *build) tell(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // each of them is named here
	cmd.Dir, cmd.Env = dir, b.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, cmp.Or(args...), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSpace(string(out)), nil
}

// checksums writes SHA256SUMS, as sha256sum --check reads it.
func checksums(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), e.Name())
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), sums.Bytes(), 0o644) //nolint:gosec // for everybody
}
