package provider_test

import (
	"context"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// writer is a model that answers with a text, in pieces of so many bytes where a stream
// is asked for.
type writer struct {
	text string
	size int
}

func (*writer) Name() string { return "writer" }

func (w *writer) GenerateContent(_ context.Context, _ *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		for rest := w.text; stream && rest != ""; rest = rest[min(w.size, len(rest)):] {
			if !yield(&model.LLMResponse{Partial: true, Content: genai.NewContentFromText(rest[:min(w.size, len(rest))], genai.RoleModel)}, nil) {
				return
			}
		}
		yield(&model.LLMResponse{Content: genai.NewContentFromText(w.text, genai.RoleModel), FinishReason: genai.FinishReasonStop}, nil)
	}
}

// An outcome is what became of an answer.
type outcome struct{ text, thought, shown, shownThought, err string }

// reads asks llm with two tools declared.
func reads(t *testing.T, llm model.LLM, stream bool) (o outcome) {
	t.Helper()
	tools := []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "fetch_document"}, {Name: "create_report"}}}}
	for resp, err := range llm.GenerateContent(t.Context(), &model.LLMRequest{Config: &genai.GenerateContentConfig{Tools: tools}}, stream) {
		if err != nil {
			o.err = err.Error()
			continue
		}
		text, thought := &o.text, &o.thought
		if resp.Partial {
			text, thought = &o.shown, &o.shownThought
		}
		for _, p := range resp.Content.Parts {
			if p.Thought {
				text = thought
			}
			*text += p.Text
			text = &o.text
			if resp.Partial {
				text = &o.shown
			}
		}
	}
	return o
}

// both reads a text whole and in pieces of every size, and returns the one outcome. What
// is shown of a stream is the text, unless it was known too late.
func both(t *testing.T, text string, late bool) outcome {
	t.Helper()
	whole := reads(t, provider.Read(&writer{text, len(text)}, target), false)
	for size := 1; size <= len(text)+1; size++ {
		got := reads(t, provider.Read(&writer{text, size}, target), true)
		if got.text != whole.text || got.thought != whole.thought || got.err != whole.err {
			t.Errorf("%q in pieces of %d bytes: %+v, whole %+v", text, size, got, whole)
		}
		if !late && got.err == "" && (got.shown != got.text || got.shownThought != got.thought) {
			t.Errorf("%q in pieces of %d bytes: %q was shown, of %q", text, size, got.shown, got.text)
		}
		whole.shown += got.shown // of all of them
	}
	return whole
}

func TestThoughtsInTheText(t *testing.T) {
	const both2 = "Models write <think> and </think> around thoughts."
	for content, want := range map[string]struct{ thought, text string }{
		"<think>\nHm.\n</think>\n\nIt rose.":                    {"Hm.\n", "It rose."},
		"\n <think>Hm.</think>It rose.":                         {"Hm.", "It rose."},
		"<think>A</think>\n<think>B</think>\nIt rose.":          {"AB", "It rose."},
		"<THINK>Hm.</Think>It rose.":                            {"Hm.", "It rose."},
		"<reasoning>Hm.</reasoning>It rose.":                    {"Hm.", "It rose."},
		"◁think▷Hm.◁/think▷It rose.":                            {"Hm.", "It rose."},
		"<think>A<think>B</think>C</think>It rose.":             {"A<think>B</think>C", "It rose."},
		"<think>No <think> here.</think>It rose.":               {"No <think> here.", "It rose."},
		"<think>A <think></think>It\n<think>B</think> rose.":    {"A <think>B", "It\n rose."},
		"<think>A</think>It rose.\n<think>B</think>\nAnd fell.": {"AB", "It rose.\nAnd fell."},
		"<think>A</think>\n":                                    {"A", ""},
		"<think>never ended":                                    {"never ended", ""},
		"<|START_THINKING|>Hm.<|END_THINKING|>It rose.":         {"Hm.", "It rose."},
		"<|begin_of_thought|>Hm.<|end_of_thought|>It rose.":     {"Hm.", "It rose."},
		both2: {"", both2},
		"A list:\n```\n<think>\n</think>\n```\nThat is it.": {"", "A list:\n```\n<think>\n</think>\n```\nThat is it."},
		"Between <think> and </think>\nit thinks.":          {"", "Between <think> and </think>\nit thinks."},
		"<thin> is no tag, nor is [THIN or ◁":               {"", "<thin> is no tag, nor is [THIN or ◁"},
		" \n":                                               {"", " \n"},
		"It ends with <":                                    {"", "It ends with <"},
		"`</think>` is a tag, as is </thinking> within a line, or not so": {"", "`</think>` is a tag, as is </thinking> within a line, or not so"},
	} {
		if want.text == "" && want.thought == "" {
			t.Fatal("a test of nothing")
		}
		got := both(t, content, false)
		if got.text != want.text || got.thought != want.thought || got.err != "" {
			t.Errorf("%q: %+v, want %+v", content, got, want)
		}
	}
	for _, end := range []string{"</think>", "</Thinking>", "</thought>", "</REASONING>", "</seed:think>", "[/think]", "◁/think▷", "<|END_THINKING|>", "<|end_of_thought|>"} {
		for _, between := range []string{"hidden" + end + "\nshown", "hid\nden" + end + " \r\n\r\nshown", "hidden\n" + end + "\n\nshown", "hidden\n" + end + "shown", "hidden" + end + "\nalso hidden" + end + "\nshown"} {
			if got := both(t, between, true); got.text != "shown" || !strings.HasPrefix(got.thought, "hid") || strings.Contains(got.thought, end) {
				t.Errorf("%q: %+v", between, got)
			}
		}
		if got := both(t, "hidden"+end, true); got.text != "" || got.thought != "hidden" {
			t.Errorf("%q alone: %+v", end, got)
		}
	}
	// An answer of tags alone is none.
	if got := both(t, "<think></think>\n", false); !strings.Contains(got.err, "there was no answer") {
		t.Errorf("nothing but tags: %+v", got)
	}
}

// Whatever tags, lines and fences a text is made of, a stream's answer is the whole's.
func TestThoughtsAreTheSameInAnyPieces(t *testing.T) {
	words := []string{"a", "\n", " ", "<think>", "</think>", "</THINK>", "```\n", "<reasoning>", "</reasoning>", "<"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1500 {
		var text strings.Builder
		for range 1 + random.IntN(7) {
			text.WriteString(words[random.IntN(len(words))])
		}
		both(t, text.String(), true)
	}
}

// A server that once sent thoughts without their first tag is not trusted with the
// beginning of an answer again.
func TestThoughtsWithoutAStartAreShownOnceAtMost(t *testing.T) {
	llm := provider.Read(&writer{"Hm.\n</think>\n\nIt rose.", 3}, target)
	for _, want := range []string{"Hm.\nIt rose.", "It rose.", "It rose."} {
		if got := reads(t, llm, true); got.shown != want || got.text != "It rose." || got.thought != "Hm." {
			t.Errorf("got %+v, want %q shown", got, want)
		}
	}
}

// Forms of calls, as models and servers write them.
var writtenCalls = []string{
	// JSON alone, as a text may quote it too.
	`{"name": "create_report", "parameters": {"title": "T"}}`,
	`{"type":"function","name":"create_report","parameters":{"title":"T"}}`,
	"{\n  \"name\": \"create_report\",\n  \"arguments\": {\"content\": \"a\nb\",}\n}",
	`{"tool_calls":[{"id":"a","type":"function","function":{"name":"create_report","arguments":"{\"title\":\"T\"}"}}]}`,
	`{"type":"function","function":{"name":"create_report","arguments":"{}"}}`,
	`{"function":"create_report","parameters":{}}`,
	`{"tool":"create_report","args":{"title":"T"}}`,
	`{"tool_name":"create_report","tool_args":{"title":"T"}}`,
	`{"action":"create_report","action_input":"T"}`,
	`{"recipient_name":"functions.create_report","parameters":{}}`,
	`{"create_report": {"title": "T"}}`,
	`{'name': 'create_report', 'arguments': {'title': 'T'}}`,
	`[{"name": "fetch", "arguments": {}}, {"name": "create_report", "arguments": {}}]`,
	`{"name": "create_report", "arguments": {"title": "T"`,
	`{"name": "create_report", "arguments": {}}; {"name": "create_report", "arguments": {}}`,
	"```json\n{\"name\": \"create_report\", \"arguments\": {}}\n```",
	"```tool_code\nprint(default_api.create_report(title=\"T\"))\n```",
	`create_report(title="T (1)", content='it\'s')`,
	`[create_report(title="T"), create_report(title="U")]`,
	`create_report()`,
}

var taggedCalls = []string{
	"<tool_call>\n{\"name\": \"create_report\", \"arguments\": {}}\n</tool_call>", // Hermes, Qwen
	"<tool_call>{\"arguments\": 1, \"name\": \"create_report\"}",
	"<tool_call>create_report\n<arg_key>title</arg_key><arg_value>T</arg_value></tool_call>", // GLM
	"<|channel|>commentary to=functions.create_report <|constrain|>json<|message|>{}",        // harmony
	"assistantcommentary to=functions.create_report json{}",                                  // the same without its own tokens
	">>>create_report\n{}", // functionary
	`[TOOL_CALLS][{"name": "create_report", "arguments": {}}]`,                                                          // Mistral
	`[TOOL_CALLS]create_report[ARGS]{}`,                                                                                 // the same, later
	`<|python_tag|>{"name": "create_report", "parameters": {}}`,                                                         // Llama
	`<|python_tag|>create_report.call(title="T")`,                                                                       // the same
	`<function=create_report>{"title": "T"}</function>`,                                                                 // the same
	"<function=create_report>\n<parameter=title>T</parameter>\n</function>",                                             // Qwen's coder
	"<minimax:tool_call>\n<invoke name=\"create_report\">\n<parameter name=\"title\">T</parameter>",                     // MiniMax
	`<｜DSML｜function_calls><｜DSML｜invoke name="create_report">`,                                                         // DeepSeek
	"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>create_report\n```json\n{}\n```<｜tool▁call▁end｜>",       // the same, before
	`<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>create_report<｜tool▁sep｜>{}<｜tool▁call▁end｜>`,                               // the same, between
	`<|tool_calls_section_begin|><|tool_call_begin|>functions.create_report:0<|tool_call_argument_begin|>{}`,            // Kimi
	`<|tool_call_start|>[create_report(title="T")]<|tool_call_end|>`,                                                    // LFM
	`<|tool_call|>[{"name": "create_report", "arguments": {}}]`,                                                         // Granite
	`functools[{"name": "create_report", "arguments": {}}]`,                                                             // Phi
	"<tool_calls>\n[{\"name\": \"create_report\", \"arguments\": {}}]\n</tool_calls>",                                   // Jamba, Hunyuan
	`<TOOLCALL>[{"name": "create_report", "arguments": {}}]</TOOLCALL>`,                                                 // Nemotron
	`<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "create_report", "parameters": {}}]<|END_ACTION|>`,             // Command
	`<|action_start|><|plugin|>{"name": "create_report", "parameters": {}}<|action_end|>`,                               // InternLM
	`<start_function_call>call:create_report{title:<escape>T<escape>}<end_function_call>`,                               // Gemma
	"<create_report>\n<title>T</title>\n</create_report>",                                                               // prompts that ask for it
	"Action: create_report\nAction Input: {\"title\": \"T\"}",                                                           // ReAct
	"Thought: I write it.\n\n**Action:** create_report\n**Action Input:** {\"title\": \"T\"}\nObservation: it is done.", // the same
}

// A call in words did nothing: it is no answer. None of it is shown.
func TestCallsWrittenAsText(t *testing.T) {
	const want = "acme/small: the server handed out a call of create_report as text, so nothing was done: start it with its parser of tool calls: llama.cpp --jinja"
	refused := func(text, shown string) {
		t.Helper()
		if got := both(t, text, false); !strings.Contains(got.err, want) {
			t.Errorf("%q: %+v", text, got)
		} else if strings.Trim(strings.ReplaceAll(got.shown, shown, ""), "\n ") != "" {
			t.Errorf("%q: %q was shown", text, got.shown)
		}
		other := strings.ReplaceAll(text, "create_report", "create_picture")
		if got := both(t, other, false); got.err != "" {
			t.Errorf("%q, which is no tool: %+v", other, got)
		}
	}
	for _, call := range slices.Concat(writtenCalls, taggedCalls) {
		before := ""
		if strings.HasPrefix(call, "Thought:") {
			before = "Thought: I write it.\n"
		}
		refused(call, before)
		refused("\n"+call+"\n\n", before)
		refused("<think>I need it.</think>\n"+call, before)
		refused("I write it.\n\n"+call, "I write it.\n\n"+before)
	}
	for _, call := range taggedCalls {
		before, _, _ := strings.Cut(call, "**Action")
		if before == call {
			before = ""
		}
		refused("I write it.\n"+call+"\nIt is written.", "I write it.\n"+before)
	}
	hosted := target
	hosted.Hosted = true
	if got := reads(t, provider.Read(&writer{writtenCalls[0], 1}, hosted), false); !strings.Contains(got.err, "the model wrote a call of create_report as text, so nothing was done: try again, or use another model") {
		t.Errorf("at the provider's own servers: %+v", got)
	}
}

// A text about a call is an answer, and shown as it comes.
func TestTextsAboutCalls(t *testing.T) {
	for _, text := range []string{
		`You can call fetch_document with {"document_id": "doc_1"}, or {"name": "fetch_document", "arguments": {}}.`,
		"One asks for a document so:\n\n```json\n{\"name\": \"fetch_document\", \"arguments\": {}}\n```\n\nIts id is in the index.",
		"One asks for a document so:\n\n```\n<tool_call>\n{\"name\": \"fetch_document\", \"arguments\": {}}\n</tool_call>\n```\n\nIts id is in the index.",
		"fetch_document(document_id) fetches a document.\ncreate_report(title, content) creates a report.",
		"fetch_document and create_report are my tools.",
		"[{\"name\": \"fetch_document\", \"description\": \"Fetches.\", \"parameters\": {}}]",
		`{"documents": [{"name": "doc_1", "arguments": "for and against"}]}`,
		`{"name": "fetch_document", "kind": "tool"}`,
		`{"summary": "fetch_document failed", "name": "doc_1"}`,
		"[1] See fetch_document.\n[2] [link](https://docs.test/create_report)",
		"<b>fetch_document</b> is a tool.\n<p class=\"create_report\">so is this</p>\n<5 percent",
		"```go\nfunc main() { fetch_document() }\n```",
		"Action: fetch the document\nOwner: finance",
		"{ unclosed, as fetch_document says",
		"- {a}\n- [b]\n* fetch_document\n\n1. create_report\n",
		"functions are many, functools[1] too, and print(1) prints",
	} {
		if got := both(t, text, false); got.text != text || got.err != "" {
			t.Errorf("%q: %+v", text, got)
		}
	}
	// What begins no call is not held back, nor what is longer than is held.
	for text, first := range map[string]string{"It rose.\nIt fell.": "It rose", "{\"a\":\"" + strings.Repeat("x", 20<<10): "{"} {
		read, shown := provider.Read(&writer{text, 7}, target), ""
		for resp := range read.GenerateContent(t.Context(), &model.LLMRequest{Config: &genai.GenerateContentConfig{Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "fetch_document"}}}}}}, true) {
			shown = resp.Content.Parts[0].Text
			break
		}
		if !strings.HasPrefix(shown, first) || len(shown) == len(text) {
			t.Errorf("of %.20q first %.20q is shown", text, shown)
		}
	}
}

// Texts that look at every line as if a value began there are read in no long time.
func TestReadingIsBounded(t *testing.T) {
	for _, line := range []string{"{\n", "[\n", "<think\n", "{\"a\":[\n", "<tool_call>\n", "```\n", "</think> x\n", "fetch_document(a=\n"} {
		text := strings.Repeat(line, (128<<10)/len(line))
		if got := reads(t, provider.Read(&writer{text, 4 << 10}, target), true); got.text == "" && got.thought == "" && got.err == "" {
			t.Errorf("%q: %.100v", line, got)
		}
	}
}
