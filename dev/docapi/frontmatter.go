package docapi

import (
	"errors"
	"strconv"
	"strings"
)

// maxFrontMatter bounds where front matter may end; what is longer is text.
const maxFrontMatter = 100 // lines

// splitFrontMatter returns the `key: value` lines between a first line "---" and
// the next such line, and the text after them. Keys are in lower case. Only flat
// lines are read; the rest of YAML is passed over.
//
// It fails closed where a classification could be missed: when it is named twice
// with different values, and when the block that names one has no end.
func splitFrontMatter(text string) (map[string]string, string, error) {
	first, rest, found := strings.Cut(text, "\n")
	if !found || strings.TrimRight(first, " \t\r") != "---" {
		return nil, text, nil
	}
	meta := make(map[string]string)
	for range maxFrontMatter {
		var line string
		line, rest, found = strings.Cut(rest, "\n")
		line = strings.TrimRight(line, " \t\r")
		if line == "---" {
			return meta, strings.TrimLeft(rest, "\r\n"), nil
		}
		key, value, ok := strings.Cut(line, ":")
		if ok {
			key = strings.ToLower(strings.Trim(strings.TrimSpace(key), `"'`))
			value = scalar(strings.TrimSpace(value))
			if old, twice := meta[key]; twice && key == "classification" && old != value {
				return nil, "", errors.New("front matter names two classifications")
			}
			meta[key] = value
		}
		if !found {
			break
		}
	}
	if _, ok := meta["classification"]; ok {
		return nil, "", errors.New("front matter with a classification has no closing line ---")
	}
	return nil, text, nil // a thematic break, not front matter
}

// scalar reads a plain or quoted YAML value on one line.
func scalar(v string) string {
	switch {
	case strings.HasPrefix(v, `"`):
		if quoted, err := strconv.QuotedPrefix(v); err == nil {
			if s, err := strconv.Unquote(quoted); err == nil {
				return s
			}
		}
	case strings.HasPrefix(v, "'"):
		if end := strings.IndexByte(v[1:], '\''); end >= 0 {
			return v[1 : 1+end]
		}
	}
	if v, _, found := strings.Cut(v, " #"); found {
		return strings.TrimSpace(v)
	}
	return v
}
