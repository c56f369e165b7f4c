package newtool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the checkout that this test is part of.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	// go test keeps a result until a file changes that the test itself has looked at;
	// what the go command reads on its behalf does not count.
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if err == nil && filepath.Ext(path) == ".go" {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // somebody is at work there
		t.Fatal(err)
	}
	return dir
}

// goCommand runs the go command offline and returns all that it says.
func goCommand(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...) //nolint:gosec // the test's own arguments
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod -buildvcs=false", "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// An overlay shows the go command files that are not there.
type overlay struct {
	Replace map[string]string

	dir string
}

func (o *overlay) add(t *testing.T, path string, content []byte) {
	t.Helper()
	real := filepath.Join(o.dir, fmt.Sprintf("%d%s", len(o.Replace), filepath.Ext(path)))
	if err := os.WriteFile(real, content, 0o600); err != nil {
		t.Fatal(err)
	}
	o.Replace[path] = real
}

func (o *overlay) flag(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(o.dir, "overlay.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return "-overlay=" + path
}

// widenings are ways in which a careless hand makes a ceiling larger. Each must
// make the generated test fail.
var widenings = []struct{ name, old, new string }{
	{"one action more", `Actions: []string{"read"}`, `Actions: []string{"read", "delete"}`},
	{"another action", `Actions: []string{"read"}`, `Actions: []string{"write"}`},
	{"one detail more", "\n\t\t\t}}\n", "\n\t\t\t}, {Type: \"vault_key\", Actions: []string{\"admin\"}, Identifier: a.ID, Locations: []string{origin.String()}}}\n"},
	{"no identifier", `Identifier: a.ID, `, ``},
	{"a wildcard beside it", "\n\t\t\t}}\n", "\n\t\t\t}, {Type: \"vault_key\", Actions: []string{\"read\"}, Identifier: \"*\", Locations: []string{origin.String()}}}\n"},
	{"no location", `, Locations: []string{origin.String()}`, ``},
	{"any location beside it", "\n\t\t\t}}\n", "\n\t\t\t}, {Type: \"vault_key\", Actions: []string{\"read\"}, Identifier: a.ID}}\n"},
	{"another type", `Type: "vault_key"`, `Type: "payment"`},
	{"privileges", "\n\t\t\t}}\n", "\n\t\t\t}, {Type: \"vault_key\", Actions: []string{\"read\"}, Identifier: a.ID, Locations: []string{origin.String()}, Privileges: []string{\"admin\"}}}\n"},
}

// The tests that new-tool writes pass as they are, and those of a tool whose
// ceiling was widened do not.
func TestGeneratedInTheCheckout(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the go command")
	}
	t.Parallel()
	dir := root(t)
	shown := overlay{Replace: map[string]string{}, dir: t.TempDir()}
	list, err := os.ReadFile(filepath.Join(dir, "cmd", "analyst", "toolkit.go"))
	if err != nil {
		t.Fatal(err)
	}
	generate := func(o options, change func(string) string) string {
		o.WorkDir = dir
		p, err := newPlan(o)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range p.Files {
			switch {
			case f.Action == "changed":
				list = bytes.Replace(list, []byte(marker), []byte("tools."+p.Function+",\n\t\t"+marker), 1)
			case i == 0 && change != nil:
				shown.add(t, f.Path, []byte(change(string(f.content))))
			default:
				shown.add(t, f.Path, f.content)
			}
		}
		return p.Function
	}

	want := map[string]bool{
		generate(options{Name: "generated_key"}, nil): true,
		generate(options{
			Name: "generated_search", APIPath: "/v1/documents?query={query}&page=1", Type: "file_access", Action: "search",
		}, nil): true,
		generate(options{
			Name:    "generated_kinds",
			APIPath: "/v1/orders/{number:int}/lines?state={state:open|paid}&tag={tags:list}&min={least:number?}&all={all:bool?}&page={page:int?}&sort={sort:up|down?}&q={q?}",
		}, nil): true,
		generate(options{Name: "generated_effect", APIPath: "/v1/keys/{key_id}/parts/{part}", Effect: true}, nil): true,
		generate(options{Name: "generated_effect_without_arguments", Effect: true}, nil):                          true,
	}
	why := map[string]string{}
	for i, w := range widenings {
		name := fmt.Sprintf("generated_widened_%d", i)
		function := generate(options{Name: name, APIPath: "/v1/keys/{id}", Type: "vault_key"}, func(src string) string {
			wide := strings.Replace(src, w.old, w.new, 1)
			if wide == src {
				t.Fatalf("%s: the generated tool has no %q:\n%s", w.name, w.old, src)
			}
			if !strings.Contains(wide, "origin.") { // it must still compile
				wide = strings.Replace(wide, "origin, err :=", "_, err :=", 1)
			}
			return wide
		})
		want[function], why[function] = false, w.name
	}
	shown.add(t, filepath.Join(dir, "cmd", "analyst", "toolkit.go"), list)

	flag := shown.flag(t)
	if out, err := goCommand(t, dir, "vet", flag, "./tools", "./cmd/analyst"); err != nil {
		t.Fatalf("go vet: %v\n%s", err, out)
	}
	out, _ := goCommand(t, dir, "test", flag, "-v", "-run", "^TestGenerated", "./tools")
	for function, passes := range want {
		ran := regexp.MustCompile(`(?m)^--- (PASS|FAIL): Test`+function+`(Denied|Arguments|CeilingHolds|Hostile)? `).FindAllStringSubmatch(out, -1)
		if len(ran) != 5 {
			t.Fatalf("%s: %d tests ran, want 5\n%s", function, len(ran), out)
		}
		failed := slices.ContainsFunc(ran, func(m []string) bool { return m[1] == "FAIL" })
		switch {
		case passes && failed:
			t.Errorf("%s: the generated test fails:\n%s", function, out)
		case !passes && !failed:
			t.Errorf("a ceiling with %s passes the generated test", why[function])
		}
	}
}

// In a module that requires this one, packages of any name compile and pass.
func TestGeneratedInAModuleOfOnesOwn(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the go command")
	}
	t.Parallel()
	dir, home := t.TempDir(), root(t)
	mod, err := os.ReadFile(filepath.Join(home, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(home, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	mod = bytes.Replace(mod, []byte("module github.com/jitagent/jitagent"), []byte("module example.com/acme"), 1)
	mod = fmt.Appendf(mod, "\nrequire github.com/jitagent/jitagent v0.0.0\n\nreplace github.com/jitagent/jitagent => %s\n", home)
	for name, text := range map[string][]byte{"go.mod": mod, "go.sum": sum} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range []options{
		{Name: "get_invoice", APIPath: "/v1/invoices/{number}"},
		{Name: "send_reminder", APIPath: "/v1/invoices/{number}/reminders", Effect: true, Dir: "tools"},
		{Name: "find_invoices", APIPath: "/v1/invoices?customer={customer}&state={state:open|paid?}", Dir: "billing/rar"},
	} {
		o.WorkDir = dir
		p, err := newPlan(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.write(); err != nil {
			t.Fatal(err)
		}
		// The lines that it tells to add are a program's.
		program := filepath.Join(dir, "cmd", o.Name, "main.go")
		if err := os.MkdirAll(filepath.Dir(program), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(program, []byte("package main\n\n"+p.Add+"\nfunc main() { _, _ = newTools(nil) }\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := goCommand(t, dir, "vet", "./..."); err != nil {
		t.Fatalf("go vet: %v\n%s", err, out)
	}
	out, err := goCommand(t, dir, "test", "-v", "./...")
	if n := strings.Count(out, "\n--- PASS") + strings.Count(out[:min(len(out), 8)], "--- PASS"); err != nil || n != 15 {
		t.Errorf("go test: %v, %d tests passed, want 15\n%s", err, n, out)
	}
}
