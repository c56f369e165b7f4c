package newtool

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var moduleLine = regexp.MustCompile(`(?m)^module[ \t]+"?([^"\s]+)"?`)

// findModule looks for go.mod in dir and above it, and returns the module's path and folder.
func findModule(dir string) (path, root string, err error) {
	for at := dir; ; at = filepath.Dir(at) {
		text, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil {
			found := moduleLine.FindStringSubmatch(string(text))
			if found == nil {
				return "", "", fmt.Errorf("%s names no module", filepath.Join(at, "go.mod"))
			}
			return found[1], at, nil
		}
		if filepath.Dir(at) == at {
			return "", "", fmt.Errorf("no go.mod in %s or above: run go mod init first", dir)
		}
	}
}

// packageName returns the name of the package in dir, or else the one that is
// wanted, or else one made of the folder's name.
func packageName(dir, want string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".go" || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.PackageClauseOnly)
		if err != nil {
			return "", err
		}
		if want != "" && want != file.Name.Name {
			return "", fmt.Errorf("the package in %s is called %s, not %s", dir, file.Name.Name, want)
		}
		return file.Name.Name, nil
	}
	if want == "" {
		want = strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "").Replace(filepath.Base(dir)))
	}
	if !regexp.MustCompile(`^[a-z][a-z0-9]*$`).MatchString(want) || token.IsKeyword(want) {
		return "", fmt.Errorf("%q is no name for a package: name one of lower case letters and digits", want)
	}
	return want, nil
}
