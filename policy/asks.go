package policy

import (
	"slices"
	"strings"
	"unicode"
)

// Names returns what stands in the person's words and could name such a target,
// without regard to case: numbers, addresses, titles that were given, and else what
// looks like an id. They count as named: "each" may mean them.
func (c *Conversation) Names(t Target) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attend()
	var all []string
	for _, text := range c.words {
		switch {
		case t.As == FromWords:
		case t.Type == "number":
			found, _ := numbers(text)
			all = append(all, found...)
		default:
			for token := range strings.FieldsSeq(text) {
				token, _, _ = strings.Cut(strings.Trim(token, `"'“”‘’()<>[]{},;:!?.`), "'") // doc_1's
				if (t.Type == "url" || telltale(token)) && c.missing(t, token) == "" {
					all = append(all, token)
				}
			}
		}
	}
	if t.As == FromWords {
		things := c.things()
		all = slices.DeleteFunc(c.titles(), func(t string) bool { return things[t] })
	}
	for _, value := range all {
		put(&c.named, t.Type, value, true)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// telltale reports whether a word looks like an id, and not like one of a sentence.
func telltale(token string) bool {
	return len(token) > 3 && !strings.ContainsAny(token, ",/") && (strings.ContainsFunc(token, unicode.IsDigit) || strings.ContainsAny(token, "_@"))
}

// Asks reports whether the person asked for effects of an aim's kind, and for how many
// at most; 0 is no bound. What only reads is never asked for by its kind.
func (c *Conversation) Asks(aim Aim) (asked bool, most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attend()
	return aim.Effect != "" && c.unasked(aim, len(aim.Targets) > 0) == "", c.most(aim)
}
