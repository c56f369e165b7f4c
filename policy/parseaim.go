package policy

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// aim returns the members of a tool that say what its calls are aimed at.
func (r *reader) aim(tool string) map[string]func(*yaml.Node) {
	set := func(refine func(*Aim)) { r.policy.aims[tool] = append(r.policy.aims[tool], refine) }
	return map[string]func(*yaml.Node){
		"effect":   func(n *yaml.Node) { text := r.text(n); set(func(a *Aim) { a.Effect = text }) },
		"each":     func(n *yaml.Node) { text := r.text(n); set(func(a *Aim) { a.Each = text }) },
		"asked_by": func(n *yaml.Node) { var all []string; r.intoList(&all)(n); set(func(a *Aim) { a.AskedBy = all }) },
		"unnamed": func(n *yaml.Node) {
			answer := []Answer{Ask, Refuse, Allow}[r.oneOf(n, "ask", "refuse", "allow")]
			set(func(a *Aim) { a.Unnamed = answer })
		},
		"max": func(n *yaml.Node) {
			most := OnePerRequest
			if n.Value != "one_per_request" {
				most = r.count(n, "max is a whole number above 0, or one_per_request")
			}
			set(func(a *Aim) { a.Max = most })
		},
		"max_per_task": func(n *yaml.Node) {
			most := r.count(n, "max_per_task is a whole number above 0")
			set(func(a *Aim) { a.MaxPerTask = most })
		},
		"targets": func(n *yaml.Node) {
			targets := map[string]Target{}
			r.Pairs(n, "targets of "+tool, func(key, value *yaml.Node) {
				r.use(tool, use{key.Value, key.Line})
				targets[key.Value] = r.target(value)
			})
			set(func(a *Aim) { a.Targets = targets })
		},
		"records": func(n *yaml.Node) {
			var of Records
			r.members(n, "records of "+tool, map[string]func(*yaml.Node){
				"type": r.into(&of.Type), "id": r.into(&of.ID), "name": r.into(&of.Name),
				"made": func(n *yaml.Node) { of.Made = r.oneOf(n, "false", "true") == 1 },
			})
			if of.Type == "" || of.ID == "" {
				r.Fail(n, "records have a type and an id, and mostly a name")
			}
			set(func(a *Aim) { a.Records = of })
		},
	}
}

// count reads a number above 0, or fails with what is wrong.
func (r *reader) count(n *yaml.Node, wrong string) int {
	most, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || n.Anchor != "" || err != nil || most <= 0 {
		r.Fail(n, "%s", wrong)
	}
	return most
}

func (r *reader) target(n *yaml.Node) Target {
	var t Target
	r.members(n, "a target", map[string]func(*yaml.Node){
		"type": r.into(&t.Type), "files": r.intoList(&t.Files),
		"as": func(n *yaml.Node) {
			t.As = []Naming{Verbatim, InPart, FromWords}[r.oneOf(n, "verbatim", string(InPart), string(FromWords))]
		},
	})
	if t.Type == "" {
		r.Fail(n, "a target has no type")
	}
	return t
}

// oneOf reads one of a few words, and returns which; 0, and a mistake, for another.
func (r *reader) oneOf(n *yaml.Node, known ...string) int {
	i := slices.Index(known, n.Value)
	if n.Kind != yaml.ScalarNode || n.Anchor != "" || i < 0 {
		r.Fail(n, "%q is none of %s", n.Value, strings.Join(known, ", "))
		return 0
	}
	return i
}
