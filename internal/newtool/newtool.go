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

// mode is that of source files.
const mode = 0o644

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
	// /v1/invoices?status={status:open|paid}&page={page:int?}. What stands in braces
	// becomes an argument: a text, or one of the kind that follows a colon (int,
	// number, bool, list, or its choices); "?" makes it optional. "" is made from the
	// name.
	APIPath string

	// Type and Action are those of the authorization detail that a call may ask for.
	// "" makes the type from the name; the action is then read, or write with Effect.
	Type, Action string

	// Effect makes a tool that changes something, by POST. Otherwise it reads.
	Effect bool
}

// A File is one file that a plan writes.
type File struct {
	Path    string // absolute
	Changed bool   // it is there already and gets a line more

	content []byte
}

// A Plan is what would be written. Nothing is until [Plan.Write].
type Plan struct {
	Name     string // of the tool
	Function string // that makes it, such as SearchDocuments
	Import   string // path of the package
	Dir      string // of the package, absolute
	Root     string // folder of the enclosing module, absolute
	Files    []File
	Listed   bool   // the tool gets into the analyst's list
	Example  string // arguments that the tool accepts, as a JSON object
	// Program is Go code, without its package clause, of a program that has the tool.
	Program string
}

// New checks the options against what is there and returns what would be written.
// Its errors say what to change, and name no flag.
func New(o Options) (*Plan, error) {
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
	mod, err := findModule(cmp.Or(dir, work))
	if err != nil {
		return nil, err
	}
	dir = cmp.Or(dir, filepath.Join(mod.root, "tools"))
	name, err := packageName(dir, o.Package)
	if err != nil {
		return nil, err
	}
	importPath, err := mod.importPath(dir)
	if err != nil {
		return nil, err
	}
	s, err := newSkeleton(o, name, importPath)
	if err != nil {
		return nil, err
	}
	p := &Plan{Name: s.Name, Function: s.Ident, Import: importPath, Dir: dir, Root: mod.root, Example: s.example()}
	if err := p.add(s); err != nil {
		return nil, err
	}
	return p, nil
}

// add renders the files.
func (p *Plan) add(s *skeleton) error {
	description := filepath.Join(p.Dir, s.Name+".md")
	if !s.Own {
		description = filepath.Join(p.Root, "prompts", s.Name+".md")
	}
	for _, f := range []struct{ path, template string }{
		{filepath.Join(p.Dir, s.Name+".go"), "tool.go"},
		{filepath.Join(p.Dir, s.Name+"_test.go"), "tool_test.go"},
		{description, "description.md"},
	} {
		if _, err := os.Lstat(f.path); err == nil {
			return &ExistsError{Path: f.path}
		}
		content, err := s.render(f.template)
		if err != nil {
			return err
		}
		p.Files = append(p.Files, File{Path: f.path, content: content})
	}
	if s.Own {
		program, err := s.render("program.go")
		p.Program = string(program)
		return err
	}
	list := filepath.Join(p.Root, "cmd", "analyst", "toolkit.go")
	old, err := os.ReadFile(list)
	if err != nil {
		return fmt.Errorf("the analyst's list of tools: %w", err)
	}
	if bytes.Count(old, []byte(marker)) != 1 {
		return fmt.Errorf("%s: there must be exactly one line: %s", list, marker)
	}
	p.Listed = true
	p.Files = append(p.Files, File{Path: list, Changed: true, content: bytes.Replace(old, []byte(marker), []byte("tools."+s.Ident+",\n\t\t"+marker), 1)})
	return nil
}

// Write writes the files, the analyst's list last. It stops at the first that
// cannot be written, and the error says which were.
func (p *Plan) Write() error {
	//nolint:gosec // G301: a folder of source code, as any other
	err := os.MkdirAll(p.Dir, 0o755)
	var written []string
	for _, f := range p.Files {
		if err != nil {
			break
		}
		write := disk.Create
		if f.Changed {
			write = disk.Replace
		}
		if err = write(f.Path, f.content, mode); err == nil {
			written = append(written, filepath.Base(f.Path))
		}
	}
	if err != nil && len(written) > 0 {
		return fmt.Errorf("%w; written before that: %s", err, strings.Join(written, ", "))
	}
	return err
}

// An ExistsError says that a file is there already.
type ExistsError struct{ Path string }

func (e *ExistsError) Error() string { return filepath.Base(e.Path) + " is there already" }

// example is a JSON object of arguments that the tool takes.
func (s *skeleton) example() string {
	args := map[string]any{}
	for _, a := range s.Args {
		args[a.JSON] = a.Example()
	}
	text, err := json.Marshal(args)
	if err != nil {
		return "{}" // plain values always encode
	}
	return string(text)
}

var errNoArgument = errors.New("it takes no argument: put one in braces, as in /v1/invoices/{number}")
