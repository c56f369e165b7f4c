package prompts_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/prompts"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestToolFailsForWhatIsNotAToolsDescription(t *testing.T) {
	for _, name := range []string{"", "instruction", "delete_document", "../prompts/create_report", "create_report.md", `a\b`} {
		if text, err := prompts.Tool(name); err == nil {
			t.Errorf("Tool(%q) = %q, want an error", name, text)
		}
	}
}

func TestTextsAreWhatModelsAreGiven(t *testing.T) {
	texts := map[string]string{"instruction": prompts.Instruction()}
	for _, tool := range []string{"fetch_document", "create_report", "search_documents"} {
		text, err := prompts.Tool(tool)
		if err != nil {
			t.Fatal(err)
		}
		texts[tool] = text
	}
	for name, got := range texts {
		t.Run(name, func(t *testing.T) {
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("run with -update if this is meant (-want +got):\n%s", diff)
			}
			// ADK would take a brace for a template in the one place where the text is
			// not passed through a provider.
			if strings.ContainsAny(got, "{}") {
				t.Error("the text holds a brace")
			}
			if strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
				t.Error("the text holds a control character")
			}
		})
	}
}

// What the tools promise in code has to be said in words too: these are the
// statuses that a failed call may have.
func TestInstructionNamesEveryStatus(t *testing.T) {
	for _, status := range []string{"denied", "pending", "invalid_arguments"} {
		if !strings.Contains(prompts.Instruction(), fmt.Sprintf("%q", status)) {
			t.Errorf("the instruction does not mention status %q", status)
		}
	}
}

func ExampleTool() {
	text, err := prompts.Tool("fetch_document")
	if err != nil {
		fmt.Println(err)
		return
	}
	first, _, _ := strings.Cut(text, "\n")
	fmt.Println(first)
	// Output: Fetch one protected document by its identifier and return its title and full text.
}
