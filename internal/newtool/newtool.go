package newtool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// home is the module whose analyst takes new tools.
const home = "github.com/jitagent/jitagent"

// Options say what to write. Name is required.
type Options struct {
	// Name is the tool's name for the model, in snake case.
	Name string

	// WorkDir is where relative paths start; "" is the working directory.
	WorkDir string

	// Dir is the folder of the tool's package; "" is the folder tools of the
	// enclosing module. It is created when missing.
	Dir string

	// Package names the package; "" takes the name of what is in Dir, or else that of
	// Dir itself.
	Package string

	// APIPath is the path that the tool calls, such as /v1/invoices/{number} or
	// /v1/documents?query={query}. What stands in braces becomes an argument. "" is
	// made from the name.
	APIPath string

	// Type and Action are those of the authorization detail that a call may ask for.
	// "" makes the type from the name; the action is then read, or write with Effect.
	Type, Action string

	// Effect makes a tool that changes something, by POST. Otherwise it reads.
	Effect bool

	// Force replaces files that are there already; see [File].
	Force bool
}

// A File is one file that a plan writes.
type File struct {
	Path string // absolute
	// Kept is where the old content goes, when there is a file at Path that is not
	// the plan's to change; else "".
	Kept string
	// Changed says that the file is there already and gets a line more.
	Changed bool

	content []byte
	old     []byte // nil when there is none
}

// A Plan is what would be written. Nothing is until [Plan.Write].
type Plan struct {
	Name     string // of the tool
	Function string // that makes it, such as SearchDocuments
	Package  string
	// Import is the import path of the package.
	Import string
	Dir    string // of the package, absolute
	Module string // path of the enclosing module
	Root   string // its folder, absolute
	Files  []File
	// Listed says that the tool is in the analyst's list, or will be.
	Listed bool
	// Example holds arguments that the tool accepts, as a JSON object.
	Example string
}

// New checks the options against what is there and returns what would be written.
// Its errors say what to change, and name no flag.
func New(o Options) (*Plan, error) {
	if err := checkName(o.Name); err != nil {
		return nil, err
	}
	work := o.WorkDir
	if work == "" {
		work = "."
	}
	work, err := filepath.Abs(work)
	if err != nil {
		return nil, err
	}
	dir := o.Dir
	if dir != "" && !filepath.IsAbs(dir) {
		dir = filepath.Join(work, dir)
	}
	mod, err := findModule(firstOf(dir, work))
	if err != nil {
		return nil, err
	}
	if dir == "" {
		dir = filepath.Join(mod.root, "tools")
	}
	pkg, err := lookAt(dir, o.Package)
	if err != nil {
		return nil, err
	}
	s, err := newSkeleton(o, mod, pkg, dir)
	if err != nil {
		return nil, err
	}
	if err := pkg.free(s.idents(), s.Name+".go", s.Name+"_test.go"); err != nil {
		return nil, err
	}
	p := &Plan{
		Name: s.Name, Function: s.Ident, Package: s.Package, Import: s.ImportPath, Dir: dir,
		Module: mod.path, Root: mod.root, Example: s.example(),
	}
	if err := p.add(s, mod, o.Force); err != nil {
		return nil, err
	}
	return p, nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// add renders the files.
func (p *Plan) add(s *skeleton, mod module, force bool) error {
	description := filepath.Join(p.Dir, s.Name+".md")
	if !s.Own {
		description = filepath.Join(mod.root, "prompts", s.Name+".md")
	}
	var there []string
	for _, f := range []struct{ path, template string }{
		{filepath.Join(p.Dir, s.Name+".go"), "tool.go"},
		{filepath.Join(p.Dir, s.Name+"_test.go"), "tool_test.go"},
		{description, "description.md"},
	} {
		content, err := s.render(f.template)
		if err != nil {
			return err
		}
		file := File{Path: f.path, content: content}
		switch old, err := os.ReadFile(f.path); {
		case err == nil:
			file.old, file.Kept = old, f.path+".old"
			there = append(there, f.path)
			if _, err := os.Lstat(file.Kept); err == nil && force {
				return fmt.Errorf("%s holds what an earlier run replaced: move it away first", file.Kept)
			}
		case !errors.Is(err, os.ErrNotExist):
			return err
		}
		p.Files = append(p.Files, file)
	}
	if len(there) > 0 && !force {
		return &ExistsError{Paths: there}
	}
	if !s.Own {
		return p.list(s, mod)
	}
	return nil
}

// list adds the tool to the analyst's list.
func (p *Plan) list(s *skeleton, mod module) error {
	path := filepath.Join(mod.root, "cmd", "analyst", "toolkit.go")
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the analyst's list of tools: %w", err)
	}
	content, err := insert(old, "tools."+s.Ident)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	p.Listed = true
	if string(content) != string(old) {
		p.Files = append(p.Files, File{Path: path, Changed: true, content: content, old: old})
	}
	return nil
}

// An ExistsError says that files are there already.
type ExistsError struct{ Paths []string }

func (e *ExistsError) Error() string {
	names := slices.Clone(e.Paths)
	for i, p := range names {
		names[i] = filepath.Base(p)
	}
	return "already there: " + strings.Join(names, ", ")
}
