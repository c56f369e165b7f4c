package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// A platformImage is a program for Linux, and the architecture that it is for.
type platformImage struct{ arch, program string }

// In the image: who runs the program, and the one folder that is theirs.
const (
	nobody   = 65532
	stateDir = "/var/lib/analyst"
)

// image writes an OCI image of the programs for Linux as one tar, an index of one image
// for each architecture. There is no shell in it and nothing else that runs: the
// program, certificates, and who runs it.
func (b *build) image() error {
	labels := map[string]string{
		"org.opencontainers.image.title":    "analyst",
		"org.opencontainers.image.source":   "https://github.com/jitagent/jitagent",
		"org.opencontainers.image.version":  b.version,
		"org.opencontainers.image.revision": b.revision,
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range b.images {
		img, err := b.platformImage(p, labels)
		if err != nil {
			return fmt.Errorf("%s: %w", p.arch, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: p.arch}}})
	}
	dir := filepath.Join(b.source, "..", "image")
	// Tools that load an archive look for the one image that it is of.
	if _, err := layout.Write(dir, mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: index, Descriptor: v1.Descriptor{Annotations: map[string]string{"org.opencontainers.image.ref.name": b.version}},
	})); err != nil {
		return err
	}
	var files []file
	tree := os.DirFS(dir)
	err := fs.WalkDir(tree, ".", func(path string, e fs.DirEntry, err error) error { // in the order of names
		if err != nil || e.IsDir() {
			return err
		}
		content, err := fs.ReadFile(tree, path)
		files = append(files, file{name: path, mode: 0o644, content: content})
		return err
	})
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	if err := writeTar(&packed, files, b.at); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.out, "analyst_"+b.version+"_image.tar"), packed.Bytes(), 0o644) //nolint:gosec // for everybody
}

// platformImage is the image for one architecture.
func (b *build) platformImage(p platformImage, labels map[string]string) (v1.Image, error) {
	program, err := os.ReadFile(p.program)
	if err != nil {
		return nil, err
	}
	var roots bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil { // a file of certificates cannot say so
			continue
		}
		if err := pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	var tree bytes.Buffer
	if err := writeTar(&tree, []file{
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, content: fmt.Appendf(nil, "analyst:x:%d:\n", nobody)},
		{name: "etc/passwd", mode: 0o644, content: fmt.Appendf(nil, "analyst:x:%d:%d::%s:/sbin/nologin\n", nobody, nobody, stateDir)},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: roots.Bytes()},
		{name: "tmp/", mode: 0o777 | 0o1000},
		{name: "usr/", mode: 0o755},
		{name: "usr/bin/", mode: 0o755},
		{name: "usr/bin/analyst", mode: 0o755, content: program},
		{name: "var/", mode: 0o755},
		{name: "var/lib/", mode: 0o755},
		{name: stateDir[1:] + "/", mode: 0o700, owner: nobody},
	}, b.at); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(tree.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	at := v1.Time{Time: b.at.UTC()}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if img, err = mutate.ConfigFile(img, &v1.ConfigFile{
		OS: "linux", Architecture: p.arch, Created: at, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User: fmt.Sprintf("%d:%d", nobody, nobody), Entrypoint: []string{"/usr/bin/analyst"}, WorkingDir: stateDir,
			Env:     []string{"PATH=/usr/bin", "HOME=" + stateDir, "ANALYST_STATE_DIR=" + stateDir + "/state"},
			Volumes: map[string]struct{}{stateDir: {}}, Labels: labels,
		},
	}); err != nil {
		return nil, err
	}
	return mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{Created: at, CreatedBy: "deploy/release"}})
}
