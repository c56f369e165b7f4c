package rar

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine bounds what String returns, in bytes.
const maxLine = 512

// String returns one short line for people: type, actions and identifier by
// place, the rest by name, such as
//
//	file_access read doc_9982 locations=https://api.acme-corp.com
//
// An asterisk stands for actions that are left out. [Scopes] read "scopes a,b", and none
// of them "scopes (a login)"; a type of that name is quoted. The line is safe for a
// terminal: whatever is not plain text is quoted and escaped. It ends in "..."
// when it was cut at 512 bytes: whoever decides must be shown the canonical form
// instead. String also works on a detail that is not valid.
func (d Detail) String() string {
	line := []string{word(d.Type)}
	switch {
	case d.IsScopes():
		line[0] = scopes
	case d.Type == scopes:
		line[0] = strconv.Quote(scopes) // which is another thing
	}
	switch {
	case d.Actions != nil:
		line = append(line, words(d.Actions))
	case d.IsScopes():
		line = append(line, "(a login)")
	case d.Identifier != "":
		line = append(line, "*")
	}
	if d.Identifier != "" {
		line = append(line, word(d.Identifier))
	}
	for _, name := range known() {
		if list := d.list(name); list != nil && *list != nil && name != memberActions {
			line = append(line, name+"="+words(*list))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Extra)) {
		line = append(line, word(name)+"="+escapeHidden(string(d.Extra[name])))
	}
	return cutLine(strings.Join(line, " "))
}

const scopes = "scopes" // what [ScopeType] is to people

func words(list []string) string {
	if len(list) == 0 {
		return "[]" // not valid, and not to be taken for anything else
	}
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = word(s)
	}
	return strings.Join(quoted, ",")
}

// word returns s as it is when nobody could misread it, else quoted.
func word(s string) string {
	if s == "" || !utf8.ValidString(s) {
		return strconv.QuoteToASCII(s)
	}
	quoted := false
	for _, r := range s {
		if hidden(r) {
			return strconv.QuoteToASCII(s)
		}
		if !unicode.IsPrint(r) || unicode.IsSpace(r) || strings.ContainsRune("\"'`\\,=*[]", r) {
			quoted = true
		}
	}
	if quoted {
		return strconv.Quote(s)
	}
	return s
}

// escapeHidden returns JSON text with what a terminal might act on replaced by
// its escape.
func escapeHidden(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == utf8.RuneError || hidden(r) || (!unicode.IsPrint(r) && r != ' '):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func cutLine(s string) string {
	if len(s) <= maxLine {
		return s
	}
	const mark = "..."
	cut := maxLine - len(mark)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + mark
}
