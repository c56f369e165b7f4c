package provider

import (
	"bytes"
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// Arguments reads the arguments of a call as a model wrote them. Text that is no
// JSON object is read where it can mean one thing only: a line break within a
// string, an apostrophe that is escaped, a comma before a closing bracket, an object within
// a string, within an array of one or within brackets of its own, the same object twice,
// one beside {} or null, one within a fence of Markdown, one bracket or end tag too many.
// Anything else comes back under one name, such as [strictjson.Malformed], so that the
// call is refused and the model told. Blank text and null are no arguments. Numbers are
// as [strictjson.Numbers] has them.
func Arguments(text string) map[string]any {
	text = strings.TrimSpace(strings.TrimPrefix(text, "\uFEFF"))
	if text == "" || text == "null" {
		return map[string]any{}
	}
	for _, reading := range []func(string) string{
		func(s string) string { return s },
		mended,
		func(s string) string { return mended(unquoted(mended(s))) },
		only,
		once,
		func(s string) string { return mended(unfenced(s)) },
		func(s string) string { return strings.TrimSuffix(s, "}") },
		alone,
	} {
		if args, err := parsed(reading(text)); err == nil {
			return args
		}
	}
	name, repaired := strictjson.Malformed, mended(text)
	_, err := parsed(repaired)
	switch syntax, ok := errors.AsType[*jsontext.SyntacticError](err); {
	case errors.Is(err, jsontext.ErrDuplicateName):
		name = strictjson.Repeated
	case ok && syntax.ByteOffset < int64(len(repaired)) && repaired[syntax.ByteOffset] == '\\':
		name = strictjson.BadEscape
	}
	const most = 2 << 10
	return map[string]any{name: strings.ToValidUTF8(text[:min(len(text), most)], "\uFFFD")}
}

func parsed(text string) (map[string]any, error) {
	var strict map[string]jsontext.Value
	if err := strictjson.Unmarshal([]byte(text), &strict); err != nil {
		return nil, err
	}
	if strict == nil {
		return nil, ErrUnreadable
	}
	var args map[string]any
	if err := strictjson.AsWritten([]byte(text), &args); err != nil {
		return nil, err
	}
	strictjson.Numbers(args)
	return args, nil
}

// mended escapes control characters within strings, and leaves out commas before
// closing brackets, and backslashes before apostrophes.
func mended(text string) string {
	var b strings.Builder
	inString, escaped := false, false
	for i := range len(text) {
		c := text[i]
		switch {
		case inString && c < ' ':
			quoted, _ := jsontext.AppendQuote(nil, string(c)) // one ASCII character is always quoted
			b.Write(quoted[1 : len(quoted)-1])
			escaped = false
			continue
		case inString && c == '\\' && !escaped && strings.HasPrefix(text[i+1:], "'"):
			continue
		case inString:
			if c == '"' && !escaped {
				inString = false
			}
			escaped = c == '\\' && !escaped
		case c == '"':
			inString = true
		case c == ',':
			if rest := strings.TrimLeft(text[i+1:], " \t\r\n"); rest != "" && (rest[0] == '}' || rest[0] == ']') {
				continue
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// unquoted returns the text of a string, twice if need be.
func unquoted(text string) string {
	for range 2 {
		if text == "" || text[0] != '"' {
			break
		}
		b, err := jsontext.AppendUnquote(nil, text)
		if err != nil {
			return ""
		}
		text = strings.TrimSpace(string(b))
	}
	return text
}

// unfenced returns what is within a fence of Markdown or before the end tag of a
// call, which models write around an object.
func unfenced(text string) string {
	if fenced, ok := strings.CutPrefix(text, "```"); ok {
		inner, closed := strings.CutSuffix(fenced, "```")
		if !closed {
			return ""
		}
		return strings.TrimPrefix(inner, "json")
	}
	return strings.TrimSuffix(text, "</tool_call>")
}

// only returns the one element of an array.
func only(text string) string {
	var list []jsontext.Value
	if text[0] != '[' || strictjson.Unmarshal([]byte(text), &list) != nil || len(list) != 1 {
		return ""
	}
	return string(list[0])
}

// alone returns text without what stands for nothing beside an object: {} or null, which
// servers begin with, or brackets of its own.
func alone(text string) string {
	for _, nothing := range []string{"{}", "null"} {
		text = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(text, nothing), nothing))
	}
	if strings.HasPrefix(text, "{{") && strings.HasSuffix(text, "}}") {
		return text[1 : len(text)-1]
	}
	return text
}

// once returns the first of several values that are all the same.
func once(text string) string {
	dec := jsontext.NewDecoder(strings.NewReader(text))
	var first []byte
	for n := 0; ; n++ {
		v, err := dec.ReadValue()
		switch {
		case err != nil && n > 1 && dec.PeekKind() == 0 && int(dec.InputOffset()) == len(text):
			return string(first)
		case err != nil:
			return ""
		}
		v = v.Clone()
		_ = v.Compact() // it was read as a value
		if n == 0 {
			first = v
		} else if !bytes.Equal(v, first) {
			return ""
		}
	}
}
