package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWriteFile: what was there before is replaced only where it is ours or --force
// says so, and only what was written is removed again.
func TestWriteFile(t *testing.T) {
	const mark = "# ours"
	for name, tt := range map[string]struct {
		before string
		force  bool
		fails  bool
	}{
		"ours":          {before: mark + "\nold"},
		"empty":         {before: ""},
		"foreign":       {before: "notes of somebody", fails: true},
		"foreign, told": {before: "notes of somebody", force: true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, []byte(tt.before), 0o600); err != nil {
				t.Fatal(err)
			}
			end, err := WriteFile(path, []byte(mark+"\nnew"), mark, tt.force)
			if (err != nil) != tt.fails {
				t.Fatalf("WriteFile() = %v", err)
			}
			end(true)
			text, err := os.ReadFile(path)
			if tt.fails && string(text) != tt.before || !tt.fails && err == nil {
				t.Errorf("afterwards there is %q, %v", text, err)
			}
		})
	}
	t.Run("changed since", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		end, err := WriteFile(path, []byte(mark), mark, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("edited"), 0o600); err != nil {
			t.Fatal(err)
		}
		end(true)
		if text, err := os.ReadFile(path); string(text) != "edited" {
			t.Errorf("afterwards there is %q, %v", text, err)
		}
	})
	t.Run("of a living process", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		end, err := WriteFile(path, []byte(mark+"\nfirst"), mark, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, force := range []bool{false, true} {
			second, err := WriteFile(path, []byte(mark+"\nsecond"), mark, force)
			if err == nil || Exit(err).Code != ExitUsage {
				t.Errorf("force %v: WriteFile() = %v", force, err)
			}
			second(true)
		}
		if text, err := os.ReadFile(path); string(text) != mark+"\nfirst" {
			t.Errorf("the first's file holds %q, %v", text, err)
		}
		end(false)
		if end, err = WriteFile(path, []byte(mark+"\nthird"), mark, false); err != nil {
			t.Errorf("after its end: %v", err)
		}
		end(true)
	})
	t.Run("link", func(t *testing.T) {
		dir := t.TempDir()
		target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
		if err := os.WriteFile(target, []byte(mark), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, link); err != nil {
			t.Skip(err)
		}
		if _, err := WriteFile(link, []byte(mark+"\nnew"), mark, false); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(link); err != nil || info.Mode().IsRegular() {
			t.Errorf("the link is gone: %v, %v", info, err)
		}
		if text, _ := os.ReadFile(target); !strings.HasSuffix(string(text), "new") {
			t.Errorf("its target holds %q", text)
		}
	})
	t.Run("device", func(t *testing.T) {
		link := filepath.Join(t.TempDir(), "null")
		if err := os.Symlink(os.DevNull, link); err != nil {
			t.Skip(err)
		}
		end, err := WriteFile(link, []byte("text"), mark, false)
		if err != nil {
			t.Fatal(err)
		}
		end(true)
		if _, err := os.Lstat(link); err != nil {
			t.Errorf("the link is gone: %v", err)
		}
	})
}
