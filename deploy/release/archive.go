package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A file is one of an archive; a name that ends in a slash is a folder.
type file struct {
	name    string
	mode    fs.FileMode
	owner   int
	content []byte
}

// archive packs the program with what its users should have: a zip for Windows, else a
// tar.gz.
func (b *build) archive(base, program string, windows bool) error {
	var files []file
	for _, path := range []string{filepath.Join(b.source, "LICENSE"), filepath.Join(b.source, "README.md"), program} {
		content, err := os.ReadFile(path) //nolint:gosec // named above
		if err != nil {
			return err
		}
		f := file{name: filepath.Base(path), mode: 0o644, content: content}
		if path == program {
			f.mode = 0o755
		}
		files = append(files, f)
	}
	var packed bytes.Buffer
	suffix, err := ".tar.gz", error(nil)
	if windows {
		suffix, err = ".zip", writeZip(&packed, files, b.at)
	} else {
		out := gzip.NewWriter(&packed)
		if err = writeTar(out, files, b.at); err == nil {
			err = out.Close()
		}
	}
	if err != nil {
		return err
	}
	return os.WriteFile(base+suffix, packed.Bytes(), 0o644) //nolint:gosec // for everybody
}

// writeTar writes files with nothing of this machine: no names of users, one time.
func writeTar(to io.Writer, files []file, at time.Time) error {
	out := tar.NewWriter(to)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: int64(f.mode), Uid: f.owner, Gid: f.owner, Size: int64(len(f.content)), ModTime: at.UTC(), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if f.name[len(f.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := out.Write(f.content); err != nil {
			return err
		}
	}
	return out.Close()
}

func writeZip(to io.Writer, files []file, at time.Time) error {
	out := zip.NewWriter(to)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: at.UTC()}
		h.SetMode(f.mode)
		w, err := out.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := w.Write(f.content); err != nil {
			return err
		}
	}
	return out.Close()
}
