package newtool

import (
	"bytes"
	"errors"
	"fmt"
	"go/format"
	"strings"
)

// marker is the line of the analyst's list that new entries go above.
const marker = "// analyst new-tool adds its entry above this line."

// insert adds an entry to the list of tools. A list that has it stays as it is.
func insert(src []byte, entry string) ([]byte, error) {
	var out bytes.Buffer
	found := 0
	for line := range strings.Lines(string(src)) {
		switch strings.TrimSpace(line) {
		case entry + ",":
			return src, nil
		case marker:
			found++
			indent, _, _ := strings.Cut(line, "/")
			fmt.Fprintf(&out, "%s%s,\n", indent, entry)
		}
		out.WriteString(line)
	}
	if found != 1 {
		return nil, errors.New("there must be exactly one line: " + marker)
	}
	formatted, err := format.Source(out.Bytes())
	if err != nil {
		return nil, fmt.Errorf("with %s: %w", entry, err)
	}
	return formatted, nil
}
