package newtool

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jitagent/jitagent/internal/disk"
)

// home is the module whose analyst takes new tools.
const home = "github.com/jitagent/jitagent"

// marker is the line of the analyst's list that new entries go above.
const marker = "// analyst new-tool adds its entry above this line."

// errExists is that a file is there already.
var errExists = errors.New("is there already")

// A plan is what is written, and what is then said of it as JSON.
type plan struct {
	Tool     string   `json:"tool"`
	Function string   `json:"function"` // that makes it
	Package  string   `json:"package"`  // import path
	Files    []file   `json:"files"`
	Add      string   `json:"add,omitempty"` // Go code that a program needs; "" when the analyst has the tool
	Next     []string `json:"next"`          // commands

	dir, root string // of the package and of the enclosing module, absolute
	example   string // arguments that the tool accepts, as a JSON object
}

type file struct {
	Path    string `json:"path"`
	Action  string `json:"action"` // written, or changed where it gets a line more
	content []byte
}

// newPlan checks the options against what is there, and writes nothing. Its errors say
// what to change, and name no flag.
func newPlan(o options) (*plan, error) {
	if err := checkName(o.Name); err != nil {
		return nil, err
	}
	work, err := filepath.Abs(cmp.Or(o.WorkDir, "."))
	if err != nil {
		return nil, err
	}
	dir := o.Dir
	if dir != "" && !filepath.IsAbs(dir) {
		dir = filepath.Join(work, dir)
	}
	module, root, err := findModule(cmp.Or(dir, work))
	if err != nil {
		return nil, err
	}
	dir = cmp.Or(dir, filepath.Join(root, "tools"))
	name, err := packageName(dir, o.Package)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(root, dir)
	if err != nil || !filepath.IsLocal(rel) {
		return nil, fmt.Errorf("%s is outside of the module at %s", dir, root)
	}
	s, err := newSkeleton(o, name, strings.TrimSuffix(module+"/"+filepath.ToSlash(rel), "/."))
	if err != nil {
		return nil, err
	}
	p := &plan{Tool: s.Name, Function: s.Ident, Package: s.ImportPath, dir: dir, root: root, example: s.example()}
	return p, p.add(s)
}

// add renders the files.
func (p *plan) add(s *skeleton) error {
	description := filepath.Join(p.dir, s.Name+".md")
	if !s.Own {
		description = filepath.Join(p.root, "prompts", s.Name+".md")
	}
	for _, f := range []struct{ path, template string }{
		{filepath.Join(p.dir, s.Name+".go"), "tool.go"},
		{filepath.Join(p.dir, s.Name+"_test.go"), "tool_test.go"},
		{description, "description.md"},
	} {
		if _, err := os.Lstat(f.path); err == nil {
			return fmt.Errorf("%s %w", filepath.Base(f.path), errExists)
		}
		content, err := s.render(f.template)
		if err != nil {
			return err
		}
		p.Files = append(p.Files, file{f.path, "written", content})
	}
	if s.Own {
		program, err := s.render("program.go")
		p.Add = strings.TrimSpace(string(program))
		return err
	}
	list := filepath.Join(p.root, "cmd", "analyst", "toolkit.go")
	old, err := os.ReadFile(list)
	if err != nil {
		return fmt.Errorf("the analyst's list of tools: %w", err)
	}
	if bytes.Count(old, []byte(marker)) != 1 {
		return fmt.Errorf("%s: there must be exactly one line: %s", list, marker)
	}
	p.Files = append(p.Files, file{list, "changed", bytes.Replace(old, []byte(marker), []byte("tools."+s.Ident+",\n\t\t"+marker), 1)})
	return nil
}

// write writes the files, the analyst's list last. It stops at the first that
// cannot be written, and the error says which were.
func (p *plan) write() error {
	//nolint:gosec // G301: a folder of source code, as any other
	err := os.MkdirAll(p.dir, 0o755)
	var written []string
	for _, f := range p.Files {
		if err != nil {
			break
		}
		write := disk.Create
		if f.Action == "changed" {
			write = disk.Replace
		}
		if err = write(f.Path, f.content, 0o644); err == nil {
			written = append(written, filepath.Base(f.Path))
		}
	}
	if err != nil && len(written) > 0 {
		return fmt.Errorf("%w; written before that: %s", err, strings.Join(written, ", "))
	}
	return err
}

// example is a JSON object of arguments that the tool takes.
func (s *skeleton) example() string {
	args := map[string]any{}
	for _, a := range s.Args {
		args[a.JSON] = a.Example
	}
	text, _ := json.Marshal(args) // plain values always encode
	return string(text)
}
