package newtool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// tree makes a folder of what a txtar text holds.
func tree(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := txtar.Write(txtar.Parse([]byte(text)), dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// files returns all files below dir by their slash-separated paths.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || d.IsDir() {
			if rel != "." {
				all[filepath.ToSlash(rel)+"/"] = ""
			}
			return err
		}
		text, err := os.ReadFile(path)
		all[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

const checkout = `
-- go.mod --
module github.com/jitagent/jitagent
-- prompts/prompts.go --
package prompts
-- tools/tools.go --
package tools

// Spec and New are taken.
type Spec struct{}

func New() {}
-- tools/tools_test.go --
package tools_test

func startListKeys() {}
-- cmd/analyst/toolkit.go --
package main

var kit = []any{
	tools.FetchDocument,
	// analyst new-tool adds its entry above this line.
}
`

const module1 = `
-- go.mod --
module "example.com/acme" // the shop
-- billing/billing.go --
package billing
-- broken/broken.go --
package broken {
-- two/a.go --
package a
-- two/b.go --
package b
-- 2025/x.txt --
`

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	home, other := tree(t, checkout), tree(t, module1)
	for _, test := range []struct {
		name, work string
		o          Options
		say        string
	}{
		{"bad name", home, Options{Name: "X"}, "snake case"},
		{"no module", t.TempDir(), Options{Name: "x"}, "no go.mod"},
		{"module without a path", tree(t, "-- go.mod --\ngo 1.26\n"), Options{Name: "x"}, "names no module"},
		{"identifier taken", home, Options{Name: "new"}, "declares New already, in tools.go"},
		{"type taken", home, Options{Name: "spec"}, "declares Spec already"},
		{"taken in a test", home, Options{Name: "list_keys"}, "declares startListKeys already, in tools_test.go"},
		{"the instruction", home, Options{Name: "instruction", Force: true}, "instruction"},
		{"broken package", other, Options{Name: "x", Dir: "broken"}, "does not compile"},
		{"two packages", other, Options{Name: "x", Dir: "two"}, "two packages"},
		{"a folder that names no package", other, Options{Name: "x", Dir: "2025"}, "no name for a package"},
		{"keyword for a package", other, Options{Name: "x", Package: "func"}, "no name for a package"},
		{"another package", other, Options{Name: "x", Dir: "billing", Package: "bills"}, "is called billing"},
		{"a file for a folder", other, Options{Name: "x", Dir: "billing/billing.go"}, "not a directory"},
		{"type that is no word", other, Options{Name: "x", Type: `a"b`}, "no type"},
		{"action that is no word", other, Options{Name: "x", Action: "read,write"}, "no action"},
		{"wildcard action", other, Options{Name: "x", Action: "*"}, "no action"},
		{"bad path", other, Options{Name: "x", APIPath: "x"}, "begin with a slash"},
		{"no argument", other, Options{Name: "x", APIPath: "/v1/x"}, "takes no argument"},
		{"two contents", other, Options{Name: "x", APIPath: "/v1/{content}", Effect: true}, "content"},
	} {
		before := files(t, test.work)
		test.o.WorkDir = test.work
		if p, err := New(test.o); err == nil || !strings.Contains(err.Error(), test.say) {
			t.Errorf("%s: New() = %v, %v, want an error with %q", test.name, p, err, test.say)
		}
		if diff := cmp.Diff(before, files(t, test.work)); diff != "" {
			t.Errorf("%s: New() wrote:\n%s", test.name, diff)
		}
	}
}

func TestCheckoutWithoutTheList(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(string) error{
		"no list":   os.Remove,
		"no marker": func(path string) error { return os.WriteFile(path, []byte("package main\n"), 0o600) },
		"two markers": func(path string) error {
			return os.WriteFile(path, []byte("package main\n\n\t"+marker+"\n\t"+marker+"\n"), 0o600)
		},
	} {
		dir := tree(t, checkout)
		if err := change(filepath.Join(dir, "cmd", "analyst", "toolkit.go")); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{Name: "get_key", WorkDir: dir}); err == nil || !strings.Contains(err.Error(), "toolkit.go") {
			t.Errorf("%s: New() = %v, want an error that names toolkit.go", name, err)
		}
	}
}

func TestWriteInTheCheckout(t *testing.T) {
	t.Parallel()
	dir := tree(t, checkout)
	p, err := New(Options{Name: "get_key", WorkDir: filepath.Join(dir, "prompts")})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(); err != nil {
		t.Fatal(err)
	}
	got := files(t, dir)
	for _, name := range []string{"tools/get_key.go", "tools/get_key_test.go", "prompts/get_key.md"} {
		if got[name] == "" {
			t.Errorf("%s was not written", name)
		}
	}
	want := "var kit = []any{\n\ttools.FetchDocument,\n\ttools.GetKey,\n\t" + marker + "\n}\n"
	if list := got["cmd/analyst/toolkit.go"]; !strings.HasSuffix(list, want) {
		t.Errorf("the list is\n%s\nwant its end to be\n%s", list, want)
	}
	if !p.Listed || p.Function != "GetKey" || p.Import != home+"/tools" || p.Example != `{"id":"id_1"}` {
		t.Errorf("plan is %+v", p)
	}
	for name := range got {
		if strings.Contains(name, ".old") || strings.HasPrefix(filepath.Base(name), ".") {
			t.Errorf("%s was left behind", name)
		}
	}

	// Again: an error, and by force the old text is kept and the list has one entry.
	if err := os.WriteFile(filepath.Join(dir, "tools", "get_key.go"), []byte("package tools // mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = New(Options{Name: "get_key", WorkDir: dir})
	var exists *ExistsError
	if !errors.As(err, &exists) || len(exists.Paths) != 3 {
		t.Fatalf("New() = %v, want an ExistsError for 3 files", err)
	}
	if p, err = New(Options{Name: "get_key", WorkDir: dir, Force: true}); err != nil {
		t.Fatal(err)
	}
	if err := p.Write(); err != nil {
		t.Fatal(err)
	}
	again := files(t, dir)
	if again["tools/get_key.go.old"] != "package tools // mine\n" || again["tools/get_key.go"] != got["tools/get_key.go"] {
		t.Errorf("by force: old %q, new %q", again["tools/get_key.go.old"], again["tools/get_key.go"])
	}
	if again["cmd/analyst/toolkit.go"] != got["cmd/analyst/toolkit.go"] {
		t.Errorf("the list was changed again:\n%s", again["cmd/analyst/toolkit.go"])
	}
	if _, err = New(Options{Name: "get_key", WorkDir: dir, Force: true}); err == nil || !strings.Contains(err.Error(), ".old") {
		t.Errorf("a second force: %v, want an error that saves the kept file", err)
	}
}

// Whatever write fails, the folder is as it was.
func TestWriteIsAllOrNothing(t *testing.T) {
	t.Parallel()
	for name, obstacle := range map[string]func(*Plan){
		"the test": func(p *Plan) { p.Files[1].Path = filepath.Join(p.Root, "nowhere", "x_test.go") },
		"the description": func(p *Plan) {
			p.Files[2].Path = filepath.Join(p.Root, "nowhere", "x.md")
		},
		"the list": func(p *Plan) {
			last := &p.Files[len(p.Files)-1]
			last.Path, last.old = filepath.Join(p.Root, "nowhere", "toolkit.go"), nil
		},
		"where the old test is kept": func(p *Plan) { p.Files[1].Kept = filepath.Join(p.Root, "nowhere", "x.old") },
	} {
		for _, o := range []Options{{Name: "get_key"}, {Name: "get_key", Dir: "new/folder"}, {Name: "get_key", Force: true}} {
			dir := tree(t, checkout)
			o.WorkDir = dir
			if o.Force {
				for _, file := range []string{"tools/get_key.go", "tools/get_key_test.go", "prompts/get_key.md"} {
					if err := os.WriteFile(filepath.Join(dir, file), []byte("package tools\n"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			before := files(t, dir)
			p, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			obstacle(p)
			if err := p.Write(); err == nil {
				t.Errorf("%s, %+v: Write() = nil", name, o)
			}
			if diff := cmp.Diff(before, files(t, dir)); diff != "" {
				t.Errorf("%s, %+v: a failed Write left:\n%s", name, o, diff)
			}
		}
	}
}

func TestWriteRefusesWhatHasChanged(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"tools/get_key.go", "cmd/analyst/toolkit.go"} {
		dir := tree(t, checkout)
		p, err := New(Options{Name: "get_key", WorkDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte("somebody else's"), 0o600); err != nil {
			t.Fatal(err)
		}
		before := files(t, dir)
		if err := p.Write(); err == nil || !strings.Contains(err.Error(), "changed by somebody else") {
			t.Errorf("%s: Write() = %v", file, err)
		}
		if diff := cmp.Diff(before, files(t, dir)); diff != "" {
			t.Errorf("%s: Write() wrote:\n%s", file, diff)
		}
	}
}

func TestInAModuleOfOnesOwn(t *testing.T) {
	t.Parallel()
	dir := tree(t, module1)
	for _, test := range []struct {
		o             Options
		file, pkg, at string
	}{
		{Options{Name: "a"}, "tools/a.go", "package tools", "example.com/acme/tools"},
		{Options{Name: "b", Dir: "billing"}, "billing/b.go", "package billing", "example.com/acme/billing"},
		{Options{Name: "c", Dir: "billing/new-part"}, "billing/new-part/c.go", "package newpart", "example.com/acme/billing/new-part"},
		{Options{Name: "d", Dir: "2025", Package: "year"}, "2025/d.go", "package year", "example.com/acme/2025"},
	} {
		test.o.WorkDir = dir
		p, err := New(test.o)
		if err != nil {
			t.Errorf("New(%+v) = %v", test.o, err)
			continue
		}
		if err := p.Write(); err != nil {
			t.Errorf("Write() of %s = %v", test.o.Name, err)
		}
		got := files(t, dir)
		if !strings.HasPrefix(got[test.file], test.pkg+"\n") || got[strings.TrimSuffix(test.file, ".go")+".md"] == "" {
			t.Errorf("%s begins with %.40q", test.file, got[test.file])
		}
		if p.Import != test.at || p.Listed || p.Module != "example.com/acme" {
			t.Errorf("plan is %+v, want the import path %s", p, test.at)
		}
	}
}
