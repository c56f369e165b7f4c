package newtool

import (
	"fmt"
	"net/url"
	"strings"
)

// An arg is one argument of the tool: all are texts.
type arg struct {
	JSON, Field string
	Description string
	Example     string
	Max         int  // characters
	Segment     bool // a segment of the path, which may hold no separator
}

// An apiPath is what the tool calls, taken apart.
type apiPath struct {
	segments []part
	query    []queryPart
}

// A part is a literal or an argument.
type part struct {
	literal string
	arg     *arg
}

type queryPart struct {
	name string
	part
}

// parsePath reads a path such as /v1/invoices/{number}/lines?page={page}.
func parsePath(s string) (*apiPath, error) {
	fail := func(why string) (*apiPath, error) { return nil, fmt.Errorf("the API's path %q: %s", s, why) }
	path, query, hasQuery := strings.Cut(s, "?")
	if !strings.HasPrefix(path, "/") || strings.TrimRight(path, "/") == "" {
		return fail("it must begin with a slash and name something, as in /v1/invoices/{number}")
	}
	p := &apiPath{}
	seen := map[string]bool{}
	argOf := func(text string, inPath bool) (*arg, error) {
		name := text[1 : len(text)-1]
		switch {
		case !snake.MatchString(name):
			return nil, fmt.Errorf("the API's path %q: %s is no name for an argument: use snake case in braces", s, text)
		case seen[name]:
			return nil, fmt.Errorf("the API's path %q names %s twice", s, text)
		}
		seen[name] = true
		words := strings.ReplaceAll(name, "_", " ")
		a := &arg{JSON: name, Field: camel(name), Example: name + "_1", Max: 200, Segment: inPath}
		a.Description = strings.ToUpper(words[:1]) + words[1:]
		if inPath {
			a.Max = 64
		}
		return a, nil
	}
	for _, text := range strings.Split(strings.Trim(path, "/"), "/") {
		switch {
		case isArg(text):
			a, err := argOf(text, true)
			if err != nil {
				return nil, err
			}
			p.segments = append(p.segments, part{arg: a})
		case !segment.MatchString(text):
			return fail(fmt.Sprintf("%q is neither a plain segment nor one argument in braces", text))
		default:
			p.segments = append(p.segments, part{literal: text})
		}
	}
	if !hasQuery {
		return p, nil
	}
	for _, pair := range strings.Split(query, "&") {
		name, value, ok := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err != nil || !ok || !segment.MatchString(name) {
			return fail(fmt.Sprintf("%q is not name=value", pair))
		}
		q := queryPart{name: name, part: part{literal: value}}
		if isArg(value) {
			a, err := argOf(value, false)
			if err != nil {
				return nil, err
			}
			q.arg = a
		} else if !segment.MatchString(value) {
			return fail(fmt.Sprintf("%q is neither a plain value nor one argument in braces", value))
		}
		p.query = append(p.query, q)
	}
	return p, nil
}

func isArg(s string) bool { return len(s) > 2 && s[0] == '{' && s[len(s)-1] == '}' }

// args lists the arguments in order.
func (p *apiPath) args() (all []*arg) {
	for _, s := range p.segments {
		if s.arg != nil {
			all = append(all, s.arg)
		}
	}
	for _, q := range p.query {
		if q.arg != nil {
			all = append(all, q.arg)
		}
	}
	return all
}

// pattern is the path as http.ServeMux takes it.
func (p *apiPath) pattern() string {
	var b strings.Builder
	for _, s := range p.segments {
		b.WriteByte('/')
		if s.arg != nil {
			b.WriteString("{" + s.arg.JSON + "}")
		} else {
			b.WriteString(s.literal)
		}
	}
	return b.String()
}

// identifier returns what the authority is over: the first argument of the path, or
// else its last segment.
func (p *apiPath) identifier() part {
	for _, s := range p.segments {
		if s.arg != nil {
			return s
		}
	}
	return p.segments[len(p.segments)-1]
}
