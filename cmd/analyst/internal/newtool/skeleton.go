package newtool

import (
	"bytes"
	"cmp"
	"embed"
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
	Pattern    string // as http.ServeMux takes it
	Type       string
	Action     string
	Effect     bool
	Args       []*arg
	Query      []string // statements in Go
	Body       *arg     // of an effect
	Identifier string   // in Go
	About      string   // the identifier in the tests' call
	Authority  string   // what a call may ask for, as one line for a comment
	Join       string   // arguments of JoinPath, in Go
	Justify    string   // in Go
	Sentence   string
}

func newSkeleton(o options, pkg, importPath string) (*skeleton, error) {
	words := strings.Split(o.Name, "_")
	object := strings.Join(words[min(1, len(words)-1):], "_")
	s := &skeleton{
		Name: o.Name, Ident: camel(o.Name), Var: lowerCamel(o.Name), Package: pkg, ImportPath: importPath,
		Own: importPath != home+"/tools", Method: "GET", Effect: o.Effect,
		Type: cmp.Or(o.Type, object), Action: cmp.Or(o.Action, "read"), Path: cmp.Or(o.APIPath, "/v1/"+object+"/{id}"),
		Sentence: strings.ToUpper(o.Name[:1]) + strings.ReplaceAll(o.Name[1:], "_", " "),
	}
	if o.Effect {
		s.Method, s.Action, s.Path = "POST", cmp.Or(o.Action, "write"), cmp.Or(o.APIPath, "/v1/"+object)
	}
	if s.Own {
		s.Pkg = "tools."
	} else if o.Name == "instruction" {
		return nil, fmt.Errorf("%q is the analyst's own instruction", o.Name)
	}
	for what, text := range map[string]string{"type": s.Type, "action": s.Action} {
		if !member().MatchString(text) {
			return nil, fmt.Errorf("%q is no %s for an authorization detail: use letters, digits and . _ : / -", text, what)
		}
	}
	path, query, err := parsePath(s.Path)
	if err != nil {
		return nil, err
	}
	if o.Effect {
		s.Body = textArg("content", "What is sent", 100_000)
	}
	s.goParts(path, query)
	switch {
	case len(s.Args) == 0:
		return nil, fmt.Errorf("the API's path %q: it takes no argument: put one in braces, as in /v1/invoices/{number}", s.Path)
	case o.Effect && slices.ContainsFunc(s.Args[:len(s.Args)-1], func(a *arg) bool { return a.JSON == s.Body.JSON }):
		return nil, fmt.Errorf("the API's path %q: an effect takes an argument content of its own", s.Path)
	}
	return s, nil
}

// goParts writes what the templates hold in Go.
func (s *skeleton) goParts(path, query []part) {
	var join []string
	last := path[len(path)-1].literal
	s.Identifier, s.About, s.Justify = strconv.Quote(last), last, strconv.Quote(s.Sentence)
	s.Authority = s.Type + " " + s.Action + " " + last
	// The model chose the arguments, and a person reads this: one with a pattern can be
	// shown as it is, another only quoted.
	justify := func(a *arg, value string) {
		if len(s.Args) == 1 && !a.list {
			s.Justify = strconv.Quote(s.Sentence+": ") + " + " + value
		}
	}
	for _, p := range path {
		if p.arg == nil {
			s.Pattern += "/" + p.literal
			join = append(join, strconv.Quote(p.literal))
			continue
		}
		s.Pattern += "/{" + p.arg.JSON + "}"
		join = append(join, p.arg.text)
		if s.Args = append(s.Args, p.arg); len(s.Args) == 1 { // the authority is over the first
			s.Identifier, s.About = p.arg.text, fmt.Sprint(p.arg.Example)
			s.Authority = s.Type + " " + s.Action + " {" + p.arg.JSON + "}"
		}
		justify(p.arg, p.arg.text)
	}
	for _, p := range query {
		if p.arg == nil {
			s.Query = append(s.Query, fmt.Sprintf("query.Set(%q, %q)", p.name, p.literal))
			continue
		}
		s.Query = append(s.Query, p.arg.setQuery(p.name))
		s.Args = append(s.Args, p.arg)
		justify(p.arg, "strconv.Quote("+p.arg.text+")")
	}
	if s.Body != nil {
		s.Args = append(s.Args, s.Body)
	}
	s.Join = strings.Join(join, ", ")
}

// Uses reports whether the tool's Go has an expression of a package.
func (s *skeleton) Uses(pkg string) bool {
	return strings.Contains(s.Identifier+s.Join+s.Justify+strings.Join(s.Query, ""), pkg+".")
}

// OfArgs reports whether an expression is made of an argument.
func (s *skeleton) OfArgs(expression string) bool { return strings.Contains(expression, "a.") }

// Ref is what others call the tool's package.
func (s *skeleton) Ref() string { return cmp.Or(s.Alias(), s.Package) }

// Alias is the name under which others import the tool's package, where that
// package's own name is another import's too; else "".
func (s *skeleton) Alias() string {
	if s.Own && slices.Contains([]string{"io", "http", "url", "testing", "tool", "jittest", "adktest", "rar", "tools"}, s.Package) {
		return "my" + s.Package
	}
	return ""
}

// PlainPath is the path without braces, which mean something in a prompt.
func (s *skeleton) PlainPath() string {
	return strings.NewReplacer("{", "", "}", "").Replace(s.Pattern)
}

// OtherActions are those that the call may not ask for.
func (s *skeleton) OtherActions() []string {
	all := []string{"read", "write", "create", "update", "delete", "list", "search", "export", "execute", "approve", "admin", "*"}
	return slices.DeleteFunc(all, func(a string) bool { return a == s.Action })
}

// Go is a value in Go.
func (s *skeleton) Go(v any) string { return fmt.Sprintf("%#v", v) }

// BadArgs is a call in Go in which one argument is wrong and the others are right.
func (s *skeleton) BadArgs(wrong *arg) string {
	var pairs []string
	for _, a := range s.Args {
		value := a.Example
		if a == wrong {
			value = a.wrong
		}
		pairs = append(pairs, fmt.Sprintf("%q: %#v", a.JSON, value))
	}
	return "{" + strings.Join(pairs, ", ") + "}"
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
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	return formatted, nil
}
