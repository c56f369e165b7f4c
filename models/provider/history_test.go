package provider_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

func calls(ids ...string) *genai.Content {
	c := &genai.Content{Role: genai.RoleModel}
	for _, id := range ids {
		name, id := id[:1], id[1:]
		c.Parts = append(c.Parts, &genai.Part{FunctionCall: &genai.FunctionCall{ID: id, Name: name}})
	}
	return c
}

func responses(ids ...string) *genai.Content {
	c := &genai.Content{Role: genai.RoleUser}
	for i, id := range ids {
		name, id := id[:1], id[1:]
		c.Parts = append(c.Parts, &genai.Part{FunctionResponse: &genai.FunctionResponse{ID: id, Name: name, Response: map[string]any{"n": i}}})
	}
	return c
}

// A call is written as its tool's letter and its id, a result as the place of the
// call and that of the response in its content.
func TestResults(t *testing.T) {
	for _, tt := range []struct {
		name     string
		contents []*genai.Content
		want     string
	}{
		{"nothing", nil, "map[]"},
		{"nils", []*genai.Content{nil, {Parts: []*genai.Part{nil}}}, "map[]"},
		{"by id, out of order", []*genai.Content{calls("a1", "a2"), responses("a2", "a1")}, "map[0.0:1 0.1:0]"},
		{"by name, then order", []*genai.Content{calls("a", "b", "a"), responses("a", "a", "b")}, "map[0.0:0 0.1:2 0.2:1]"},
		{"nobody's", []*genai.Content{responses("a1", "a"), calls("a1"), responses("b", "c9")}, "map[]"},
		{"one too many", []*genai.Content{calls("a"), responses("a", "a")}, "map[0.0:0]"},
		{"an update", []*genai.Content{calls("a1"), responses("a1"), responses("b9", "a1")}, "map[0.0:1]"},
		{"the latest turn first", []*genai.Content{calls("a"), calls("a"), responses("a")}, "map[1.0:0]"},
		{"then earlier ones", []*genai.Content{calls("a"), calls("b"), responses("b", "a")}, "map[0.0:1 1.0:0]"},
		{"an id again", []*genai.Content{calls("a1"), responses("a1"), calls("a1"), responses("x", "a1")}, "map[0.0:0 2.0:1]"},
		{"an id again, the first unanswered", []*genai.Content{calls("a1"), calls("a1"), responses("a1")}, "map[1.0:0]"},
		{"an id again, one for each", []*genai.Content{calls("a1"), calls("a1"), responses("a1"), responses("a1"), responses("a1")}, "map[0.0:0 1.0:0]"},
		{"an id that was taken from the call", []*genai.Content{calls("a"), responses("a7")}, "map[0.0:0]"},
		{"another's id", []*genai.Content{calls("a1"), responses("a7")}, "map[]"},
		{"no name", []*genai.Content{calls("a", "b"), {Parts: []*genai.Part{{FunctionResponse: &genai.FunctionResponse{Response: map[string]any{"n": 5}}}}}}, "map[0.0:5]"},
	} {
		got := map[string]int{}
		for place, r := range provider.Results(tt.contents) {
			got[fmt.Sprintf("%d.%d", place.Content, place.Part)] = r.Response["n"].(int)
		}
		if diff := cmp.Diff(tt.want, fmt.Sprint(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestNamesAreOfOneForm(t *testing.T) {
	for name, want := range map[string]string{
		"fetch_document": "fetch_document", "a-B_9": "a-B_9", "fetch<|channel|>x": "fetch__channel__x", "functions.f": "functions_f", " f": "_f", "é": "_", strings.Repeat("x", 70): strings.Repeat("x", 64),
	} {
		if got := provider.Name(name); got != want {
			t.Errorf("Name(%q) = %q", name, got)
		}
	}
}
