package provider

import (
	stdjson "encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/internal/lazy"
)

// Models write calls in the form that they were trained on, and a server that knows it
// reads them. Others hand them out as text:
//
//	{"name": N, "arguments": {}}, and alike with other members, or in an array
//	[N(a="b")], print(N(a="b"))
//	<tool_call>{"name": N, ...}, [TOOL_CALLS]N{...}, <tool_call>N<arg_key>, <invoke name="N">, <function=N>, ...
//	to=functions.N, of harmony; >>>N, of functionary
//	Action: N, and Action Input: on the next line
//
// where N is a declared tool. The first two are what a text may quote too: they are
// calls where nothing but blanks and fences precedes them, or follows. The others are
// calls wherever they begin a line outside of a fence.

var (
	// leads stand before a call: tags, some of which hold its name, and words.
	leads = regexp.MustCompile(`^(?:(?:function)?<[^<>\n]{1,80}>|\[[A-Z_]{3,20}\]|functools\b|` + "```" + `\w*[ \t]*(?:\n|$)|` +
		`>>>|print\(|functions?\.|default_api\.|tools?\.|call:|(?:assistant)?commentary to=)`)
	callish  = regexp.MustCompile(`(?i)tool|call|func|action|invoke|plugin|python_tag|>>>|to=$`)
	words    = regexp.MustCompile(`[\w.-]+`)
	first    = regexp.MustCompile(`^[\w.-]+`)
	react    = regexp.MustCompile(`^\W{0,4}Action\W{1,6}([\w.-]+)\W+Action Input\W`)
	keywords = regexp.MustCompile(`^\(\s*(?:\w+\s*=|\))`)
	begun    = regexp.MustCompile(`^\(\s*\w*\s*$`) // keywords, perhaps
	closing  = lazy.Regexp("^(?:[\\s\\])},;.]|```|</?[^<>\n]{1,80}>|\\[/?[A-Z_]{3,20}\\])+")
	// openings are what a call may begin with besides a bracket and a name.
	openings = []string{"```", ">>>", "print(", "functions.", "default_api.", "functools", "call:", "function<", "Action:", "**Action:", "commentary to=", "assistantcommentary to="}
	// What the members of a call are called, and those that hold calls.
	names   = regexp.MustCompile(`^(?:(?:tool_|function_|recipient_)?name|toolName|tool|function|action)$`)
	inputs  = regexp.MustCompile(`^(?:arguments|parameters|args|params|(?:action_|tool_)?input|tool_args|kwargs)$`)
	holders = regexp.MustCompile(`^(?:(?:tool_|function_)calls?|functionCall|calls|function|tool_uses|actions)$`)
)

// tools are the names of the tools that are declared.
type tools []string

// called returns the tool that text calls in words, "" for none.
func (t tools) called(text string) string {
	for _, after := range strings.Split(text, "to=functions.")[1:] {
		if name := t.known(first.FindString(after)); name != "" {
			return name
		}
	}
	// Each line may look as if a value began there that has no end.
	const most = 16
	fenced := false
	for n, from := 0, 0; n < most && from < len(text); {
		r := t.read(text[from:])
		if r.name != "" && (r.tagged && !fenced || strings.TrimSpace(text[:from]) == "" || t.last(r.rest)) {
			return r.name
		}
		if strings.HasPrefix(strings.TrimLeft(text[from:], " \t"), "```") {
			fenced = !fenced
		}
		switch {
		case r.value && r.open:
			n++
		case r.value:
			from = len(text) - len(r.rest)
		}
		line, _, _ := strings.Cut(text[from:], "\n")
		from += len(line) + 1
	}
	return ""
}

// last reports whether nothing follows a call but its end, and perhaps other calls.
func (t tools) last(rest string) bool {
	rest = rest[len(closing().FindString(rest)):]
	return rest == "" || t.read(rest).name != ""
}

func (t tools) known(name string) string {
	for _, name := range []string{name, strings.TrimPrefix(name, "functions.")} {
		if name != "" && slices.Contains(t, name) {
			return name
		}
	}
	return ""
}

// A reading is what the beginning of a line may be.
type reading struct {
	name   string // of the tool that is called; empty for none
	rest   string // what follows the call
	tagged bool   // it has a form that is a call's alone
	value  bool   // a value was looked at
	open   bool   // more of the text may tell
}

// read looks for a call at the beginning of text, which begins a line.
func (t tools) read(text string) (r reading) {
	if m := react.FindStringSubmatch(head(text)); m != nil && t.known(m[1]) != "" {
		return reading{name: t.known(m[1]), tagged: true, open: true}
	}
	const most = 8 // leads before a call
	fenced := false
	for range most {
		text = strings.TrimLeft(text, " \t\r\n")
		lead := leads.FindString(head(text))
		if lead == "" {
			break
		}
		text = text[len(lead):]
		if lead[0] == '`' {
			fenced = true
			continue
		}
		r.tagged = r.tagged || strings.ContainsAny(lead, "<>[=") && callish.MatchString(lead) || lead == "functools"
		for n, word := range words.FindAllString(lead, -1) {
			if name := t.known(word); name != "" && (n == 0 || callish.MatchString(lead)) { // <N>
				return reading{name: name, rest: text, tagged: !fenced, open: true}
			}
		}
	}
	r.tagged = r.tagged && !fenced
	if text == "" {
		r.open = true
		return r
	}
	if text[0] == '{' || text[0] == '[' {
		v, rest, whole := value(text)
		r.name, r.rest, r.value, r.open = t.calledBy(v), rest, true, !whole
		if r.name != "" || text[0] == '{' {
			return r
		}
		text = text[1:]
	}
	if !strings.ContainsAny(text, ">\n") && len(text) < 80 && text[0] == '<' {
		r.open = true
		return r
	}
	return t.byName(r, text)
}

// head is as much of a text as any expression looks at.
func head(text string) string { return text[:min(len(text), 256)] }

// byName looks for a call that begins with a tool's name.
func (t tools) byName(r reading, text string) reading {
	for _, opening := range openings {
		r.open = r.open || strings.HasPrefix(opening, text) || len(text) < 100 && strings.HasPrefix(text, opening)
	}
	for _, name := range t {
		r.open = r.open || strings.HasPrefix(name+".call(", text)
	}
	name := first.FindString(head(text))
	rest := text[len(name):]
	if name = t.known(strings.TrimSuffix(name, ".call")); name == "" {
		return r
	}
	switch {
	case r.tagged && (rest == "" || strings.ContainsRune(" \t\r\n<[{(:", rune(rest[0]))):
		return reading{name: name, rest: rest, tagged: true, open: true}
	case rest == "" || begun.MatchString(head(rest)):
		r.open = true
	case keywords.MatchString(head(rest)):
		_, after, whole := value(rest)
		return reading{name: name, rest: after, value: true, open: !whole}
	}
	return r
}

// value returns the text of the value in brackets that text begins with, and what
// follows it. Of one that has no end the brackets are closed.
func value(text string) (v, rest string, whole bool) {
	var ends []byte
	var quote byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"', c == '\'' && text[0] == '(':
			quote = c
		case c == '{', c == '[':
			ends = append(ends, c+2) // '}' and ']' are so far from them
		case c == '(':
			ends = append(ends, ')')
		case c == '}', c == ']', c == ')':
			if ends = ends[:len(ends)-1]; len(ends) == 0 {
				return text[:i+1], text[i+1:], true
			}
		}
	}
	if quote != 0 {
		text += string(quote)
	}
	slices.Reverse(ends)
	return text + string(ends), "", false
}

// calledBy returns the tool that a value calls.
func (t tools) calledBy(text string) string {
	var v any
	if stdjson.Unmarshal([]byte(mended(text)), &v) != nil && stdjson.Unmarshal([]byte(strings.ReplaceAll(text, "'", `"`)), &v) != nil {
		return ""
	}
	return t.callIn(v, 0)
}

func (t tools) callIn(v any, depth int) string {
	const most = 4
	if list, ok := v.([]any); ok && depth < most {
		for _, v := range list {
			if name := t.callIn(v, depth+1); name != "" {
				return name
			}
		}
	}
	o, _ := v.(map[string]any)
	if o["description"] != nil || depth == most {
		return "" // a declaration
	}
	called, input := "", false
	for member, v := range o {
		name, _ := v.(string)
		switch _, object := v.(map[string]any); {
		case object && len(o) == 1 && t.known(member) != "":
			return t.known(member)
		case names.MatchString(member) && t.known(name) != "":
			called = t.known(name)
		case inputs.MatchString(member):
			input = input || v != nil
		case holders.MatchString(member):
			if name := t.callIn(v, depth+1); name != "" {
				return name
			}
		}
	}
	if !input {
		return ""
	}
	return called
}
