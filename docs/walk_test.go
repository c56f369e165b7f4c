//go:build unix

package docs

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// guides are the documents of which every block is held.
var guides = []string{"add-a-tool.md", "embed.md", "models.md", "protect-an-api.md"}

// A block is a fenced block of a guide. What it is for is said by its language and
// by the words before it:
//
//	sh     is run, in one session of bash for the whole guide
//	text   is what the sh block before it prints; "..." stands for anything in a line,
//	       and for any lines when it stands alone
//	json   is only read
//	other  ends the paragraph before it in "in `file`:", and is written there, or in
//	       "from `file`:", and stands there word for word; diff changes a file
//
// A block that is none of these fails the test: nobody would notice when it rots.
type block struct {
	language, text string
	file           string
	excerpt        bool
	line           int // in the guide
}

var (
	fence = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	place = regexp.MustCompile("(?i)\\b(in|from) `([\\w./-]+)`:\n\n$")
)

func blocks(t *testing.T, guide string) (all []block) {
	t.Helper()
	text := read(t, guide)
	for _, m := range fence.FindAllStringSubmatchIndex(text, -1) {
		b := block{language: text[m[2]:m[3]], text: text[m[4]:m[5]], line: strings.Count(text[:m[0]], "\n") + 1}
		if p := place.FindStringSubmatch(text[:m[0]]); p != nil {
			b.file, b.excerpt = p[2], strings.EqualFold(p[1], "from")
		}
		all = append(all, b)
	}
	return all
}

// TestGuidesWork goes through the guides as a reader does, in fresh copies of the
// module.
func TestGuidesWork(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs what the guides say")
	}
	for _, guide := range guides {
		t.Run(guide, func(t *testing.T) {
			t.Parallel()
			w := walk{t: t, dir: freshCopy(t)}
			for i, b := range blocks(t, guide) {
				w.step(fmt.Sprintf("%s:%d", guide, b.line), b, i)
			}
			w.run()
		})
	}
}

// A walk is a guide on its way into a script.
type walk struct {
	t      *testing.T
	dir    string
	script strings.Builder
	where  []string // of each sh block
	want   []string // its output, "" when the guide shows none
}

const mark = "---- end of block ----"

func (w *walk) step(where string, b block, n int) {
	w.t.Helper()
	path := filepath.Join(w.dir, filepath.FromSlash(b.file))
	switch {
	case b.language == "json":
	case b.language == "sh":
		fmt.Fprintf(&w.script, "%s\necho '%s'\n", b.text, mark)
		w.where, w.want = append(w.where, where), append(w.want, "")
	case b.excerpt:
		if whole := read(w.t, path); !strings.Contains(flat(whole), flat(b.text)) {
			w.t.Errorf("%s is not in %s", where, b.file)
		}
	case b.language == "diff" && b.file != "":
		// Before the session: what it changes is there from the start.
		w.patch(where, path, b.text)
	case b.file != "":
		end := fmt.Sprintf("end of file %d", n)
		fmt.Fprintf(&w.script, "cat >'%s' <<'%s'\n%s%s\n", b.file, end, b.text, end)
	case b.language == "text" && len(w.want) > 0 && w.want[len(w.want)-1] == "":
		w.want[len(w.want)-1] = b.text
	default:
		w.t.Errorf("%s: nobody runs, writes or compares this block", where)
	}
}

// patch replaces the lines of a diff that are not new by those that are not old.
func (w *walk) patch(where, path, diff string) {
	w.t.Helper()
	var before, after strings.Builder
	for line := range strings.Lines(diff) {
		if line[0] != '+' {
			before.WriteString(line[1:])
		}
		if line[0] != '-' {
			after.WriteString(line[1:])
		}
	}
	text := read(w.t, path)
	if strings.Count(text, before.String()) != 1 {
		w.t.Fatalf("%s does not apply to %s", where, path)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(text, before.String(), after.String(), 1)), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// run runs the session and compares what each block prints.
func (w *walk) run() {
	w.t.Helper()
	if w.t.Failed() || len(w.want) == 0 {
		return
	}
	for _, tool := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			w.t.Skipf("the guides need %s", tool)
		}
	}
	cmd := exec.CommandContext(w.t.Context(), "bash", "-euo", "pipefail", "-c",
		"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"+w.script.String())
	cmd.Dir = w.dir
	// What a broken guide leaves running ends with it.
	cmd.Env = append(os.Environ(), "GOFLAGS=-trimpath -buildvcs=false", "GOPROXY=off", "GOWORK=off", "NO_PROXY=*",
		"ANALYST_STATE_DIR="+w.t.TempDir()+"/state")
	cmd.WaitDelay = 10 * time.Second // for a process that keeps the pipes
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	got := strings.Split(stdout.String(), mark+"\n")
	for i, want := range w.want {
		if i >= len(got)-1 {
			w.t.Errorf("%s failed, and with it what follows: %v\n%s\n%s", w.where[i], err, got[len(got)-1], tail(stderr.String()))
			return
		}
		if want != "" && !matches(want, got[i]) {
			w.t.Errorf("%s prints\n%s\nand the guide shows\n%s", w.where[i], got[i], want)
		}
	}
	if err != nil {
		w.t.Errorf("the session ended with %v\n%s", err, tail(stderr.String()))
	}
}

// matches compares an output with what a guide shows of it.
func matches(want, got string) bool {
	pattern := regexp.QuoteMeta(want)
	pattern = regexp.MustCompile(`(?m)^\\\.\\\.\\\.\n`).ReplaceAllString(pattern, `(?:.*\n)*`)
	pattern = strings.ReplaceAll(pattern, `\.\.\.`, `.*`)
	return regexp.MustCompile(`\A` + pattern + `\z`).MatchString(got)
}

func TestMatches(t *testing.T) {
	for _, test := range []struct {
		want, got string
		ok        bool
	}{
		{"a\n", "a\n", true},
		{"a\n", "a\nb\n", false},
		{"a\n", "b\na\n", false},
		{"a...c\n", "abbc\n", true},
		{"a...c\n", "ab\nbc\n", false},
		{"a\n...\nc\n", "a\nb\nb\nc\n", true},
		{"a\n...\nc\n", "a\nc\n", true},
		{"a\n...\nc\n", "a\nb\n", false},
		{"a.c\n", "abc\n", false},
	} {
		if matches(test.want, test.got) != test.ok {
			t.Errorf("matches(%q, %q) = %v", test.want, test.got, !test.ok)
		}
	}
}

// flat is code without what indentation does to it.
func flat(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return strings.TrimSpace(b.String())
}

func tail(s string) string { return s[max(0, len(s)-3000):] }

// freshCopy copies the module, as a clone would have it. The paths of the build
// cache stay the same through -trimpath.
func freshCopy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(path, ".."))
		switch name := d.Name(); {
		case d.IsDir() && path != ".." && (strings.HasPrefix(name, ".") || path == "../bin" || path == "../reports"):
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(to, 0o755) //nolint:gosec // G301: source code
		case !d.Type().IsRegular() || path == "../analyst":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, text, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestGuidesNameWhatExists looks up each exported name that a guide calls by its
// package, and holds the table of errors complete.
func TestGuidesNameWhatExists(t *testing.T) {
	declared := map[string]map[string]bool{}
	for name, dir := range map[string]string{
		"jit": "../jit", "jitmw": "../jitmw", "tools": "../tools", "rar": "../rar", "resource": "../resource", "runner": "../runner",
		"lumoauth": "../lumoauth", "lumodev": "../dev/lumodev", "jittest": "../jit/jittest", "adktest": "../jit/jittest/adktest",
	} {
		declared[name] = exported(t, dir)
	}
	qualified := regexp.MustCompile("`(?:\\*|&)?([a-z]+)\\.([A-Z]\\w*)(?:\\.([A-Z]\\w*))?")
	n := 0
	for _, guide := range guides {
		for _, m := range qualified.FindAllStringSubmatch(read(t, guide), -1) {
			names, ours := declared[m[1]]
			if !ours {
				continue
			}
			n++
			if !names[m[2]] || m[3] != "" && !names[m[2]+"."+m[3]] {
				t.Errorf("%s names %s, which does not exist", guide, strings.TrimLeft(m[0], "`"))
			}
		}
	}
	if n < 30 {
		t.Errorf("%d names found, which cannot be all", n)
	}
	embed := read(t, "embed.md")
	for name := range declared["jit"] {
		if ast.IsExported(name) && (strings.HasPrefix(name, "Err") || strings.HasSuffix(name, "Error")) && !strings.Contains(name, ".") && !strings.Contains(embed, "`jit."+name+"`") {
			t.Errorf("embed.md does not tell what jit.%s means", name)
		}
	}
}

// exported lists the exported names of a package, fields and methods with their
// type's name.
func exported(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(files), err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil {
					names[n.Name.Name] = true
				} else if on := receiver(n.Recv.List[0].Type); on != "" {
					names[on+"."+n.Name.Name] = true
				}
				return false
			case *ast.ValueSpec:
				for _, name := range n.Names {
					names[name.Name] = true
				}
			case *ast.TypeSpec:
				names[n.Name.Name] = true
				if s, ok := n.Type.(*ast.StructType); ok {
					for _, field := range s.Fields.List {
						for _, name := range field.Names {
							names[n.Name.Name+"."+name.Name] = true
						}
					}
				}
			}
			return true
		})
	}
	return names
}

// receiver returns the name of a method's type.
func receiver(e ast.Expr) string {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}
