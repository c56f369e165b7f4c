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
-- tools/taken.go --
package tools
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
-- 2025/x.txt --
`

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	home, other := tree(t, checkout), tree(t, module1)
	for _, test := range []struct {
		name, work string
		o          options
		say        string
	}{
		{"bad name", home, options{Name: "X"}, "snake case"},
		{"no module", t.TempDir(), options{Name: "x"}, "no go.mod"},
		{"a file that is there", home, options{Name: "taken"}, "taken.go is there already"},
		{"module without a path", tree(t, "-- go.mod --\ngo 1.26\n"), options{Name: "x"}, "names no module"},
		{"the instruction", home, options{Name: "instruction"}, "instruction"},
		{"a folder that names no package", other, options{Name: "x", Dir: "2025"}, "no name for a package"},
		{"keyword for a package", other, options{Name: "x", Package: "func"}, "no name for a package"},
		{"another package", other, options{Name: "x", Dir: "billing", Package: "bills"}, "is called billing"},
		{"type that is no word", other, options{Name: "x", Type: `a"b`}, "no type"},
		{"action that is no word", other, options{Name: "x", Action: "read,write"}, "no action"},
		{"wildcard action", other, options{Name: "x", Action: "*"}, "no action"},
		{"bad path", other, options{Name: "x", APIPath: "x"}, "begin with a slash"},
		{"no argument", other, options{Name: "x", APIPath: "/v1/x"}, "takes no argument"},
		{"kind that is none", other, options{Name: "x", APIPath: "/v1/{id:date}"}, "the kinds are"},
		{"list in the path", other, options{Name: "x", APIPath: "/v1/{id:list}"}, "no place in the path"},
		{"optional in the path", other, options{Name: "x", APIPath: "/v1/{id?}"}, "cannot be absent"},
		{"choice that is no word", other, options{Name: "x", APIPath: "/v1/{id:a|b c}"}, "no plain word"},
		{"two contents", other, options{Name: "x", APIPath: "/v1/{content}", Effect: true}, "content"},
	} {
		before := files(t, test.work)
		test.o.WorkDir = test.work
		if p, err := newPlan(test.o); err == nil || !strings.Contains(err.Error(), test.say) {
			t.Errorf("%s: newPlan() = %v, %v, want an error with %q", test.name, p, err, test.say)
		}
		if diff := cmp.Diff(before, files(t, test.work)); diff != "" {
			t.Errorf("%s: newPlan() wrote:\n%s", test.name, diff)
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
		if _, err := newPlan(options{Name: "get_key", WorkDir: dir}); err == nil || !strings.Contains(err.Error(), "toolkit.go") {
			t.Errorf("%s: newPlan() = %v, want an error that names toolkit.go", name, err)
		}
	}
}

func TestWriteInTheCheckout(t *testing.T) {
	t.Parallel()
	dir := tree(t, checkout)
	p, err := newPlan(options{Name: "get_key", WorkDir: filepath.Join(dir, "prompts")})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.write(); err != nil {
		t.Fatal(err)
	}
	got := files(t, dir)
	for _, name := range []string{"tools/get_key.go", "tools/get_key_test.go", "prompts/get_key.md"} {
		if got[name] == "" {
			t.Errorf("%s was not written", name)
		}
	}
	want := "var kit = []any{\n\ttools.FetchDocument,\n\ttools.GetKey,\n\t\t" + marker + "\n}\n"
	if list := got["cmd/analyst/toolkit.go"]; !strings.HasSuffix(list, want) {
		t.Errorf("the list is\n%s\nwant its end to be\n%s", list, want)
	}
	if p.Add != "" || p.Function != "GetKey" || p.Package != home+"/tools" || p.example != `{"id":"id_1"}` {
		t.Errorf("plan is %+v", p)
	}
	for name := range got {
		if strings.Contains(name, ".old") || strings.HasPrefix(filepath.Base(name), ".") {
			t.Errorf("%s was left behind", name)
		}
	}

	// Again: an error, and nothing is touched.
	_, err = newPlan(options{Name: "get_key", WorkDir: dir})
	if !errors.Is(err, errExists) || err.Error() != "get_key.go is there already" {
		t.Fatalf("newPlan() = %v", err)
	}
	if diff := cmp.Diff(got, files(t, dir)); diff != "" {
		t.Errorf("a second one wrote:\n%s", diff)
	}
}

// A write that fails stops there, and says what is there by then.
func TestWriteThatFails(t *testing.T) {
	t.Parallel()
	dir := tree(t, checkout)
	p, err := newPlan(options{Name: "get_key", WorkDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	p.Files[2].Path = filepath.Join(dir, "nowhere", "get_key.md")
	if err := p.write(); err == nil || !strings.HasSuffix(err.Error(), "; written before that: get_key.go, get_key_test.go") {
		t.Errorf("write() = %v", err)
	}
	if list := files(t, dir)["cmd/analyst/toolkit.go"]; strings.Contains(list, "GetKey") {
		t.Errorf("the list names a tool that is not whole:\n%s", list)
	}
}

func TestInAModuleOfOnesOwn(t *testing.T) {
	t.Parallel()
	dir := tree(t, module1)
	for _, test := range []struct {
		o             options
		file, pkg, at string
	}{
		{options{Name: "a"}, "tools/a.go", "package tools", "example.com/acme/tools"},
		{options{Name: "b", Dir: "billing"}, "billing/b.go", "package billing", "example.com/acme/billing"},
		{options{Name: "c", Dir: "billing/new-part"}, "billing/new-part/c.go", "package newpart", "example.com/acme/billing/new-part"},
		{options{Name: "d", Dir: "2025", Package: "year"}, "2025/d.go", "package year", "example.com/acme/2025"},
	} {
		test.o.WorkDir = dir
		p, err := newPlan(test.o)
		if err != nil {
			t.Errorf("newPlan(%+v) = %v", test.o, err)
			continue
		}
		if err := p.write(); err != nil {
			t.Errorf("write() of %s = %v", test.o.Name, err)
		}
		got := files(t, dir)
		if !strings.HasPrefix(got[test.file], test.pkg+"\n") || got[strings.TrimSuffix(test.file, ".go")+".md"] == "" {
			t.Errorf("%s begins with %.40q", test.file, got[test.file])
		}
		if p.Package != test.at || p.Add == "" || !strings.Contains(p.Add, test.at) {
			t.Errorf("plan is %+v, want the import path %s", p, test.at)
		}
	}
}
