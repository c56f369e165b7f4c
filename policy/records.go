package policy

import (
	"cmp"
	"index/suffixarray"
	"path"
	"slices"
	"strings"
	"unicode"
)

// A record is a thing that a result told of, and what it is called.
type record struct{ id, name string }

// forms are how people say what a record is called: by its name as it is and, where that
// is a file's or its id has several words, with spaces between them and no ending.
func (r record) forms() []string {
	all := []string{r.name}
	words := strings.NewReplacer("-", " ", "_", " ")
	for _, s := range []string{r.name, fold(r.id)} {
		ending := path.Ext(s)
		switch isFile := len(ending) > 1 && len(ending) < 7 && !strings.Contains(ending, " "); {
		case isFile:
			s = strings.TrimSuffix(s, ending)
		case s == r.name:
			continue
		}
		if s = words.Replace(s); len(telling(s)) > 1 && strings.ContainsFunc(s, unicode.IsLetter) {
			all = append(all, s)
		}
	}
	return all
}

// heard says how the person named something, the clearest last.
type heard uint8

const (
	unheard    heard = iota
	partOfMany       // by words of a name that other things have too
	partly           // by words of its name
	oneOfMany        // by a name that other things have too
	wholly           // by a name of its own
)

// hear says of each id of a type how it was named; one that was not is left out. All
// names are looked for at once, and once for all calls: searching the words for each
// of them costs their length each time.
func (c *Conversation) hear(kind string) map[string]heard {
	if known, ok := c.names[kind]; ok {
		return known
	}
	owner := map[string]string{} // of a form; "" for several ids
	for r, forms := range c.records[kind] {
		for _, f := range forms {
			if id, ok := owner[f]; ok && id != r.id {
				owner[f] = ""
			} else {
				owner[f] = r.id
			}
		}
	}
	said := c.words.longest(owner)
	if c.names == nil {
		c.names = map[string]map[string]heard{}
	}
	ids := map[string]heard{}
	c.names[kind] = ids
	for r, forms := range c.records[kind] {
		var h heard
		switch {
		case slices.ContainsFunc(forms, func(f string) bool { return said[f] && !byChance(f) }):
			h = oneOfMany
		case c.saidInPart(r.name):
			h = partOfMany
		default:
			continue
		}
		if !slices.ContainsFunc(forms, func(f string) bool { return owner[f] == "" }) {
			h++
		}
		ids[r.id] = max(ids[r.id], h)
	}
	return ids
}

// longest returns which of the names stand in the words where no longer one of them does.
func (w words) longest(names map[string]string) map[string]bool {
	text := strings.Join(w, "\n") // which no name has within
	index := suffixarray.New([]byte(text))
	var places [][2]int
	for name := range names {
		for _, at := range index.Lookup([]byte(name), -1) {
			if end := at + len(name); bordered(text[:at], text[end:], name) {
				places = append(places, [2]int{at, end})
			}
		}
	}
	slices.SortFunc(places, func(a, b [2]int) int { return cmp.Or(a[0]-b[0], b[1]-a[1]) })
	found, reach := map[string]bool{}, 0
	for _, at := range places {
		if at[1] > reach {
			reach = at[1]
			found[text[at[0]:at[1]]] = true
		}
	}
	return found
}

// unresolved says why an id is not that of the one record whose name was said.
func (c *Conversation) unresolved(t Target, id string) string {
	ids := c.hear(t.Type)
	switch h := ids[id]; {
	case h == wholly, h == partly && t.As == InPart && len(ids) == 1:
		return ""
	case h == oneOfMany, h != unheard && t.As == InPart:
		return "you may have meant another one of that name"
	}
	return "you did not say this"
}

// saidInPart reports whether at least half of a name's telling words were said, and
// two of them, or one that is long.
func (c *Conversation) saidInPart(name string) bool {
	of := telling(name)
	n, long := share(of, c.said), false
	for _, t := range of {
		long = long || c.said[t] && len(t) > 5
	}
	return 2*n >= len(of) && (n > 1 || n == 1 && long)
}

// things are the names of the records that the person named.
func (c *Conversation) things() map[string]bool {
	names := map[string]bool{}
	for kind, records := range c.records {
		for r := range records {
			if c.named[kind][r.id] {
				names[r.name] = true
			}
		}
	}
	return names
}
