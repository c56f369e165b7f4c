package tools

import (
	"strings"

	"github.com/invopop/jsonschema"
)

// tell leaves of a schema what the engines agree on, and puts the rest into words.
func tell(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	var words []string
	if size := between(s.MinLength, s.MaxLength, "characters"); size != "" {
		words = append(words, size)
	}
	s.MinLength, s.MaxLength = nil, nil // with one, some cannot write a line break
	if s.Pattern != "" && !portable(s.Pattern) {
		words = append(words, "matching "+s.Pattern)
		s.Pattern = ""
	}
	if s.UniqueItems {
		words = append(words, "no two alike")
		s.UniqueItems = false
	}
	if s.ContentEncoding != "" {
		words = append(words, "encoded in "+s.ContentEncoding)
		s.ContentEncoding = ""
	}
	if len(words) > 0 {
		s.Description = strings.TrimSpace(s.Description + " (" + strings.Join(words, ", ") + ")")
	}
	if s.Properties != nil {
		for p := s.Properties.Oldest(); p != nil; p = p.Next() {
			p.Value = tellAny(p.Value)
		}
	}
	if s.Items != nil {
		s.Items = tellAny(s.Items)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties != jsonschema.FalseSchema {
		s.AdditionalProperties = tellAny(s.AdditionalProperties)
	}
	for _, alternative := range s.AnyOf {
		tell(alternative)
	}
}

// tellAny is tell for a schema inside another one, where that may be true: several
// engines know a schema only as an object.
func tellAny(s *jsonschema.Schema) *jsonschema.Schema {
	tell(s)
	if text, err := s.MarshalJSON(); err == nil && string(text) == "true" {
		return &jsonschema.Schema{Extras: map[string]any{}} // which the library writes as {}
	}
	return s
}

// portable reports whether every engine takes a pattern for the same: anchored, of
// literals, ASCII classes, groups and repetitions.
func portable(pattern string) bool {
	inside, begins := strings.CutPrefix(pattern, "^")
	inside, ends := strings.CutSuffix(inside, "$")
	if !begins || !ends {
		return false
	}
	class := false
	for i := 0; i < len(inside); i++ {
		switch c := inside[i]; {
		case c >= 0x80:
			return false
		case c == '\\':
			if i++; i == len(inside) || isWord(inside[i]) {
				return false // \d and its like
			}
		case class:
			class = c != ']'
		case c == '[':
			class = true
			if strings.HasPrefix(inside[i+1:], "^") {
				return false // what it allows, some cannot write
			}
		case c == '|', c == '.', c == '^', c == '$', c == '(' && strings.HasPrefix(inside[i+1:], "?"):
			return false
		}
	}
	return true
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
