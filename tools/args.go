package tools

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/invopop/jsonschema"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// tidy copies arguments without the nulls that stand for an optional one's absence,
// and refuses what would not arrive as it was said: a whole number beyond 2^53,
// which some reader on the way rounds, and U+0000, which many a store refuses after
// the effect.
func tidy(v any, s *jsonschema.Schema, at string) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, member := range v {
			inner := memberOf(s, name)
			if member == nil && inner != nil && inner.Type != "" && !slices.Contains(s.Required, name) {
				continue
			}
			var err error
			if out[name], err = tidy(member, inner, join(at, name)); err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			var items *jsonschema.Schema
			if s != nil {
				items = s.Items
			}
			var err error
			if out[i], err = tidy(element, items, join(at, strconv.Itoa(i))); err != nil {
				return nil, err
			}
		}
		return out, nil
	case string:
		if strings.ContainsRune(v, 0) {
			return nil, fmt.Errorf("%s holds the character U+0000: leave it out", field(at))
		}
	case json.Number:
		f, err := v.Float64()
		if err != nil || !strings.ContainsAny(v.String(), ".eE") && math.Abs(f) > strictjson.MaxWhole || digits(v.String()) != digits(strconv.FormatFloat(f, 'e', -1, 64)) {
			return nil, tooLarge(v.String(), at)
		}
		return tidy(f, s, at)
	case float64:
		if math.Abs(v) > strictjson.MaxWhole && (s == nil || s.Type != "number") {
			return nil, tooLarge(strconv.FormatFloat(v, 'f', -1, 64), at)
		}
	case nil:
		if at == "" {
			return map[string]any{}, nil
		}
	}
	return v, nil
}

// digits are the significant ones of a number.
func digits(number string) string {
	mantissa, _, _ := strings.Cut(strings.ToLower(number), "e")
	return strings.Trim(strings.NewReplacer("-", "", ".", "").Replace(mantissa), "0")
}

func tooLarge(number, at string) error {
	return fmt.Errorf("%s is %s: whole numbers beyond %d do not arrive as they are sent: pass it as text, if the tool takes a text there",
		field(at), shortNumber(number), strictjson.MaxWhole)
}

func shortNumber(number string) string { return number[:min(len(number), 40)] }

// memberOf returns the schema of an object's member, or nil.
func memberOf(s *jsonschema.Schema, name string) *jsonschema.Schema {
	if s == nil {
		return nil
	}
	if s.Properties != nil {
		if inner, ok := s.Properties.Get(name); ok {
			return inner
		}
	}
	return s.AdditionalProperties
}

// misfit says in a sentence where arguments do not fit the schema: the field, what came,
// and what is wanted.
func misfit(v any, s *jsonschema.Schema, at string) string {
	if s == nil || fits(v, s) {
		return ""
	}
	text := ""
	switch v := v.(type) {
	case map[string]any:
		text = misfitObject(v, s, at)
	case []any:
		for i := 0; i < len(v) && text == ""; i++ {
			text = misfit(v[i], s.Items, join(at, strconv.Itoa(i)))
		}
	}
	return cmp.Or(text, fmt.Sprintf("%s is %s, and %s is wanted", field(at), shown(v), wanted(s)))
}

// fits reports whether a value alone fits a schema.
func fits(v any, s *jsonschema.Schema) bool {
	text, err := json.Marshal(s)
	if err != nil {
		return false
	}
	compiled, err := compile(text)
	return err == nil && compiled.Validate(v) == nil
}

func misfitObject(v map[string]any, s *jsonschema.Schema, at string) string {
	names := slices.Sorted(maps.Keys(v))
	for _, name := range names {
		if memberOf(s, name) == jsonschema.FalseSchema {
			return fmt.Sprintf("the tool takes no argument %s", field(join(at, name)))
		}
	}
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return fmt.Sprintf("%s is missing", field(join(at, name)))
		}
	}
	for _, name := range names {
		if text := misfit(v[name], memberOf(s, name), join(at, name)); text != "" {
			return text
		}
	}
	return ""
}

// wanted words what a schema takes.
func wanted(s *jsonschema.Schema) string {
	if len(s.Enum) > 0 {
		words := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			words[i] = brief(v)
		}
		return "one of " + strings.Join(words, ", ")
	}
	text := map[string]string{
		"string": "a text", "boolean": "true or false", "object": "an object", "array": "a list", "integer": "a whole number", "number": "a number",
	}[s.Type]
	if size := cmp.Or(between(s.MinLength, s.MaxLength, "characters"), between(s.MinItems, s.MaxItems, "elements")); size != "" {
		text += " of " + size
	}
	for _, bound := range []struct {
		word  string
		value any
		none  bool
	}{
		{"that matches", s.Pattern, s.Pattern == ""}, {"of which no two are alike", "", !s.UniqueItems},
		{"from", s.Minimum, s.Minimum == "" || s.Minimum == minWhole}, {"above", s.ExclusiveMinimum, s.ExclusiveMinimum == ""},
		{"to", s.Maximum, s.Maximum == "" || s.Maximum == maxWhole}, {"below", s.ExclusiveMaximum, s.ExclusiveMaximum == ""},
		{"that is a multiple of", s.MultipleOf, s.MultipleOf == ""},
	} {
		if !bound.none {
			text += strings.TrimRight(fmt.Sprintf(" %s %s", bound.word, bound.value), " ")
		}
	}
	return text
}

// The bounds that every whole number has, which nobody need be told.
var (
	maxWhole = json.Number(strconv.Itoa(strictjson.MaxWhole))
	minWhole = "-" + maxWhole
)

// between words how many of something there may be; "" for any number.
func between(least, most *uint64, what string) string {
	switch {
	case least != nil && most != nil:
		return fmt.Sprintf("%d to %d %s", *least, *most, what)
	case most != nil:
		return fmt.Sprintf("at most %d %s", *most, what)
	case least != nil:
		return fmt.Sprintf("at least %d %s", *least, what)
	}
	return ""
}

// shown words what came.
func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		if n := utf8.RuneCountInString(v); n > maxBrief {
			return fmt.Sprintf("a text of %d characters", n)
		}
	case map[string]any:
		return "an object"
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	}
	return brief(v)
}

func field(at string) string {
	if at == "" {
		return "the arguments"
	}
	return strings.Trim(brief(at), `"`)
}

// maxBrief is how much of a text is quoted.
const maxBrief = 80

// brief quotes what a model sent: escaped, and no more of it than helps.
func brief(v any) string {
	text := fmt.Sprint(v)
	if f, ok := v.(float64); ok {
		text = strconv.FormatFloat(f, 'f', -1, 64)
	}
	if len(text) > maxBrief {
		text = strings.ToValidUTF8(text[:maxBrief], "") + "…"
	}
	if _, ok := v.(string); ok {
		return strconv.Quote(text)
	}
	return text
}
