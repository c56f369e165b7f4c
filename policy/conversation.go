package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// A Conversation is what a person said, and what the calls that were made for it
// told. It judges whether a call is one that the person named. What models and
// documents say widens nothing: only [Conversation.Said] adds words.
//
// It is safe for concurrent use. The zero value is a conversation in which nothing was
// said.
type Conversation struct {
	mu      sync.Mutex
	heard   []message                      // what was said
	words   words                          // its text, without what was not meant
	raw     []string                       // as they were written
	said    map[string]bool                // them, one by one
	records map[string]map[record][]string // by type, with their forms
	names   map[string]map[string]heard    // what the words say of the ids of a type, until one of both changes
	made    map[string]map[string]bool     // ids by type
	named   map[string]map[string]bool     // targets that were named, by type
	allowed map[string]bool                // calls, so that a repetition counts once
	done    map[string]int                 // calls by tool, and by what an argument of it says
	task    string                         // that is under way
	inTask  map[string]int                 // its calls by tool
}

// Said adds a message of the person's.
func (c *Conversation) Said(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw, c.names = append(c.raw, text), nil
}

// attend reads what was said since it was called last: once a call is judged, since a
// long conversation is mostly about nothing that has to be named. The caller holds c.mu.
func (c *Conversation) attend() {
	for _, text := range c.raw[len(c.heard):] {
		m, text := listen(glued.ReplaceAllString(text, "$1. $2"))
		c.heard = append(c.heard, m)
		c.words = append(c.words, text)
		if c.said == nil {
			c.said = map[string]bool{}
		}
		for _, word := range split(text) {
			c.said[word] = true
		}
	}
}

// glued is an address with the next sentence right behind its full stop.
var glued = regexp.MustCompile(`((?:https?://|www\.)\S*[a-z0-9])\.([A-Z][a-z]*\s)`)

// maxRecords bounds what is remembered of each type. What comes later is not known.
const maxRecords = 10_000

// maxName bounds what a name can be, in bytes: looking for one costs its length.
const maxName = 1000

// Returned adds what a call's result tells, as its aim says. result is decoded JSON.
func (c *Conversation) Returned(aim Aim, result any) {
	if aim.Records.Type == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.names, aim.Records.Type)
	c.learn(aim.Records, result, 16)
}

func (c *Conversation) learn(r Records, v any, depth int) {
	if depth == 0 {
		return
	}
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			c.learn(r, item, depth-1)
		}
	case map[string]any:
		if id, name := textOf(v[r.ID]), textOf(v[r.Name]); id != "" {
			if name = fold(name); name != "" && len(name) <= maxName && len(c.records[r.Type]) < maxRecords {
				known := record{id, name}
				put(&c.records, r.Type, known, known.forms())
			}
			if r.Made {
				put(&c.made, r.Type, id, true)
			}
		}
		for _, item := range v {
			c.learn(r, item, depth-1)
		}
	}
}

func put[K comparable, V any](m *map[string]map[K]V, kind string, key K, value V) {
	if *m == nil {
		*m = map[string]map[K]V{}
	}
	if (*m)[kind] == nil {
		(*m)[kind] = map[K]V{}
	}
	(*m)[kind][key] = value
}

// Judge says whether the person named what the call does. A call that they did counts
// against its bound, until [Conversation.Failed] takes it back; the same call again
// is the same call.
func (c *Conversation) Judge(tool string, aim Aim, args map[string]any) Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attend()
	v := Verdict{Unnamed: aim.Unnamed}
	call := callOf(tool, args)
	title := ""    // an argument that only one call can have, for each message that gave it
	aimed := false // at anything
	for _, name := range slices.Sorted(maps.Keys(aim.Targets)) {
		target := aim.Targets[name]
		for _, value := range values(args[name]) {
			aimed = true
			reason := c.missing(target, value)
			if reason != "" {
				v.Missing = append(v.Missing, Missing{Argument: name, Value: value, Reason: reason})
				continue
			}
			put(&c.named, target.Type, value, true)
			if target.As == FromWords && slices.Contains(c.titles(), fold(value)) {
				title = name
			}
		}
	}
	if c.allowed[call] { // what of it was named is so all the same
		v.Missing = nil
		return v
	}
	reason := c.unasked(aim, aimed)
	if reason == "" {
		reason = c.spent(tool, aim, title, args)
	}
	if reason != "" {
		v.Missing = append(v.Missing, Missing{Reason: reason})
	}
	if v.Named() {
		c.count(tool, args, call)
	}
	return v
}

// Allowed counts a call that a person allowed though they had not named it. What they
// saw does not become their words.
func (c *Conversation) Allowed(tool string, args map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count(tool, args, callOf(tool, args))
}

// Counted counts a call of an earlier run, which is not thereby one that was named.
func (c *Conversation) Counted(tool string, args map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(tool, args, 1)
}

// Task says which task the calls that follow belong to, by any name. With another one
// than before, what bounds the calls of a task counts anew.
func (c *Conversation) Task(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name != c.task {
		c.task, c.inTask = name, nil
	}
}

func (c *Conversation) add(tool string, args map[string]any, n int) {
	if c.done == nil {
		c.done = map[string]int{}
	}
	if c.inTask == nil {
		c.inTask = map[string]int{}
	}
	c.done[tool] += n
	for name := range args {
		if says := saying(tool, name, args); says != "" {
			c.done[says] += n
		}
	}
	c.inTask[tool] += n
}

// saying is what calls of a tool are counted by that say the same in an argument.
func saying(tool, name string, args map[string]any) string {
	if text := textOf(args[name]); text != "" && len(text) <= maxName {
		return tool + "\n" + name + "\n" + fold(text)
	}
	return ""
}

func (c *Conversation) count(tool string, args map[string]any, call string) {
	if c.allowed == nil {
		c.allowed = map[string]bool{}
	}
	if !c.allowed[call] {
		c.allowed[call] = true
		c.add(tool, args, 1)
	}
}

// Failed takes a call back that had no effect, so that it may be tried in another way.
func (c *Conversation) Failed(tool string, args map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call := callOf(tool, args); c.allowed[call] {
		delete(c.allowed, call)
		c.add(tool, args, -1)
	}
}

// callOf tells calls apart.
func callOf(tool string, args map[string]any) string {
	text, err := json.Marshal(args) // members in order
	if err != nil {
		return tool // never allowed before: what cannot be written was not called
	}
	return tool + " " + string(text)
}

// unasked returns why an effect is not one that was asked for; "" if it is.
func (c *Conversation) unasked(aim Aim, aimed bool) string {
	switch {
	case aim.Effect == "":
		return ""
	case len(aim.AskedBy) == 0 && !aimed:
		return "nothing in a request can name this: " + aim.Effect
	case len(aim.AskedBy) > 0 && !slices.ContainsFunc(c.heard, func(m message) bool { return m.asked(aim, 0) > 0 }):
		return "nobody asked for this: " + aim.Effect
	}
	return ""
}

// spent returns which bound the calls of a tool have reached; "" for none. title is the
// argument with a title that was given, of which there is one for each request.
func (c *Conversation) spent(tool string, aim Aim, title string, args map[string]any) string {
	most, what := c.most(aim), cmp.Or(aim.Effect, tool)
	switch {
	case aim.MaxPerTask > 0 && c.inTask[tool] >= aim.MaxPerTask:
		return fmt.Sprintf("one task may do no more of this than %d: %s", aim.MaxPerTask, what)
	case aim.Max == OnePerRequest && title != "":
		return unless(c.done[saying(tool, title, args)] < c.given(aim, textOf(args[title])), "one of that title was asked for: "+what)
	case aim.Max == OnePerRequest && c.done[tool] >= most:
		return "that many were not asked for: " + what
	case aim.Max > 0 && c.done[tool] >= most:
		return fmt.Sprintf("one conversation may do no more of this than %d: %s", most, what)
	}
	return ""
}

// most is how many calls the conversation may make; 0 is no bound for an aim without one.
func (c *Conversation) most(aim Aim) int {
	if aim.Max != OnePerRequest {
		return aim.Max
	}
	most := 0
	for _, m := range c.heard {
		most += m.asked(aim, len(c.named[aim.Each]))
	}
	return most
}

// given counts the requests for such an effect that gave a title.
func (c *Conversation) given(aim Aim, title string) int {
	n := 0
	for _, m := range c.heard {
		if slices.Contains(m.titles(), fold(title)) && m.asked(aim, 0) > 0 {
			n++
		}
	}
	return n
}

// titles are those that the person gave.
func (c *Conversation) titles() (all []string) {
	for _, m := range c.heard {
		all = append(all, m.titles()...)
	}
	return all
}

// missing returns why a target was not named; "" if it was.
func (c *Conversation) missing(t Target, value string) string {
	switch {
	case value == "" || len(value) > maxName && t.As != FromWords && t.Type != "url":
		return "it has no form that can be named"
	case t.Type == "number":
		return unless(c.words.saidNumber(value), "you did not say this number")
	case t.Type == "url":
		return unless(c.words.saidURL(value) && c.written(value), "you did not say this address")
	case t.As == FromWords:
		return c.untitled(value)
	case c.made[t.Type][value]:
		return ""
	case t.As == InPart && asking[value] && c.words.said(t.Type+" "+value): // "document report"
		return ""
	case (!byChance(value) && c.words.said(value) || c.words.saidFile(value, t.Files)) && c.written(value):
		return ""
	}
	return c.unresolved(t, value)
}

// written reports whether a value that was said was also written in these letters, which
// look like others.
func (c *Conversation) written(value string) bool {
	holds := func(text string) bool { return strings.Contains(text, value) }
	return !lookalike(value) || slices.ContainsFunc(c.raw, holds)
}

func unless(ok bool, reason string) string {
	if ok {
		return ""
	}
	return reason
}

// bare reports whether an id is a number so short that it stands in texts by chance.
func bare(value string) bool { return len(value) <= 3 && strings.Trim(value, "0123456789") == "" }

// untitled says why a title is none that the person gave.
func (c *Conversation) untitled(title string) string {
	things := c.things()
	given := slices.DeleteFunc(c.titles(), func(t string) bool { return things[t] })
	if slices.Contains(given, fold(title)) || len(given) == 0 && c.words.said(title) {
		return ""
	}
	if len(given) > 0 {
		return "you gave another title"
	}
	known := set(slices.Collect(maps.Keys(c.said)))
	for name := range things {
		for _, t := range telling(name) {
			known[t] = true
		}
	}
	of := telling(title)
	return unless(len(of) > 0 && 2*share(of, known) >= len(of), "this is about something that you did not name")
}

func set(all []string) map[string]bool {
	m := make(map[string]bool, len(all))
	for _, t := range all {
		m[t] = true
	}
	return m
}

// values are the things that an argument names; nil for an argument that is absent.
func values(arg any) []string {
	switch v := arg.(type) {
	case nil:
		return nil
	case []any:
		var all []string
		for _, item := range v {
			if got := values(item); len(got) > 0 {
				all = append(all, got...)
			}
		}
		return all
	case float64, json.Number:
		return []string{numeral(v)}
	}
	return []string{textOf(arg)} // "" names nothing, and is never named
}

func numeral(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}
