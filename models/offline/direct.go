package offline

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/genai"
)

// directForm is the one form in which any declared tool can be asked for by name:
// "Call NAME" or "Call NAME with {JSON object}". It is how a new tool is tried out
// without a language model.
var directForm = regexp.MustCompile(`(?is)^\s*call\s+([a-z_][a-z0-9_.-]*?)\s*(?:with\s+(\{.*\}))?\s*\.?\s*$`)

// direct answers a message of the direct form. ok is false for any other message,
// and for a bare "call NAME" when no tool has that name: that is plain English.
func direct(now turn, config *genai.GenerateContentConfig, call caller) (_ step, ok bool) {
	m := directForm.FindStringSubmatch(now.text)
	if m == nil {
		return step{}, false
	}
	name, text := m[1], m[2]
	var names []string
	for _, d := range declarations(config) {
		names = append(names, d.Name)
	}
	switch {
	case slices.Contains(names, name):
	case text == "":
		return step{}, false
	case len(names) == 0:
		return step{text: fmt.Sprintf("I have no tool called %s here, nor any other.", name)}, true
	default:
		return step{text: fmt.Sprintf("I have no tool called %s here. I have %s.", name, join(names))}, true
	}
	if x := now.called(name); x != nil {
		return step{text: directResult(x)}, true
	}
	args := map[string]any{}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &args); err != nil {
			return step{text: fmt.Sprintf("I called nothing: what follows “with” is not a JSON object (%v).", err)}, true
		}
	}
	return step{calls: []*genai.FunctionCall{call(name, args)}}, true
}

// maxDirectResult bounds how much of a result is quoted, in bytes.
const maxDirectResult = 8 << 10

// directResult quotes what a call gave.
func directResult(x *exchange) string {
	if !x.answered {
		return fmt.Sprintf("%s was interrupted and no result was recorded.", x.name)
	}
	if f, bad := readFailure(x.result); bad {
		return f.sentence(x.name, "done")
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(x.result); err != nil {
		return fmt.Sprintf("%s returned what cannot be shown as JSON.", x.name)
	}
	return fmt.Sprintf("%s returned:\n\n%s", x.name, clip(strings.TrimSpace(b.String()), maxDirectResult))
}
