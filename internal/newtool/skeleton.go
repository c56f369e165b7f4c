package newtool

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"go/format"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

//go:embed templates/*.tmpl
var templates embed.FS

// A skeleton is what the templates are given.
type skeleton struct {
	Name       string // search_documents
	Ident      string // SearchDocuments
	Var        string // searchDocuments
	Package    string
	ImportPath string
	Own        bool   // a package of its author's: tools.New from outside, the description beside it
	Pkg        string // "tools." or nothing
	Method     string
	Path       string // as it was given
	PlainPath  string // without braces, which mean something in a prompt
	Pattern    string
	Type       string
	Action     string
	Effect     bool
	Args       []*arg
	Query      []struct{ Name, Value string } // Value is Go
	Body       []*arg
	Identifier identifier
	Join       string // arguments of JoinPath, in Go
	Justify    string // in Go
	Sentence   string
}

// An identifier is that of the authority.
type identifier struct {
	Field   string // of the argument that gives it, or ""
	Example string // in the tests' call, and always without Field
}

// String is the identifier in Go.
func (i identifier) String() string {
	if i.Field != "" {
		return "a." + i.Field
	}
	return strconv.Quote(i.Example)
}

func newSkeleton(o Options, mod module, p *pkg, dir string) (*skeleton, error) {
	importPath, err := mod.importPath(dir)
	if err != nil {
		return nil, err
	}
	words := strings.Split(o.Name, "_")
	object := strings.Join(words[min(1, len(words)-1):], "_")
	s := &skeleton{
		Name: o.Name, Ident: camel(o.Name), Var: lowerCamel(o.Name), Package: p.name, ImportPath: importPath,
		Own: importPath != home+"/tools", Method: "GET", Path: o.APIPath, Type: o.Type, Action: o.Action, Effect: o.Effect,
		Sentence: strings.ToUpper(o.Name[:1]) + strings.ReplaceAll(o.Name[1:], "_", " "),
	}
	if s.Own {
		s.Pkg = "tools."
	}
	set(&s.Type, object)
	set(&s.Action, map[bool]string{false: "read", true: "write"}[o.Effect])
	set(&s.Path, map[bool]string{false: "/v1/" + object + "/{id}", true: "/v1/" + object}[o.Effect])
	for what, text := range map[string]string{"type": s.Type, "action": s.Action} {
		if !member.MatchString(text) {
			return nil, fmt.Errorf("%q is no %s for an authorization detail: use letters, digits and . _ : / -", text, what)
		}
	}
	if !s.Own && o.Name == "instruction" {
		return nil, fmt.Errorf("%q is the analyst's own instruction", o.Name)
	}
	path, err := parsePath(s.Path)
	if err != nil {
		return nil, err
	}
	s.Args, s.Pattern = path.args(), path.pattern()
	if o.Effect {
		s.Method = "POST"
		body := &arg{JSON: "content", Field: "Content", Description: "What is sent", Example: "content_1", Max: 100_000}
		if slices.ContainsFunc(s.Args, func(a *arg) bool { return a.JSON == body.JSON }) {
			return nil, fmt.Errorf("the API's path %q: an effect takes an argument content of its own", s.Path)
		}
		s.Args, s.Body = append(s.Args, body), []*arg{body}
	}
	if len(s.Args) == 0 {
		return nil, fmt.Errorf("the API's path %q takes no argument: put one in braces, as in /v1/invoices/{number}", s.Path)
	}
	s.goParts(path)
	return s, nil
}

func set(s *string, otherwise string) {
	if *s == "" {
		*s = otherwise
	}
}

// goParts writes what the templates hold in Go.
func (s *skeleton) goParts(path *apiPath) {
	var join []string
	literal := ""
	flush := func() {
		if literal != "" {
			join, literal = append(join, strconv.Quote(literal)), ""
		}
	}
	for _, seg := range path.segments {
		if seg.arg != nil {
			flush()
			join = append(join, "a."+seg.arg.Field)
			continue
		}
		literal = strings.TrimPrefix(literal+"/"+seg.literal, "/")
	}
	flush()
	s.Join = strings.Join(join, ", ")
	for _, q := range path.query {
		value := strconv.Quote(q.literal)
		if q.arg != nil {
			value = "a." + q.arg.Field
		}
		s.Query = append(s.Query, struct{ Name, Value string }{q.name, value})
	}
	switch id := path.identifier(); {
	case id.arg != nil:
		s.Identifier = identifier{id.arg.Field, id.arg.Example}
	default:
		s.Identifier = identifier{"", id.literal}
	}
	s.PlainPath = strings.NewReplacer("{", "", "}", "").Replace(s.Pattern)
	s.Justify = strconv.Quote(s.Sentence)
	if args := path.args(); len(args) > 0 {
		// The model chose the arguments, and a person reads this: one with a pattern
		// can be shown as it is, another only quoted.
		value := "a." + args[0].Field
		if !args[0].Segment {
			value = `strconv.Quote(` + value + `)`
		}
		s.Justify = strconv.Quote(s.Sentence+": ") + " + " + value
	}
}

// Authority is what a call may ask for, as one line for a comment.
func (s *skeleton) Authority() string {
	on := s.Identifier.Example
	if s.Identifier.Field != "" {
		on = "{" + s.Args[0].JSON + "}"
	}
	return s.Type + " " + s.Action + " " + on
}

// JustifiesArgs reports whether the justification quotes an argument.
func (s *skeleton) JustifiesArgs() bool { return strings.Contains(s.Justify, "a.") }

// Alias is the name under which the test imports the tool's package, where that
// package's own name is another import's too; else "".
func (s *skeleton) Alias() string {
	if s.Own && slices.Contains([]string{"io", "http", "testing", "tool", "jittest", "adktest", "rar", "tools"}, s.Package) {
		return "my" + s.Package
	}
	return ""
}

// Ref is what the test calls the tool's package.
func (s *skeleton) Ref() string {
	if alias := s.Alias(); alias != "" {
		return alias
	}
	return s.Package
}

// Quotes reports whether the tool quotes an argument.
func (s *skeleton) Quotes() bool { return strings.Contains(s.Justify, "strconv.") }

// Other is an identifier that the call is not about.
func (s *skeleton) Other() string { return s.Identifier.Example + "_other" }

// OtherActions are those that the call may not ask for.
func (s *skeleton) OtherActions() []string {
	all := []string{"read", "write", "create", "update", "delete", "list", "search", "export", "execute", "approve", "admin", "*"}
	return slices.DeleteFunc(all, func(a string) bool { return a == s.Action })
}

// BadArgs is a call in Go in which one argument is wrong and the others are right.
func (s *skeleton) BadArgs(wrong *arg) string {
	var pairs []string
	for _, a := range s.Args {
		value := a.Example
		switch {
		case a == wrong && a.Segment:
			value += "/../other"
		case a == wrong:
			value = ""
		}
		pairs = append(pairs, fmt.Sprintf("%q: %q", a.JSON, value))
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

// example is a JSON object of arguments that the tool takes.
func (s *skeleton) example() string {
	args := map[string]string{}
	for _, a := range s.Args {
		args[a.JSON] = a.Example
	}
	text, err := json.Marshal(args)
	if err != nil {
		return "{}" // strings always encode
	}
	return string(text)
}

// idents are the package-level names that the files declare.
func (s *skeleton) idents() []string {
	names := []string{
		s.Ident, s.Ident + "Args", s.Var + "Args", s.Var + "Needs", "start" + s.Ident, "call" + s.Ident,
		"Test" + s.Ident, "Test" + s.Ident + "Denied", "Test" + s.Ident + "Arguments", "Test" + s.Ident + "CeilingHolds",
		"Test" + s.Ident + "Hostile",
	}
	if s.Own {
		names = append(names, s.Var+"Description")
	}
	return names
}

// render executes a template; Go comes out formatted.
func (s *skeleton) render(name string) ([]byte, error) {
	t, err := template.New(name+".tmpl").Option("missingkey=error").ParseFS(templates, "templates/"+name+".tmpl")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, s); err != nil {
		return nil, err
	}
	if filepath.Ext(name) != ".go" {
		return b.Bytes(), nil
	}
	formatted, err := format.Source(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("newtool: template %s: %w", name, err)
	}
	return formatted, nil
}
