package policy

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/jitagent/jitagent/internal/yamlfile"
	"github.com/jitagent/jitagent/rar"
)

// Parse reads a policy file: YAML, strictly. tools are the tools that it may be about,
// and the names of their arguments. Its error names every mistake, with its line.
func Parse(text []byte, tools map[string][]string) (*Policy, error) {
	root, err := yamlfile.Document(text, "policy")
	if err != nil {
		return nil, err
	}
	r := &reader{Reader: yamlfile.Reader{File: "policy"}, policy: &Policy{tools: map[string][]rar.Detail{}, aims: map[string][]func(*Aim){}, later: map[string][]use{}}, known: tools}
	if root == nil {
		return nil, errors.New("policy: the file is empty: write tools, and under it the names of tools")
	}
	r.members(root, "the file", map[string]func(*yaml.Node){"tools": r.tools, "budgets": r.budgets})
	if err := errors.Join(r.Errs...); err != nil {
		return nil, err
	}
	return r.policy, nil
}

// A reader reads the tree and goes on after a mistake.
type reader struct {
	yamlfile.Reader
	policy *Policy
	known  map[string][]string // the arguments of each tool
}

// members reads a mapping of known names.
func (r *reader) members(n *yaml.Node, what string, known map[string]func(*yaml.Node)) {
	r.Pairs(n, what, func(key, value *yaml.Node) {
		read := known[key.Value]
		if read == nil {
			r.Fail(key, "%q is no member of %s", key.Value, what)
			return
		}
		read(value)
	})
}

func (r *reader) tools(n *yaml.Node) {
	r.Pairs(n, "tools", func(key, value *yaml.Node) {
		tool := key.Value
		r.use(tool, use{line: key.Line})
		members := r.aim(tool)
		members["ceilings"] = func(list *yaml.Node) {
			for _, item := range r.list(list, "ceilings of "+tool) {
				r.ceiling(tool, item)
			}
		}
		r.members(value, tool, members)
		if len(r.policy.tools[tool])+len(r.policy.aims[tool]) == 0 && len(r.Errs) == 0 {
			r.Fail(key, "nothing is said of %s", tool)
		}
	})
}

// use refuses a tool that there is not, or an argument that it does not have. Of one that
// a server offers, that is said later.
func (r *reader) use(tool string, u use) {
	arguments, known := r.known[tool]
	switch {
	case !known && r.policy.later != nil && strings.Contains(tool, Remote):
		r.policy.later[tool] = append(r.policy.later[tool], u)
	case u.argument == "" && !known:
		r.Fail(&yaml.Node{Line: u.line}, "there is no tool %s: there are %s", tool, strings.Join(slices.Sorted(maps.Keys(r.known)), ", "))
	case u.argument != "" && known && !slices.Contains(arguments, u.argument):
		r.Fail(&yaml.Node{Line: u.line}, "%s has no argument %s: it has %s", tool, u.argument, strings.Join(arguments, ", "))
	}
}

func (r *reader) ceiling(tool string, n *yaml.Node) {
	var c rar.Detail
	var scopes []string
	before := len(r.Errs)
	r.members(n, "a ceiling", map[string]func(*yaml.Node){
		"scopes": func(n *yaml.Node) {
			if scopes = []string{}; n.Kind != yaml.SequenceNode || n.Anchor != "" || len(n.Content) > 0 { // none is a login
				r.intoList(&scopes)(n)
			}
		},
		"type": r.into(&c.Type), "actions": r.intoList(&c.Actions), "identifier": r.into(&c.Identifier),
		"locations": r.intoList(&c.Locations), "datatypes": r.intoList(&c.DataTypes), "privileges": r.intoList(&c.Privileges),
	})
	if c.IsScopes() || scopes != nil && (c.Type != "" || c.Actions != nil) {
		r.Fail(n, "a ceiling of scopes is scopes: [...], and nothing beside it")
	}
	if scopes != nil {
		c.Type, c.Actions = rar.ScopeType, rar.Scopes(scopes...).Actions
	}
	if len(r.Errs) == before {
		r.check(n, tool, c)
	}
	r.policy.tools[tool] = append(r.policy.tools[tool], c)
	if len(c.Locations) == 1 && c.Locations[0] == api { // with a slash it is the same place
		slashed := c.Clone()
		slashed.Locations[0] += "/"
		r.policy.tools[tool] = append(r.policy.tools[tool], slashed)
	}
}

// check refuses a ceiling that says less than it looks like.
func (r *reader) check(n *yaml.Node, tool string, d rar.Detail) {
	switch {
	case d.Type == "":
		r.Fail(n, "a ceiling has no type")
	case len(d.Actions) == 0 && !d.IsScopes():
		r.Fail(n, "a ceiling of type %s has no actions", d.Type)
	}
	for _, text := range append(append([]string{d.Type}, d.Actions...), append(d.DataTypes, d.Privileges...)...) {
		if strings.ContainsAny(text, "{}") {
			r.Fail(n, "%q: braces stand in the identifier and the locations alone", text)
		}
	}
	for i, text := range append([]string{d.Identifier}, d.Locations...) {
		for _, found := range placeholder.FindAllStringSubmatch(text, -1) {
			if found[0] != api {
				r.use(tool, use{found[1], n.Line})
			}
		}
		rest := placeholder.ReplaceAllString(text, "x")
		if strings.ContainsAny(rest, "{}") {
			r.Fail(n, "%q: a brace that is no placeholder such as {document_id}", text)
			continue
		}
		if strings.Contains(strings.TrimPrefix(text, api), api) || i == 0 && strings.Contains(text, api) {
			r.Fail(n, "%q: {api} stands at the beginning of a location", text)
		}
		if i == 0 || strings.HasPrefix(text, api) {
			continue
		}
		if u, err := url.Parse(text); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsAny(u.Host, "{}") || placeholder.MatchString(text[:len(u.Scheme)+3]) {
			r.Fail(n, "%q is no location: begin with {api}, or with https:// and a host", text)
		}
	}
	if _, err := d.Check(); err != nil {
		r.Fail(n, "%s", strings.TrimPrefix(err.Error(), "rar: "))
	}
}

// into reads a text, and intoList a list of texts.
func (r *reader) into(at *string) func(*yaml.Node) {
	return func(n *yaml.Node) { *at = r.text(n) }
}

func (r *reader) intoList(at *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, item := range r.list(n, "the list") {
			*at = append(*at, r.text(item))
		}
	}
}

func (r *reader) list(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode || n.Anchor != "" || len(n.Content) == 0 {
		r.Fail(n, "%s is not a list with something in it", what)
		return nil
	}
	return n.Content
}

func (r *reader) text(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.Anchor != "" || n.Tag != "!!str" || n.Value == "" {
		r.Fail(n, "%q is no text: put it in quotes", n.Value)
	}
	return n.Value
}
