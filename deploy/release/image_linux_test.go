package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// rootEnv tells this program, started by itself in a mount namespace of its own, to run
// its arguments on the tree in a folder: read-only but for the state directory, as who
// the image runs as. volumeEnv says whose that directory is.
const rootEnv, volumeEnv = "IMAGE_ROOT", "IMAGE_VOLUME"

// A volume is as a container engine makes it of the image, or as Kubernetes mounts one for a
// pod with an fsGroup: it belongs to root.
var volumes = map[string]string{"the image's": "uid=65532,gid=65532,mode=0700", "with an fsGroup": "uid=0,gid=65532,mode=2775", "an emptyDir": "uid=0,gid=65532,mode=2777"}

func TestMain(m *testing.M) {
	if root := os.Getenv(rootEnv); root != "" {
		if err := inside(root, os.Args[1:]); err != nil {
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				os.Exit(exit.ExitCode())
			}
			fmt.Fprintln(os.Stderr, "inside:", err)
			os.Exit(125)
		}
		return
	}
	os.Exit(m.Run())
}

func inside(root string, args []string) error {
	if err := syscall.Mount(root, root, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	if err := syscall.Mount("", root, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY|syscall.MS_NOSUID, ""); err != nil {
		return err
	}
	if err := syscall.Mount("volume", root+stateDir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NOEXEC, os.Getenv(volumeEnv)); err != nil {
		return err
	}
	for i := 0; ; i++ { // several commands, one after another, on one state directory
		end := slices.Index(args, ";")
		one := args
		if end >= 0 {
			one = args[:end]
		}
		cmd := exec.Command(one[0], one[1:]...) //nolint:gosec // by the test
		cmd.Dir, cmd.Env = stateDir, strings.Split(os.Getenv("IMAGE_ENV"), "\n")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if err := cmd.Run(); err != nil || end < 0 {
			return err
		}
		args = args[end+1:]
	}
}

// TestImageRuns unpacks the image, and runs the program in it with nothing but what is
// in it.
func TestImageRuns(t *testing.T) {
	dist, err := first()
	if err != nil {
		t.Fatal(err)
	}
	img := unpack(t, dist)
	if err := validate.Image(img); err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := config.Config.User, "65532:65532"; got != want {
		t.Errorf("it runs as %s, want %s", got, want)
	}
	root := t.TempDir()
	// Whoever is in the image must come to what is in it; the others must not be kept from it.
	for dir := root; dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode()&0o001 == 0 {
			if err := os.Chmod(dir, info.Mode()|0o011); err != nil { //nolint:gosec // a folder of this test
				t.Fatal(err)
			}
		}
	}
	names := extract(t, img, root)
	if want := []string{
		"etc/group", "etc/passwd", "etc/ssl/certs/ca-certificates.crt", "usr/bin/analyst",
	}; !slices.Equal(names, want) {
		t.Errorf("it holds %q, want %q", names, want)
	}
	roots, err := os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))
	if pool := x509.NewCertPool(); err != nil || !pool.AppendCertsFromPEM(roots) || bytes.Count(roots, []byte("BEGIN")) < 100 {
		t.Errorf("it lacks certificates: %v, %d bytes", err, len(roots))
	}
	if os.Getuid() != 0 {
		t.Skip("only root may change the root")
	}
	for name, volume := range volumes {
		out, err := run(t, root, volume, config, "version", ";", "doctor", ";", "run", "--quiet", "Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'.", ";", "audit", "verify",
			";", "explain", "--html", "/tmp/story.html")
		if err == nil {
			t.Errorf("%s: the root can be written to", name)
		}
		for _, want := range []string{"analyst v", "ok    journal", "Q4 Analysis", "whole: ", "read-only file system"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: it does not say %q: %s", name, want, out)
			}
		}
	}
}

// unpack returns the image for this machine.
func unpack(t *testing.T, dist map[string][]byte) v1.Image {
	t.Helper()
	dir := t.TempDir()
	for name, content := range dist {
		if !strings.HasSuffix(name, "_image.tar") {
			continue
		}
		writeTree(t, bytes.NewReader(content), dir)
	}
	path, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("%v: the archive is of %d images, want 1", err, len(manifest.Manifests))
	}
	if index, err = index.ImageIndex(manifest.Manifests[0].Digest); err != nil {
		t.Fatal(err)
	}
	if manifest, err = index.IndexManifest(); err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		if m.Platform.OS == "linux" && m.Platform.Architecture == runtime.GOARCH {
			img, err := index.Image(m.Digest)
			if err != nil {
				t.Fatal(err)
			}
			return img
		}
	}
	t.Fatal("there is no image for this machine")
	return nil
}

// extract writes the tree of the image, and returns the files in it.
func extract(t *testing.T, img v1.Image, root string) []string {
	t.Helper()
	in := mutate.Extract(img)
	defer func() { _ = in.Close() }() // it was read
	return writeTree(t, in, root)
}

func writeTree(t *testing.T, in io.Reader, root string) (names []string) {
	t.Helper()
	for r := tar.NewReader(in); ; {
		h, err := r.Next()
		if err == io.EOF {
			slices.Sort(names)
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, filepath.FromSlash(h.Name))        //nolint:gosec // our own
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as in the image
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755) //nolint:gosec // the same
		} else {
			var content []byte
			if content, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, content, h.FileInfo().Mode())
			}
			names = append(names, h.Name)
		}
		if err == nil && os.Getuid() == 0 {
			err = os.Lchown(path, h.Uid, h.Gid)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// run runs commands of the program on the tree, each after a ";".
func run(t *testing.T, root, volume string, config *v1.ConfigFile, commands ...string) (string, error) {
	t.Helper()
	program := config.Config.Entrypoint[0]
	args := []string{program}
	for _, arg := range commands {
		if args = append(args, arg); arg == ";" {
			args = append(args, program)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...) //nolint:gosec // this test
	cmd.Env = []string{rootEnv + "=" + root, volumeEnv + "=" + volume, "IMAGE_ENV=" + strings.Join(config.Config.Env, "\n")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("no mount namespace is to be had here")
	}
	return string(out), err
}
