// Package policy reads the operator's file: what calls of which tool may ask for
// beyond the wordings that the tool itself knows.
//
//	tools:
//	  fetch_document:
//	    ceilings:
//	      - type: document_access
//	        actions: [read]
//	        identifier: "{document_id}"
//	        locations: ["{api}/v1/documents/{document_id}"]
//
// Each ceiling is one authorization detail, compared as exactly as the tool's own, or
// OAuth scopes, of which a call may ask for any: scopes: [documents:read, documents:list].
// Beside tools, budgets bound a whole run ([Budgets]).
// {api} is the base URL of the tool's API; any other name in braces is an argument
// of the call. The model chooses arguments: a placeholder says that whatever it
// chooses may be asked for.
//
// Invariants: what the file does not say widens nothing; a file with any mistake is
// refused whole; a ceiling of which an argument is absent does not exist for that
// call. The package knows no server and no tool.
package policy

import (
	"errors"
	"maps"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jitagent/jitagent/internal/yamlfile"
	"github.com/jitagent/jitagent/rar"
)

// api is the placeholder of the API's base URL.
const api = "{api}"

var placeholder = regexp.MustCompile(`\{([A-Za-z0-9_-]{1,64})\}`)

// A Policy is a file that was read. nil, and the zero Policy, widen nothing. It is
// safe for concurrent use.
type Policy struct {
	tools map[string][]rar.Detail // with their placeholders
	aims  map[string][]func(*Aim) // what is changed of a tool's own
	later map[string][]use        // of tools that are not known yet

	budgets Budgets
}

// A use is a tool or an argument that stands in the file.
type use struct {
	argument string // "" for the tool itself
	line     int
}

// Remote stands in the names of tools that a server offers, between the server's name and
// the tool's. [Parse] takes such a name for a tool that is not known yet; with nothing
// behind it, it is the server itself.
const Remote = "__"

// Check holds what the file says of tools that begin with a server's prefix, such as
// "files__", against those that the server offers, and the names of their arguments. Its
// error names every mistake, with its line.
func (p *Policy) Check(prefix string, tools map[string][]string) error {
	if p == nil {
		return nil
	}
	r := reader{Reader: yamlfile.Reader{File: "policy"}, policy: &Policy{}, known: tools}
	for _, tool := range slices.Sorted(maps.Keys(p.later)) {
		if strings.HasPrefix(tool, prefix) && tool != prefix {
			for _, u := range p.later[tool] {
				r.use(tool, u)
			}
		}
	}
	return errors.Join(r.Errs...)
}

// Aims reports whether the file says what calls of a tool do and are aimed at.
func (p *Policy) Aims(tool string) bool { return p != nil && len(p.aims[tool]) > 0 }

// Tools returns the names of the tools of which the policy has ceilings, sorted.
func (p *Policy) Tools() []string {
	if p == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(p.tools))
}

// Ceiling returns what a call of the tool with these arguments may ask for beside
// the tool's own ceiling. base is the API's base URL; nil for a tool without one.
func (p *Policy) Ceiling(tool string, base *url.URL, args map[string]any) []rar.Detail {
	if p == nil {
		return nil
	}
	var all []rar.Detail
	for _, c := range p.tools[tool] {
		if d, ok := fill(c, base, args); ok {
			all = append(all, d)
		}
	}
	return all
}

// fill puts the arguments in. It reports false when one is absent.
func fill(c rar.Detail, base *url.URL, args map[string]any) (rar.Detail, bool) {
	d, ok := c.Clone(), true
	put := func(text string, escape func(string) string) string {
		return placeholder.ReplaceAllStringFunc(text, func(found string) string {
			if found == api {
				ok = ok && base != nil
				return where(base)
			}
			value := textOf(args[found[1:len(found)-1]])
			ok = ok && value != ""
			return escape(value)
		})
	}
	d.Identifier = put(d.Identifier, func(s string) string { return s })
	for i, at := range d.Locations {
		d.Locations[i] = put(at, url.PathEscape)
	}
	return d, ok
}

// where returns a base URL as locations name it: without a slash at its end.
func where(base *url.URL) string {
	if base == nil {
		return ""
	}
	at := url.URL{Scheme: base.Scheme, Host: base.Host, Path: base.Path, RawPath: base.RawPath}
	return strings.TrimRight(at.String(), "/")
}

// Aim returns a tool's aim as the file refines it: what the file does not say stays.
func (p *Policy) Aim(tool string, own Aim) Aim {
	if p == nil {
		return own
	}
	own.Targets = maps.Clone(own.Targets)
	for _, refine := range p.aims[tool] {
		refine(&own)
	}
	return own
}

// textOf is an argument as part of a text; "" for one that has no plain text.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
	}
	return ""
}
