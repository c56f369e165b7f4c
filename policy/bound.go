package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/rar"
)

// reads are the actions that change nothing.
var reads = []string{"read", "readonly", "get", "list", "search", "view", "query", "fetch", "lookup", "export", "download"}

// Bound is the aim of a tool that declares none: what its ceiling says of a call. An
// argument that stands in an identifier or a location of the ceiling is a target. An
// action that does more than read makes an effect, asked for by the action or by a
// word of the tool's name. A call without a ceiling is aimed at nothing.
func Bound(tool string, ceiling []rar.Detail, args map[string]any) Aim {
	var aim Aim
	var places, actions []string
	for _, d := range ceiling {
		places = append(places, fold(d.Identifier))
		for _, at := range d.Locations {
			places = append(places, fold(at))
		}
		for _, action := range d.Actions {
			if d.IsScopes() { // files:read reads
				action = cmp.Or(action[strings.LastIndexAny(action, ":./_-")+1:], action)
			}
			actions = append(actions, action)
		}
	}
	for name, arg := range args {
		for _, value := range values(arg) {
			holds := func(place string) bool { return stands(place, fold(value)) }
			if value != "" && slices.ContainsFunc(places, holds) {
				if aim.Targets == nil {
					aim.Targets = map[string]Target{}
				}
				aim.Targets[name] = Target{Type: tool + " " + name} // like no other
			}
		}
	}
	actions = slices.DeleteFunc(actions, func(a string) bool { return slices.Contains(reads, fold(a)) })
	slices.Sort(actions)
	if actions = slices.Compact(actions); len(actions) > 0 {
		aim.Effect = strings.Join(actions, ", ")
		aim.AskedBy = append(actions, strings.FieldsFunc(fold(tool), func(r rune) bool { return r == '_' || r == '-' })...)
	}
	return aim
}

// stands reports whether a value is a whole segment of a place.
func stands(place, value string) bool {
	return slices.Contains(strings.FieldsFunc(place, func(r rune) bool { return strings.ContainsRune("/?&=:#", r) }), value) || place == value
}
