package newtool

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A module is the enclosing one.
type module struct{ path, root string }

// findModule looks for go.mod in dir and above it.
func findModule(dir string) (module, error) {
	for at := dir; ; at = filepath.Dir(at) {
		text, err := os.ReadFile(filepath.Join(at, "go.mod"))
		switch {
		case err == nil:
			name, err := modulePath(string(text))
			if err != nil {
				return module{}, fmt.Errorf("%s: %w", filepath.Join(at, "go.mod"), err)
			}
			return module{name, at}, nil
		// A file stands where a folder was expected: lookAt says so better.
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
			return module{}, err
		case filepath.Dir(at) == at:
			return module{}, fmt.Errorf("no go.mod in %s or above: run go mod init first", dir)
		}
	}
}

// modulePath reads the module directive of a go.mod.
func modulePath(text string) (string, error) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "//")
		fields := strings.Fields(line)
		if len(fields) != 2 || fields[0] != "module" {
			continue
		}
		name := fields[1]
		if unquoted, err := strconv.Unquote(name); err == nil {
			name = unquoted
		}
		return name, nil
	}
	return "", errors.New("it names no module")
}

// importPath returns the import path of a directory of the module.
func (m module) importPath(dir string) (string, error) {
	rel, err := filepath.Rel(m.root, dir)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", fmt.Errorf("%s is outside of the module at %s", dir, m.root)
	}
	return path.Join(m.path, filepath.ToSlash(rel)), nil
}

// A pkg is what is in the folder of the new tool.
type pkg struct {
	name     string
	declared map[string]string // top-level names, and the files that declare them
}

// lookAt reads the package in dir, if there is one, and settles its name.
func lookAt(dir, want string) (*pkg, error) {
	if want != "" {
		if err := checkPackage(want); err != nil {
			return nil, err
		}
	}
	p := &pkg{declared: map[string]string{}}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() || filepath.Ext(e.Name()) != ".go" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("the package in %s does not compile: %w", dir, err)
		}
		if name := file.Name.Name; !strings.HasSuffix(e.Name(), "_test.go") {
			if p.name != "" && p.name != name {
				return nil, fmt.Errorf("%s holds two packages, %s and %s", dir, p.name, name)
			}
			p.name = name
		}
		p.note(file, e.Name())
	}
	switch {
	case p.name == "" && want == "":
		p.name = strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "").Replace(filepath.Base(dir)))
		if err := checkPackage(p.name); err != nil {
			return nil, fmt.Errorf("%w; name the package", err)
		}
	case p.name == "":
		p.name = want
	case want != "" && p.name != want:
		return nil, fmt.Errorf("the package in %s is called %s, not %s", dir, p.name, want)
	}
	return p, nil
}

// note adds a file's top-level names. Those of test files count too: the new test
// stands among them.
func (p *pkg) note(file *ast.File, name string) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				p.declared[d.Name.Name] = name
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					p.declared[s.Name.Name] = name
				case *ast.ValueSpec:
					for _, n := range s.Names {
						p.declared[n.Name] = name
					}
				}
			}
		}
	}
}

// free reports which of the names the package has already, but for those that the
// tool's own files declare.
func (p *pkg) free(names []string, own ...string) error {
	for _, n := range names {
		file, ok := p.declared[n]
		for _, o := range own {
			ok = ok && file != o
		}
		if ok {
			return fmt.Errorf("the package declares %s already, in %s: choose another name for the tool", n, file)
		}
	}
	return nil
}
