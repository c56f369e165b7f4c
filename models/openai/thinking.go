package openai

import (
	"regexp"
	"strings"
)

// Servers without a parser for a model's thoughts hand them out at the beginning of
// its text, between tags, or with the closing tag alone where the chat template wrote
// the first. They are thoughts all the same.
var tags = map[string]string{
	"<think>": "</think>", "<thinking>": "</thinking>", "<thought>": "</thought>", "<seed:think>": "</seed:think>", "[THINK]": "[/THINK]",
	"<THINK>": "</THINK>", "<reasoning>": "</reasoning>", "◁think▷": "◁/think▷", "<|START_THINKING|>": "<|END_THINKING|>",
}

// loneEnd is a closing tag on a line of its own, which no answer has by chance.
var loneEnd = regexp.MustCompile(`(?:^|\n)[ \t]*</think(?:ing)?>[ \t]*(?:\r?\n|$)`)

// A splitter tells thoughts from the text they come in.
type splitter struct {
	hold    bool   // the server has sent thoughts without a start tag: nothing is shown before it is known
	held    string // not told yet
	end     string // the tag that ends the thoughts being read
	trim    bool   // line breaks that come first stand between a tag and what it marks
	decided bool   // what comes is text
	marked  bool   // there were thoughts in the text
}

// split returns what of a further piece is text and what is thought. last says that
// nothing follows.
func (s *splitter) split(piece string, last bool) (text, thought string) {
	s.held += piece
	for {
		if s.trim {
			s.held = strings.TrimLeft(s.held, "\r\n")
			s.trim = s.held == ""
		}
		switch {
		case s.end != "":
			before, after, found := strings.Cut(s.held, s.end)
			if found {
				s.held, s.end, s.trim = after, "", true
				thought += before
				continue
			}
			keep := 0
			if !last {
				keep = overlap(s.held, s.end)
			}
			thought += s.held[:len(s.held)-keep]
			s.held = s.held[len(s.held)-keep:]
			return text, thought
		case s.decided:
			text, s.held = s.held, ""
			return text, thought
		}
		start, open := s.start()
		switch {
		case start != "":
			s.held, s.end, s.marked, s.trim = open, tags[start], true, true
			continue
		case !s.marked && strings.Contains(s.held, "</think") && loneEnd.MatchString(s.held):
			at := loneEnd.FindStringIndex(s.held)
			thought += s.held[:at[0]]
			s.held, s.marked, s.decided, s.trim = s.held[at[1]:], true, true, true
			continue
		case !last && (s.hold && !s.marked || s.mayStart()):
			return text, thought
		}
		s.decided = true
	}
}

// start returns the tag that what is held begins with, and what follows it.
func (s *splitter) start() (tag, rest string) {
	trimmed := strings.TrimLeft(s.held, " \t\r\n")
	for tag := range tags {
		if rest, ok := strings.CutPrefix(trimmed, tag); ok {
			return tag, rest
		}
	}
	return "", ""
}

// mayStart reports whether what is held may become a tag.
func (s *splitter) mayStart() bool {
	trimmed := strings.TrimLeft(s.held, " \t\r\n")
	for tag := range tags {
		if strings.HasPrefix(tag, trimmed) {
			return true
		}
	}
	return false
}

// overlap returns how many bytes at the end of s may begin tag.
func overlap(s, tag string) int {
	for n := min(len(s), len(tag)-1); n > 0; n-- {
		if strings.HasSuffix(s, tag[:n]) {
			return n
		}
	}
	return 0
}

// late splits a text that was taken for the answer until its closing tag came.
func late(text string) (thought, rest string, found bool) {
	at := loneEnd.FindStringIndex(text)
	if at == nil {
		return "", text, false
	}
	return text[:at[0]], strings.TrimLeft(text[at[1]:], "\r\n"), true
}

// writtenCalls are the forms in which models write calls; a server that knows the
// model's form reads them, and leaves none in the text. Each names the tool.
var writtenCalls = regexp.MustCompile(
	`<tool_call>\s*\{[^{}]*?"name"\s*:\s*"([^"]+)"|<tool_call>\s*([\w.-]+)\s*(?:<arg_key>|\n|</tool_call>)` + // Hermes and Qwen; GLM
		`|to=functions\.([\w-]+)` + // harmony, of gpt-oss
		`|\[TOOL_CALLS\]\s*(?:\[\s*\{[^{}]*?"name"\s*:\s*"([^"]+)"|([\w-]+))` + // Mistral
		`|<function=([\w.-]+)>|<function=([\w.-]+)\{|<invoke name="([^"]+)"` + // Qwen's coder; Llama; MiniMax and DeepSeek
		`|<\|python_tag\|>\s*(?:\{[^{}]*?"name"\s*:\s*"([^"]+)"|([\w-]+)\.call)` + // Llama
		`|<\|tool_call_begin\|>\s*(?:functions\.)?([\w-]+)|<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?([\w-]+)` + // Kimi; DeepSeek
		`|<\|tool_call_start\|>\s*\[([\w-]+)\(` + // LFM
		`|^\s*(?:` + "```" + `(?:json|tool_code)?\s*)?(?:\[\s*)?\{\s*"(?:name|function)"\s*:\s*"([^"]+)"\s*,\s*"(?:parameters|arguments)"\s*:`) // Llama 3, as JSON alone

// writtenCall returns the declared tool that text calls in words, "" for none.
func writtenCall(text string, known func(string) bool) string {
	for _, match := range writtenCalls.FindAllStringSubmatch(text, -1) {
		for _, name := range match[1:] {
			if name != "" && known(name) {
				return name
			}
		}
	}
	return ""
}
