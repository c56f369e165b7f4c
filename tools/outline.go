package tools

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/rar"
)

// maxKinds bounds how many kinds of calls an outline looks at.
const maxKinds = 1024

// outline calls the ceiling with arguments that stand for any others: every choice that
// the schema knows, and a mark that is found again for whatever is free.
func (s Spec[A]) outline(schema *jsonschema.Schema) (o jitmw.Outline) {
	if s.API != nil {
		if origin, err := jit.OriginOf(s.API); err == nil {
			o.Origin = origin.String()
		}
	}
	m, every := marks{names: map[string]string{}}, map[string]any{}
	var own, more []rar.Detail
	all := eachChoice(func(pick func(n int) int) {
		m.pick = pick
		args, _ := m.any(schema, "").(map[string]any)
		ceiling, err := s.ceilingOf(args)
		if err != nil {
			o.Open = true
			return
		}
		maps.Copy(every, args)
		own, more = append(own, ceiling...), append(more, s.Policy.Ceiling(s.Name, s.API, args)...)
	})
	o.Open = o.Open || !all
	o.Aim = s.aim(own, every)
	seen := map[string]bool{}
	for _, d := range append(slices.Clip(own), more...) {
		text, err := d.Canonical()
		named := m.replace(string(text))
		if seen[named] {
			continue
		}
		seen[named] = true
		if err == nil {
			err = d.UnmarshalJSON([]byte(named))
		}
		if err != nil {
			o.Open = true
			continue
		}
		o.Ceiling = append(o.Ceiling, d)
	}
	return o
}

// ceilingOf returns the ceiling of a call whose arguments nobody checked.
func (s Spec[A]) ceilingOf(args map[string]any) (ceiling []rar.Detail, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the ceiling of %s: %v", s.Name, p)
		}
	}()
	text, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	var a A
	if err := strictjson.Exact(text, &a); err != nil {
		return nil, err
	}
	return s.Ceiling(a), nil
}

// eachChoice calls f for every way in which its choices can fall, and reports whether
// that were all. pick returns one of the numbers below n; f must ask for choices in an
// order that follows from those before.
func eachChoice(f func(pick func(n int) int)) bool {
	var taken, of []int
	for range maxKinds {
		next := 0
		f(func(n int) int {
			if next == len(taken) {
				taken, of = append(taken, 0), append(of, n)
			}
			next++
			return taken[next-1]
		})
		for len(taken) > 0 && taken[len(taken)-1]+1 == of[len(of)-1] {
			taken, of = taken[:len(taken)-1], of[:len(of)-1]
		}
		if len(taken) == 0 {
			return true
		}
		taken[len(taken)-1]++
	}
	return false
}

// marks makes arguments that fit the types of a schema, and knows what stands for what.
type marks struct {
	pick  func(n int) int
	names map[string]string // of arguments, by their marks
}

func (m *marks) any(s *jsonschema.Schema, at string) any {
	switch {
	case s == nil:
		return m.mark(at)
	case len(s.Enum) > 0:
		return s.Enum[m.pick(len(s.Enum))]
	case s.Const != nil:
		return s.Const
	}
	switch s.Type {
	case "object":
		args := map[string]any{}
		if s.Properties == nil {
			if s.AdditionalProperties != nil && s.AdditionalProperties != jsonschema.FalseSchema {
				args[m.mark(at)] = m.any(s.AdditionalProperties, at)
			}
			return args
		}
		for p := s.Properties.Oldest(); p != nil; p = p.Next() {
			if slices.Contains(s.Required, p.Key) || m.pick(2) == 0 {
				args[p.Key] = m.any(p.Value, join(at, p.Key))
			}
		}
		return args
	case "array":
		return []any{m.any(s.Items, at)}
	case "boolean":
		return m.pick(2) == 0
	case "integer", "number":
		n := 1_000_000_000 + int64(crc32.ChecksumIEEE([]byte(at)))%1_000_000_000 // that no ceiling has by chance
		if most, err := s.Maximum.Int64(); err == nil && most < n {
			return most // of a small type: shown as it is
		}
		m.names[fmt.Sprint(n)] = at
		return n
	}
	if s.Format == "date-time" {
		return "1985-04-12T23:20:50Z"
	}
	return m.mark(at)
}

// mark returns a text that stands for an argument. It is one that no address or
// identifier escapes.
func (m *marks) mark(at string) string {
	mark := "x" + hex.EncodeToString([]byte(at)) + "x"
	m.names[mark] = at
	return mark
}

// replace puts names in braces in the place of marks in a JSON text, as texts.
func (m *marks) replace(text string) string {
	var pairs []string
	for mark, name := range m.names {
		pairs = append(pairs, ":"+mark+",", `:"{`+name+`}",`, ":"+mark+"}", `:"{`+name+`}"}`, mark, "{"+name+"}")
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
