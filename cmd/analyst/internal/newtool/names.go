package newtool

import (
	"errors"
	"fmt"
	"go/build"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/internal/lazy"
)

const maxName = 64 // as providers have it

var (
	snake = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	// member is what stands in one string of a detail: no quotes, no escapes.
	member  = lazy.Regexp(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$`)
	segment = regexp.MustCompile(`^[A-Za-z0-9_~-][A-Za-z0-9._~-]*$`)
)

// taken are the names that ADK keeps for itself: it would not call the tool.
var taken = []string{"stop_streaming", "set_model_response", "transfer_to_agent", "adk_request_confirmation"}

// checkName refuses a name that no model could call or that makes no Go file.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("no name")
	case len(name) > maxName || !snake.MatchString(name):
		return fmt.Errorf("%q is no name for a tool: use snake case, such as search_documents, of at most %d letters", name, maxName)
	case slices.Contains(taken, name):
		return fmt.Errorf("%q is a name that ADK keeps for itself", name)
	case strings.HasSuffix(name, "_test"):
		return fmt.Errorf("%q would make a file that go takes for a test: choose a name that does not end in _test", name)
	case constrained(name + ".go"):
		return fmt.Errorf("%q would make a file that go builds on some systems only: choose a name that does not end in one of theirs", name)
	}
	return nil
}

// constrained reports whether a file's name says for which systems it is built.
func constrained(file string) bool {
	nowhere := build.Context{GOOS: "nowhere", GOARCH: "nowhere", Compiler: "gc", OpenFile: func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("package p\n")), nil
	}}
	match, err := nowhere.MatchFile(".", file)
	return err != nil || !match
}

// initialisms are words that Go writes in capitals.
var initialisms = map[string]string{"id": "ID", "api": "API", "url": "URL", "http": "HTTP", "sql": "SQL", "json": "JSON", "uuid": "UUID", "ip": "IP"}

// camel returns the exported Go name of a name in snake case.
func camel(name string) string {
	var b strings.Builder
	for _, word := range strings.Split(name, "_") {
		if upper, ok := initialisms[word]; ok {
			b.WriteString(upper)
			continue
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// lowerCamel returns the Go name that nobody else sees.
func lowerCamel(name string) string {
	first, rest, more := strings.Cut(name, "_")
	if !more {
		return first
	}
	return first + camel(rest)
}
