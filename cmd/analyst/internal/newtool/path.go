package newtool

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// An arg is one argument of the tool.
type arg struct {
	JSON, Field string
	Description string
	Optional    bool
	Segment     bool // a segment of the path, which may hold no separator

	kind    string   // text, int, number, bool, list, or enum
	choices []string // of an enum
	most    int      // characters of a text
}

// newArg reads what stands in braces: name, name:kind, name:this|that, each with "?"
// at its end when it may be absent.
func newArg(text string, inPath bool) (*arg, error) {
	name, optional := strings.CutSuffix(text, "?")
	name, kind, typed := strings.Cut(name, ":")
	words := strings.ReplaceAll(name, "_", " ")
	a := &arg{JSON: name, Optional: optional, Segment: inPath, kind: "text", most: 200}
	switch {
	case !snake.MatchString(name):
		return nil, fmt.Errorf("{%s} is no name for an argument: use snake case in braces", text)
	case inPath && optional:
		return nil, fmt.Errorf("{%s}: what is in the path cannot be absent", text)
	case strings.Contains(kind, "|"):
		a.kind, a.choices = "enum", strings.Split(kind, "|")
		for _, choice := range a.choices {
			if !segment.MatchString(choice) {
				return nil, fmt.Errorf("{%s}: %q is no plain word", text, choice)
			}
		}
	case typed:
		a.kind = kind
	}
	switch a.kind {
	case "text", "int", "enum":
	case "number", "bool", "list":
		if inPath {
			return nil, fmt.Errorf("{%s}: a %s has no place in the path", text, a.kind)
		}
	default:
		return nil, fmt.Errorf("{%s}: the kinds are text, int, number, bool, list, and choices such as draft|final", text)
	}
	a.Field, a.Description = camel(name), strings.ToUpper(words[:1])+words[1:]
	return a, nil
}

// Type is the field's type in Go.
func (a *arg) Type() string {
	return map[string]string{"int": "int", "number": "float64", "bool": "bool", "list": "[]string"}[a.kind] + map[bool]string{true: "string"}[a.kind == "text" || a.kind == "enum"]
}

// Tag is the field's tag.
func (a *arg) Tag() string {
	json := a.JSON
	if a.Optional {
		json += ",omitempty"
	}
	schema := "description=" + a.Description
	switch {
	case a.kind == "enum":
		schema += ",enum=" + strings.Join(a.choices, ",enum=")
	case a.kind == "int":
		schema += ",minimum=0"
	case a.kind == "list":
		schema += ",minItems=1,maxItems=20"
	case a.kind == "text" && a.Segment:
		schema += `,pattern=^[A-Za-z0-9_-]{1\\,64}$`
	case a.kind == "text":
		schema += ",minLength=1,maxLength=" + strconv.Itoa(a.most)
	}
	return fmt.Sprintf("`json:%q jsonschema:\"%s\"`", json, schema)
}

// Example is a right value, for JSON.
func (a *arg) Example() any {
	switch a.kind {
	case "int":
		return 1
	case "number":
		return 1.5
	case "bool":
		return true
	case "list":
		return []string{a.JSON + "_1"}
	case "enum":
		return a.choices[0]
	}
	return a.JSON + "_1"
}

// wrong is a value that does not fit.
func (a *arg) wrong() any {
	switch {
	case a.kind == "enum":
		return "none_of_them"
	case a.kind != "text":
		return "neither"
	case a.Segment:
		return a.JSON + "_1/../other"
	}
	return ""
}

// text is the argument in Go, as a text.
func (a *arg) text() string {
	switch a.kind {
	case "text", "enum":
		return "a." + a.Field
	case "int":
		return "strconv.Itoa(a." + a.Field + ")"
	}
	return "fmt.Sprint(a." + a.Field + ")"
}

// setQuery is the statement in Go that puts the argument into a query.
func (a *arg) setQuery(name string) string {
	set := fmt.Sprintf("query.Set(%q, %s)", name, a.text())
	switch {
	case a.kind == "list":
		return fmt.Sprintf("for _, v := range a.%s {\nquery.Add(%q, v)\n}", a.Field, name)
	case !a.Optional:
		return set
	case a.kind == "bool":
		return fmt.Sprintf("if a.%s {\n%s\n}", a.Field, set)
	case a.kind == "int" || a.kind == "number":
		return fmt.Sprintf("if a.%s != 0 {\n%s\n}", a.Field, set)
	}
	return fmt.Sprintf("if a.%s != \"\" {\n%s\n}", a.Field, set)
}

// A part of what the tool calls is a literal or an argument; one of the query has a
// name.
type part struct {
	name, literal string
	arg           *arg
}

// parsePath reads a path such as /v1/invoices/{number}/lines?page={page:int?}.
func parsePath(s string) (path, query []part, err error) {
	fail := func(why string, args ...any) ([]part, []part, error) {
		return nil, nil, fmt.Errorf("the API's path %q: %s", s, fmt.Sprintf(why, args...))
	}
	seen := map[string]bool{}
	read := func(text string, inPath bool) (part, error) {
		if len(text) < 3 || text[0] != '{' || text[len(text)-1] != '}' {
			if !segment.MatchString(text) {
				return part{}, fmt.Errorf("%q is neither plain nor one argument in braces", text)
			}
			return part{literal: text}, nil
		}
		a, err := newArg(text[1:len(text)-1], inPath)
		if err == nil && seen[a.JSON] {
			err = fmt.Errorf("it names {%s} twice", a.JSON)
		}
		if err != nil {
			return part{}, err
		}
		seen[a.JSON] = true
		return part{arg: a}, nil
	}
	before, after, hasQuery := s, "", false
	if i := strings.Index(s, "?"); i >= 0 && strings.Count(s[:i], "{") == strings.Count(s[:i], "}") {
		before, after, hasQuery = s[:i], s[i+1:], true
	}
	if !strings.HasPrefix(before, "/") || strings.TrimRight(before, "/") == "" {
		return fail("it must begin with a slash and name something, as in /v1/invoices/{number}")
	}
	for _, text := range strings.Split(strings.Trim(before, "/"), "/") {
		p, err := read(text, true)
		if err != nil {
			return fail("%v", err)
		}
		path = append(path, p)
	}
	if !hasQuery {
		return path, nil, nil
	}
	for _, pair := range strings.Split(after, "&") {
		name, value, ok := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err != nil || !ok || !segment.MatchString(name) {
			return fail("%q is not name=value", pair)
		}
		p, err := read(value, false)
		if err != nil {
			return fail("%v", err)
		}
		p.name = name
		query = append(query, p)
	}
	return path, query, nil
}
