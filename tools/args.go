package tools

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
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

// misfit says in a sentence where arguments do not fit the schema: the field, what
// came, and what is wanted. It judges nothing: it is asked when they do not.
func misfit(v any, s *jsonschema.Schema, at string) string {
	if s == nil {
		return ""
	}
	if s.Type != "" && !isA(v, s.Type) {
		return fmt.Sprintf("%s is %s, and %s is wanted", field(at), kindOf(v), article(s.Type))
	}
	if len(s.Enum) > 0 && !slices.ContainsFunc(s.Enum, func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(v) }) {
		return fmt.Sprintf("%s is %s, and one of %s is wanted", field(at), brief(v), listed(s.Enum))
	}
	switch v := v.(type) {
	case map[string]any:
		return misfitObject(v, s, at)
	case []any:
		switch {
		case s.MinItems != nil && uint64(len(v)) < *s.MinItems:
			return fmt.Sprintf("%s has %d elements, and at least %d are wanted", field(at), len(v), *s.MinItems)
		case s.MaxItems != nil && uint64(len(v)) > *s.MaxItems:
			return fmt.Sprintf("%s has %d elements, and at most %d are wanted", field(at), len(v), *s.MaxItems)
		case s.UniqueItems && repeats(v):
			return fmt.Sprintf("%s has an element twice", field(at))
		}
		for i, element := range v {
			if text := misfit(element, s.Items, join(at, strconv.Itoa(i))); text != "" {
				return text
			}
		}
	case string:
		n := uint64(utf8.RuneCountInString(v)) //nolint:gosec // never negative
		switch {
		case s.MinLength != nil && n < *s.MinLength:
			return fmt.Sprintf("%s has %d characters, and at least %d are wanted", field(at), n, *s.MinLength)
		case s.MaxLength != nil && n > *s.MaxLength:
			return fmt.Sprintf("%s has %d characters, and at most %d are wanted", field(at), n, *s.MaxLength)
		case !matches(v, s.Pattern):
			return fmt.Sprintf("%s is %s, and a text that matches %s is wanted", field(at), brief(v), s.Pattern)
		}
	case float64, int, int64:
		if wanted := rangeOf(s); outside(v, s) {
			return fmt.Sprintf("%s is %s, and a number %s is wanted", field(at), brief(v), wanted)
		}
	}
	return ""
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

func listed(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = brief(v)
	}
	return strings.Join(words, ", ")
}

// rangeOf words the bounds of a number.
func rangeOf(s *jsonschema.Schema) string {
	var words []string
	for _, bound := range []struct {
		word  string
		value json.Number
	}{{"from", s.Minimum}, {"above", s.ExclusiveMinimum}, {"to", s.Maximum}, {"below", s.ExclusiveMaximum}, {"that is a multiple of", s.MultipleOf}} {
		if bound.value != "" {
			words = append(words, bound.word+" "+bound.value.String())
		}
	}
	return strings.Join(words, " ")
}

func outside(v any, s *jsonschema.Schema) bool {
	var n float64
	switch v := v.(type) {
	case float64:
		n = v
	case int:
		n = float64(v)
	case int64:
		n = float64(v)
	}
	beyond := func(bound json.Number, is func(b float64) bool) bool {
		b, err := bound.Float64()
		return err == nil && is(b)
	}
	return beyond(s.Minimum, func(b float64) bool { return n < b }) || beyond(s.ExclusiveMinimum, func(b float64) bool { return n <= b }) ||
		beyond(s.Maximum, func(b float64) bool { return n > b }) || beyond(s.ExclusiveMaximum, func(b float64) bool { return n >= b }) ||
		beyond(s.MultipleOf, func(b float64) bool { return math.Mod(n, b) != 0 })
}

func matches(text, pattern string) bool {
	re, err := regexp.Compile(pattern)
	return err != nil || re.MatchString(text)
}

func repeats(list []any) bool {
	seen := map[string]bool{}
	for _, element := range list {
		text := fmt.Sprintf("%T %v", element, element)
		if seen[text] {
			return true
		}
		seen[text] = true
	}
	return false
}

func isA(v any, kind string) bool {
	switch v := v.(type) {
	case string:
		return kind == "string"
	case bool:
		return kind == "boolean"
	case map[string]any:
		return kind == "object"
	case []any:
		return kind == "array"
	case float64:
		return kind == "number" || kind == "integer" && v == math.Trunc(v)
	case int, int64:
		return kind == "number" || kind == "integer"
	}
	return false
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "a text"
	case bool:
		return "true or false"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case float64, int, int64:
		return "the number " + brief(v)
	}
	return fmt.Sprintf("a %T", v)
}

func article(kind string) string {
	words := map[string]string{
		"string": "a text", "boolean": "true or false", "object": "an object", "array": "a list", "integer": "a whole number", "number": "a number",
	}
	return words[kind]
}

func field(at string) string {
	if at == "" {
		return "the arguments"
	}
	return strings.Trim(brief(at), `"`)
}

// brief quotes what a model sent: escaped, and no more of it than helps.
func brief(v any) string {
	const most = 80
	text := fmt.Sprint(v)
	if f, ok := v.(float64); ok {
		text = strconv.FormatFloat(f, 'f', -1, 64)
	}
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	if _, ok := v.(string); ok {
		return strconv.Quote(text)
	}
	return text
}
