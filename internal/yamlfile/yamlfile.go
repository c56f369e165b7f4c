// Package yamlfile reads YAML that people write, strictly: plain names with values, each
// once, without anchors and merges. A reader goes on after a mistake, so that all of them
// are said at once, each with its line.
package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v4"
)

// MaxBytes bounds a file.
const MaxBytes = 256 << 10

// A Mistake is what is wrong in a line of a file.
type Mistake struct {
	File string
	Line int // 0 for what is in no line of its own
	What string
}

// Error names the file, and the line if there is one.
func (m *Mistake) Error() string {
	if m.Line == 0 {
		return m.File + ": " + m.What
	}
	return fmt.Sprintf("%s, line %d: %s", m.File, m.Line, m.What)
}

// Document returns the one document of a file, nil for an empty one. file names it in errors.
func Document(text []byte, file string) (*yaml.Node, error) {
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("%s: larger than %d bytes", file, MaxBytes)
	}
	var root, more yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(text))
	err := documents.Decode(&root)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil {
		switch err = documents.Decode(&more); {
		case err == nil:
			return nil, &Mistake{file, more.Line, "a second document begins, and a file has one"}
		case errors.Is(err, io.EOF):
			return root.Content[0], nil
		}
	}
	return nil, fmt.Errorf("%s: %w", file, err)
}

// A Reader keeps the mistakes that are found in a file.
type Reader struct {
	File string  // its name
	Errs []error // each a *[Mistake], in the order in which they were found
}

// Fail keeps a mistake.
func (r *Reader) Fail(n *yaml.Node, format string, args ...any) {
	r.Errs = append(r.Errs, &Mistake{r.File, n.Line, fmt.Sprintf(format, args...)})
}

// Pairs calls each for the members of a mapping, and refuses what YAML has beside plain
// ones. what is the mapping, in messages.
func (r *Reader) Pairs(n *yaml.Node, what string, each func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode || n.Anchor != "" {
		r.Fail(n, "%s is not names with values", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.Anchor != "" || key.Tag == "!!merge":
			r.Fail(key, "in %s there is a name that is no plain text", what)
		case seen[key.Value]:
			r.Fail(key, "%s has %s twice", what, key.Value)
		default:
			seen[key.Value] = true
			each(key, value)
		}
	}
}
