package offline_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

var update = flag.Bool("update", false, "rewrite the recorded conversations")

// Conversations as they were recorded: each is a file of testdata/talks.txtar, in
// which lines that begin with "> " are the person's and all others are what came of
// them. The files results/ID.json are what the fetching tool returns for ID, and where
// ID is a title or a query, what the other tools return.
func TestTalks(t *testing.T) {
	const path = "testdata/talks.txtar"
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	docs, results := corpus(t), make(map[string]map[string]any)
	answer := func(call *genai.FunctionCall) map[string]any {
		for _, name := range []string{"document_id", "title", "query"} {
			if id, ok := call.Args[name].(string); ok && results[id] != nil {
				return results[id]
			}
		}
		return docs(call)
	}
	for i, file := range archive.Files {
		if id, ok := strings.CutPrefix(file.Name, "results/"); ok {
			var result map[string]any
			if err := json.Unmarshal(file.Data, &result); err != nil {
				t.Fatal(file.Name, err)
			}
			results[strings.TrimSuffix(id, ".json")] = result
			continue
		}
		c := &talk{t: t, config: analystTools(), answer: answer}
		if strings.HasPrefix(file.Name, "search") {
			c.config.Tools[0].FunctionDeclarations = append(c.config.Tools[0].FunctionDeclarations, searchDeclaration())
		}
		got := c.replay(string(file.Data))
		if diff := cmp.Diff(string(file.Data), got); diff != "" && !*update {
			t.Errorf("%s: run with -update if this is meant (-recorded +now):\n%s", file.Name, diff)
		}
		archive.Files[i].Data = []byte(got)
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func searchDeclaration() *genai.FunctionDeclaration {
	return &genai.FunctionDeclaration{
		Name:        "search_documents",
		Description: "Find protected documents by words, and return the identifiers, titles and a few words of those that hold all of them.",
		ParametersJsonSchema: map[string]any{
			"type": "object", "properties": map[string]any{"query": map[string]any{"type": "string"}}, "required": []any{"query"},
		},
	}
}

// replay says what the person said in a recorded conversation, and returns the
// conversation as it went now, with [help] for what the model says it can do.
func (c *talk) replay(recorded string) string {
	help := text(one(c.t, &model.LLMRequest{Config: c.config}, false).Content)
	var b strings.Builder
	var said []string
	for line := range strings.Lines(recorded + "\n.") {
		if text, ok := strings.CutPrefix(line, "> "); ok {
			said = append(said, text)
			b.WriteString(line)
			continue
		}
		if len(said) == 0 {
			continue
		}
		answer, calls := c.say(strings.TrimSuffix(strings.Join(said, ""), "\n"))
		said = nil
		for _, call := range calls {
			args, err := json.Marshal(call.Args)
			if err != nil {
				c.t.Fatal(err)
			}
			if body, ok := call.Args["content"].(string); ok {
				args = fmt.Appendf(nil, "%q\n%s", call.Args["title"], strings.TrimSuffix(body, "\n"))
			}
			fmt.Fprintf(&b, "%s %s\n", call.Name, args)
		}
		fmt.Fprintf(&b, "%s\n\n", strings.Replace(answer, help, "[help]", 1))
	}
	return b.String()
}
