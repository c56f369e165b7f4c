package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const ours = "github.com/jitagent/jitagent/"

// A listed package is one that the program links.
type listed struct {
	ImportPath, Name, Dir string
	GoFiles               []string
}

// writeRooms writes what each room adds to the program, stripped: how much smaller it is,
// when built, without the bodies of the room's functions and whatever is linked for them
// alone. It is the least: the room's types stay, and what the linker keeps for them.
func writeRooms(t *testing.T, w io.Writer, wanted *regexp.Regexp) {
	packages := linked(t)
	size := func(flags ...string) float64 {
		path := buildProgram(t, append([]string{"-ldflags=-s -w"}, flags...)...).path
		defer func() { _ = os.Remove(path) }() // there are many
		return float64(must(os.Stat(path))(t).Size()) / 1e6
	}
	type row struct {
		name string
		mb   float64
	}
	var rows []row
	var whole float64
	for path, p := range packages {
		name, own := strings.CutPrefix(path, ours)
		if own && wanted.MatchString("room "+name) && p.Name != "main" && !strings.HasPrefix(name, "internal/") {
			if whole == 0 {
				whole = size()
			}
			rows = append(rows, row{name, whole - size("-overlay="+hollow(t, p, packages))})
		}
	}
	if len(rows) == 0 {
		return
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.mb, a.mb), cmp.Compare(a.name, b.name))
	})
	_, _ = fmt.Fprintf(w, "Of the program's %.1f MB go at least, without the code of a room and what is linked for it alone:\n\n", whole)
	for _, r := range rows {
		if r.mb >= 0.1 {
			_, _ = fmt.Fprintf(w, "- %s: %.1f\n", r.name, r.mb)
		}
	}
}

// linked returns the packages of the program, by import path.
func linked(t *testing.T) map[string]listed {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Name,Dir,GoFiles", ours+"cmd/analyst").Output()
	check(t, err)
	packages := map[string]listed{}
	for in := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := in.Decode(&p); err == io.EOF {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
}

// leftOut is the body of a function that was left out.
const leftOut = "{for{}}"

// hollow writes a package without the bodies of its functions, and the imports that only
// they use, and returns the file that has a build take it.
func hollow(t *testing.T, p listed, packages map[string]listed) string {
	dir := t.TempDir()
	replace := map[string]string{}
	for _, name := range p.GoFiles {
		path := filepath.Join(p.Dir, name)
		text := must(os.ReadFile(path))(t)
		set := token.NewFileSet()
		f := must(parser.ParseFile(set, path, text, 0))(t)
		at := func(pos token.Pos) int { return set.Position(pos).Offset }
		used := map[string]bool{}
		var cuts []ast.Node
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil && fn.Body.End()-fn.Body.Pos() >= token.Pos(len(leftOut)) {
				cuts = append(cuts, fn.Body)
				fn.Body = nil
			}
			ast.Inspect(d, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := s.X.(*ast.Ident); ok {
						used[x.Name] = true
					}
				}
				return true
			})
		}
		for _, d := range f.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.IMPORT {
				continue
			}
			for _, s := range group.Specs {
				spec := s.(*ast.ImportSpec)
				as := packages[strings.Trim(spec.Path.Value, `"`)].Name
				if spec.Name != nil {
					as = spec.Name.Name
				}
				switch {
				case used[as] || as == "_":
				case group.Lparen.IsValid():
					cuts = append(cuts, spec)
				default:
					cuts = append(cuts, group)
				}
			}
		}
		for _, cut := range cuts { // which leaves all else where it is
			_, body := cut.(*ast.BlockStmt)
			for i := at(cut.Pos()); i < at(cut.End()); i++ {
				text[i] = ' '
			}
			if body {
				copy(text[at(cut.Pos()):], leftOut)
			}
		}
		replace[path] = filepath.Join(dir, name)
		check(t, os.WriteFile(replace[path], text, 0o600))
	}
	overlay := filepath.Join(dir, "overlay.json")
	check(t, os.WriteFile(overlay, must(json.Marshal(map[string]any{"Replace": replace}))(t), 0o600))
	return overlay
}
