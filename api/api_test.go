package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/jitagent/jitagent/"

var update = flag.Bool("update", false, "write the texts anew")

// TestTextsAreTheAPI compares the text of each package that others can import with its code.
func TestTextsAreTheAPI(t *testing.T) {
	written, err := filepath.Glob("*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range public(t) {
		file := strings.ReplaceAll(strings.TrimPrefix(p.ImportPath, module), "/", "-") + ".txt"
		written = slices.DeleteFunc(written, func(name string) bool { return name == file })
		got := exported(t, p)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%s has no text: make api", p.ImportPath)
		} else if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s is not what %s says; make api, and a line in CHANGELOG.md if something went (-text +code):\n%s", p.ImportPath, file, diff)
		}
	}
	for _, name := range written {
		if !*update {
			t.Errorf("%s describes no package: make api", name)
		} else if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

type listed struct {
	ImportPath, Name, Dir string
	GoFiles               []string
}

// public lists the packages that others can import and are meant to.
func public(t *testing.T) (found []listed) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Name,Dir,GoFiles", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		private := strings.Contains(p.ImportPath, "/internal/") || slices.Contains([]string{"lab", "examples", "docs", "api"}, strings.Split(strings.TrimPrefix(p.ImportPath, module), "/")[0])
		if p.Name != "main" && !private {
			found = append(found, p)
		}
	}
}

// exported prints the exported declarations of a package, sorted, without comments and bodies.
func exported(t *testing.T, p listed) string {
	t.Helper()
	var decls []string
	for _, name := range p.GoFiles {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if !ast.FileExports(file) {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.StructType); ok {
				s.Incomplete = false // or the printer adds that fields were left out
			}
			return true
		})
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				if f.Recv != nil && !ast.IsExported(receiver(f.Recv.List[0].Type)) {
					continue
				}
				f.Body = nil
			}
			for _, one := range apart(decl) {
				var text bytes.Buffer
				if err := (&printer.Config{Mode: printer.UseSpaces, Tabwidth: 4}).Fprint(&text, token.NewFileSet(), one); err != nil {
					t.Fatal(err)
				}
				decls = append(decls, strings.TrimSpace(text.String()))
			}
		}
	}
	slices.Sort(decls)
	return "package " + p.Name + "\n\n" + strings.Join(decls, "\n") + "\n"
}

// receiver is the name of a method's type.
func receiver(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return receiver(x.X)
	case *ast.IndexExpr:
		return receiver(x.X)
	case *ast.IndexListExpr:
		return receiver(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}

// apart splits a group of types into its types: where they stand in a file says nothing. A
// group of constants stays whole, since iota counts in it.
func apart(decl ast.Decl) (all []ast.Node) {
	group, ok := decl.(*ast.GenDecl)
	switch {
	case !ok || group.Tok == token.CONST:
		return []ast.Node{decl}
	case group.Tok == token.IMPORT:
		return nil
	}
	for _, spec := range group.Specs {
		all = append(all, &ast.GenDecl{Tok: group.Tok, Specs: []ast.Spec{spec}})
	}
	return all
}
