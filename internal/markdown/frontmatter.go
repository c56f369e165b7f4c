// Package markdown reads Markdown and plain text as their writers mean them: the
// front matter apart from the text, and the title that a reader sees.
package markdown

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v4"
	"golang.org/x/text/unicode/norm"

	"github.com/jitagent/jitagent/internal/lazy"
)

// maxFrontMatter bounds front matter, in bytes.
const maxFrontMatter = 64 << 10

// classifies matches what may be meant to say how a document is classified. Where
// it is doubtful whether there is front matter, it decides that the doubt is told.
var classifies = regexp.MustCompile(`(?i)classification["']?\s*[:=]`)

// SplitFrontMatter returns the front matter at the top of text and what follows it.
// Front matter is YAML between lines "---", a JSON object, or YAML in a comment, if
// that names a classification. meta has the scalars of its root, by their keys in
// lower case; what is nested, and a list, is "" under its key. Where no key of the
// root is "classification", and another key or a value seems to say how secret the
// document is, meta has that key with "". meta is nil where text has no front matter; a
// thematic break at the top is none.
//
// An error says that there is front matter and that it cannot be read: it is
// longer than 64 KiB, names a key twice, uses an alias, or is TOML. Nothing is then
// known of the document; body is what follows the front matter, or all of the text
// where that has no end. The error quotes no value.
func SplitFrontMatter(text string) (meta map[string]string, body string, err error) {
	top := strings.TrimLeft(text, " \t\r\n")
	first, rest, _ := strings.Cut(top, "\n")
	var head string
	var ended bool
	switch first = strings.TrimRight(first, " \t\r"); {
	case strings.HasPrefix(top, "{"):
		return splitJSON(text, top)
	case first == "---":
		head, body, ended = cutAtLine(rest, "---", "...") // Pandoc ends it with dots
	case first == "+++":
		if head, body, ended = cutAtLine(rest, "+++"); ended {
			return nil, body, errors.New("front matter in TOML is not read, write it as YAML")
		}
	case strings.HasPrefix(top, "<!--"):
		head, body, ended = strings.Cut(top[len("<!--"):], "-->")
		if !classifies.MatchString(head) {
			return nil, text, nil // a comment like any other
		}
	default:
		return nil, text, nil
	}
	telling := classifies.MatchString(head)
	if !ended && telling {
		return nil, text, errors.New("front matter has no end")
	}
	if ended {
		if meta, err = readYAML(head); meta != nil || err != nil {
			return meta, body, err
		}
		if telling {
			return nil, body, errors.New("front matter is not keys with values")
		}
	}
	return nil, text, nil
}

// cutAtLine cuts s before and after the first line that is one of ends.
func cutAtLine(s string, ends ...string) (before, after string, found bool) {
	at := 0
	for line := range strings.Lines(s) {
		if slices.Contains(ends, strings.TrimRight(line, " \t\r\n")) {
			return s[:at], strings.TrimLeft(s[at+len(line):], "\r\n"), true
		}
		at += len(line)
	}
	return s, "", false
}

// splitJSON takes a JSON object off, as far as it is one: a text may begin with a
// brace for other reasons.
func splitJSON(text, top string) (map[string]string, string, error) {
	decoder := jsontext.NewDecoder(strings.NewReader(top))
	head, err := decoder.ReadValue()
	if err != nil {
		if first, _, _ := strings.Cut(top, "\n\n"); classifies.MatchString(first) {
			return nil, text, errors.New("front matter is no JSON object")
		}
		return nil, text, nil
	}
	after := strings.TrimLeft(top[decoder.InputOffset():], " \t\r\n")
	if after == "" { // the text itself is JSON
		after = text
	}
	meta, err := readYAML(string(head)) // which JSON is, too
	return meta, after, err
}

// readYAML returns the scalars at the root of a YAML mapping, and nil when head is
// something else, such as a sentence.
func readYAML(head string) (map[string]string, error) {
	if len(head) > maxFrontMatter {
		return nil, fmt.Errorf("front matter is longer than %d bytes", maxFrontMatter)
	}
	if strings.TrimSpace(head) == "" {
		return map[string]string{}, nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(head), &doc); err != nil {
		return nil, errors.New("front matter is no valid YAML") // the library's words quote values
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, nil
	}
	if holdsAlias(&doc) {
		return nil, errors.New("front matter uses an alias")
	}
	meta := make(map[string]string)
	root := doc.Content[0].Content // keys and values in turn
	for i := 0; i+1 < len(root); i += 2 {
		key := fold(root[i].Value)
		if _, twice := meta[key]; twice {
			return nil, errors.New("front matter names a key twice")
		}
		meta[key] = ""
		if v := root[i+1]; v.Kind == yaml.ScalarNode && v.Tag != "!!null" {
			meta[key] = v.Value
		}
	}
	if _, named := meta["classification"]; !named && seemsSecret(&doc) {
		meta["classification"] = ""
	}
	return meta, nil
}

// fold makes keys comparable that look alike.
func fold(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) { // invisible
			return -1
		}
		return r
	}, norm.NFKC.String(s))
	return strings.ToLower(strings.TrimSpace(s))
}

// Keys and values that may say how secret a document is, and values that say it is not.
var (
	secretKey   = regexp.MustCompile(`classif|sensitiv|confidential|restricted|\bsecret\b`)
	secretValue = lazy.Regexp(`^(?:strictly |highly |top[ -]?)?(?:restricted|confidential|secret)$`)
	openValue   = lazy.Regexp(`^(?:|public|internal|unclassified|unrestricted|low|none|no|false)$`)
)

// seemsSecret reports whether a key or a value within n may say that a document is
// secret. The parser bounds the depth.
func seemsSecret(n *yaml.Node) bool {
	switch n.Kind {
	case yaml.ScalarNode:
		return secretValue().MatchString(fold(n.Value))
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			v := n.Content[i+1]
			telling := secretKey.MatchString(fold(n.Content[i].Value)) && (v.Kind != yaml.ScalarNode || !openValue().MatchString(fold(v.Value)))
			if telling || seemsSecret(v) {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(n.Content, seemsSecret)
}

// holdsAlias reports whether what n says stands elsewhere. The parser bounds the
// depth.
func holdsAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || n.Tag == "!!merge" || slices.ContainsFunc(n.Content, holdsAlias)
}
