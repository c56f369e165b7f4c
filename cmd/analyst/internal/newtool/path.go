package newtool

import (
	"fmt"
	"net/url"
	"strings"
)

// An arg is one argument of the tool. Type, text and given are Go.
type arg struct {
	JSON, Field, Type string
	Description       string
	Optional          bool
	Example           any // a right value, for JSON

	schema      string // what the field's tag says besides the description, after a comma
	text, given string // the argument as a text, and whether it was given
	list        bool
	wrong       any // a value that does not fit
}

// newArg reads what stands in braces: name, name:kind, name:this|that, each with "?"
// at its end when it may be absent.
func newArg(text string, inPath bool) (*arg, error) {
	name, optional := strings.CutSuffix(text, "?")
	name, kind, typed := strings.Cut(name, ":")
	if !typed {
		kind = "text"
	}
	switch {
	case !snake.MatchString(name):
		return nil, fmt.Errorf("{%s} is no name for an argument: use snake case in braces", text)
	case inPath && optional:
		return nil, fmt.Errorf("{%s}: what is in the path cannot be absent", text)
	}
	words := strings.ReplaceAll(name, "_", " ")
	a := textArg(name, strings.ToUpper(words[:1])+words[1:], 200)
	a.Optional = optional
	field := "a." + a.Field
	anything := "fmt.Sprint(" + field + ")"
	switch choices := strings.Split(kind, "|"); {
	case len(choices) > 1:
		for _, choice := range choices {
			if !segment.MatchString(choice) {
				return nil, fmt.Errorf("{%s}: %q is no plain word", text, choice)
			}
		}
		a.schema, a.Example, a.wrong = ",enum="+strings.Join(choices, ",enum="), choices[0], "none_of_them"
		return a, nil
	case kind == "text" && inPath: // which may hold no separator
		a.schema, a.wrong = `,pattern=^[A-Za-z0-9_-]{1\\,64}$`, name+"_1/../other"
		return a, nil
	case kind == "text":
		return a, nil
	case kind == "int":
		a.Type, a.schema, a.Example, a.text, a.given = "int", ",minimum=0", 1, "strconv.Itoa("+field+")", field+" != 0"
	case kind == "number":
		a.Type, a.schema, a.Example, a.text, a.given = "float64", "", 1.5, anything, field+" != 0"
	case kind == "bool":
		a.Type, a.schema, a.Example, a.text, a.given = "bool", "", true, anything, field
	case kind == "list":
		a.Type, a.schema, a.Example, a.text, a.list = "[]string", ",minItems=1,maxItems=20", []string{name + "_1"}, anything, true
	default:
		return nil, fmt.Errorf("{%s}: the kinds are text, int, number, bool, list, and choices such as draft|final", text)
	}
	if a.wrong = "neither"; inPath && kind != "int" {
		return nil, fmt.Errorf("{%s}: a %s has no place in the path", text, kind)
	}
	return a, nil
}

// textArg is an argument of so many characters.
func textArg(name, description string, most int) *arg {
	field := camel(name)
	return &arg{
		JSON: name, Field: field, Type: "string", Description: description, Example: name + "_1",
		schema: fmt.Sprintf(",minLength=1,maxLength=%d", most), text: "a." + field, given: "a." + field + ` != ""`, wrong: "",
	}
}

// Tag is the field's tag.
func (a *arg) Tag() string {
	json := a.JSON
	if a.Optional {
		json += ",omitempty"
	}
	return fmt.Sprintf("`json:%q jsonschema:\"description=%s%s\"`", json, a.Description, a.schema)
}

// setQuery is the statement in Go that puts the argument into a query.
func (a *arg) setQuery(name string) string {
	set := fmt.Sprintf("query.Set(%q, %s)", name, a.text)
	switch {
	case a.list:
		return fmt.Sprintf("for _, v := range a.%s {\nquery.Add(%q, v)\n}", a.Field, name)
	case a.Optional:
		return fmt.Sprintf("if %s {\n%s\n}", a.given, set)
	}
	return set
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
