package offline

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/lazy"
)

// toolbox is what this model can do, found among the declared tools by what they
// say of themselves, not by their names alone.
type toolbox struct {
	fetch  *fetchTool  // nil when no tool fetches a document
	report *reportTool // nil when no tool writes a report
	search *searchTool // nil when no tool finds documents
	// reserved holds the words that tools are called by, lower case. They are not
	// documents.
	reserved map[string]bool
}

// fetchTool reads one document.
type fetchTool struct {
	name    string
	id      string // the parameter that takes the identifier
	pattern string // that identifiers match; empty when they may be anything
	example string // an identifier that the declaration names; empty when it names none
}

// notInPattern matches what identifiers of files seldom hold.
var notInPattern = lazy.Regexp(`[^\pL\pN_-]+`)

// fit returns an identifier as the tool takes it. Where its pattern takes no file
// name, "Q4 Report.md" is Q4-Report.
func (t *fetchTool) fit(id string) string {
	stem := strings.Trim(notInPattern().ReplaceAllString(strings.TrimSuffix(id, path.Ext(id)), "-"), "-")
	if t == nil || t.pattern == "" || stem == id {
		return id
	}
	pattern, err := regexp.Compile(t.pattern)
	if err == nil && !pattern.MatchString(id) && pattern.MatchString(stem) { // one that Go does not read binds nobody here
		return stem
	}
	return id
}

// reportTool stores a titled text.
type reportTool struct {
	name    string
	title   string // parameters
	content string
	sources string // a list of identifiers; empty when there is no such parameter
}

// schema is as much of a JSON Schema as it takes to recognise a parameter.
type schema struct {
	Ref         string            `json:"$ref"`
	Defs        map[string]schema `json:"$defs"`
	Type        any               `json:"type"` // a string, or a list of them
	Description string            `json:"description"`
	Pattern     string            `json:"pattern"`
	Properties  map[string]schema `json:"properties"`
	Required    []string          `json:"required"`
	Items       *schema           `json:"items"`
	Default     any               `json:"default"`
}

// is reports whether a value of the type is allowed: no name of a type is part of
// another, and genai writes them in capitals.
func (s schema) is(want string) bool {
	return strings.Contains(strings.ToLower(fmt.Sprint(s.Type)), want)
}

// A declaration is a tool as this model reads it.
type declaration struct {
	*genai.FunctionDeclaration
	schema schema
	// name and first are the words of its name and of the first sentence that
	// describes it.
	name, first []string
	params      []parameter // in the order of their names
}

// A parameter is one of a tool's, with the words of its name and of its description.
type parameter struct {
	schema
	name         string
	words, about []string
}

// read reads a declaration; whatever type holds its parameters is read through its
// JSON. ok is false when it has none.
func read(d *genai.FunctionDeclaration) (_ declaration, ok bool) {
	var from any = d.ParametersJsonSchema
	if from == nil {
		from = d.Parameters
	}
	out := declaration{FunctionDeclaration: d, name: nameWords(d.Name)}
	if text, err := json.Marshal(from); err != nil || json.Unmarshal(text, &out.schema) != nil {
		return declaration{}, false
	}
	if name, ok := strings.CutPrefix(out.schema.Ref, "#/$defs/"); ok {
		out.schema = out.schema.Defs[name]
	}
	for first := range sentences(clip(strings.TrimSpace(d.Description), 2<<10)) {
		out.first = nameWords(first)
		break
	}
	for _, name := range sortedNames(out.schema.Properties) {
		p := out.schema.Properties[name]
		out.params = append(out.params, parameter{p, name, nameWords(name), nameWords(p.Description)})
	}
	return out, len(out.params) > 0
}

// findTools looks through the declarations. Of several that fit, the best fits;
// of equals, the first.
func findTools(config *genai.GenerateContentConfig) toolbox {
	box := toolbox{reserved: make(map[string]bool)}
	bestFetch, bestReport := 0, 0
	for _, declared := range declarations(config) {
		box.reserved[strings.ToLower(declared.Name)] = true
		d, ok := read(declared)
		if !ok {
			continue
		}
		for _, p := range d.params {
			box.reserved[strings.ToLower(p.name)] = true
		}
		if t, score := d.asFetch(); score > bestFetch {
			box.fetch, bestFetch = t, score
		}
		if t, score := d.asReport(); score > bestReport {
			box.report, bestReport = t, score
		}
		if box.search == nil {
			box.search = d.asSearch()
		}
	}
	return box
}

// declarations returns the functions that may be called.
func declarations(config *genai.GenerateContentConfig) []*genai.FunctionDeclaration {
	if config == nil {
		return nil
	}
	var calling genai.FunctionCallingConfig
	if c := config.ToolConfig; c != nil && c.FunctionCallingConfig != nil {
		calling = *c.FunctionCallingConfig
	}
	var out []*genai.FunctionDeclaration
	for _, t := range config.Tools {
		if t == nil || calling.Mode == genai.FunctionCallingConfigModeNone {
			continue
		}
		for _, d := range t.FunctionDeclarations {
			if d != nil && (len(calling.AllowedFunctionNames) == 0 || slices.Contains(calling.AllowedFunctionNames, d.Name)) {
				out = append(out, d)
			}
		}
	}
	return out
}

// asFetch rates d as a tool that reads one document: 0 when it is none.
func (d declaration) asFetch() (*fetchTool, int) {
	param, best := d.param("", func(name, about []string) int {
		return 3*overlap(name, idWord) + 2*overlap(name, documentWord) + overlap(about, idWord) + overlap(about, documentWord)
	})
	about := d.speaksOf(documentWord)
	if best < 2 || best+about < 3 || !d.does(fetchVerb) || !d.fillable(param) {
		return nil, 0
	}
	t := &fetchTool{name: d.Name, id: param}
	if p := d.schema.Properties[param].Pattern; p != "" && len(p) <= 256 {
		t.pattern = p
	}
	for _, w := range splitWords(d.schema.Properties[param].Description) {
		if t.example == "" && looksLikeID(w.text) {
			t.example = w.text
		}
	}
	return t, best + 2*about
}

// asSearch returns d as a tool that finds documents by words, nil when it is none.
func (d declaration) asSearch() *searchTool {
	param := d.paramFor(queryWord, "")
	if !d.says(searchVerb) || d.speaksOf(documentWord) == 0 || !d.fillable(param) {
		return nil
	}
	return &searchTool{name: d.Name, query: param}
}

// asReport rates d likewise as a tool that stores a titled text.
func (d declaration) asReport() (*reportTool, int) {
	title := d.paramFor(titleWord, "")
	t := &reportTool{name: d.Name, title: title, content: d.paramFor(contentWord, title)}
	if !d.does(writeVerb) || !d.fillable(t.title, t.content) {
		return nil, 0
	}
	for _, p := range d.params {
		if sourceWord.is(strings.ToLower(p.name)) && p.is("array") && p.Items != nil && p.Items.is("string") {
			t.sources = p.name
		}
	}
	return t, 1 + d.speaksOf(reportWord)
}

// param returns the string parameter, other than not, that scores best by the words
// of its name and description; empty when none scores.
func (d declaration) param(not string, score func(name, about []string) int) (param string, best int) {
	for _, p := range d.params {
		if p.name != not && p.is("string") {
			if n := score(p.words, p.about); n > best {
				param, best = p.name, n
			}
		}
	}
	return param, best
}

func (d declaration) paramFor(c class, not string) string {
	param, _ := d.param(not, func(name, about []string) int { return 3*overlap(name, c) + min(1, overlap(about, c)) })
	return param
}

// speaksOf counts the words of a class in d's name and description.
func (d declaration) speaksOf(c class) int { return overlap(d.name, c) + overlap(d.first, c) }

// says reports whether d's name has a verb, or its description begins with one.
func (d declaration) says(verbs class) bool {
	return overlap(d.name, verbs) > 0 || len(d.first) > 0 && verbs.is(d.first[0])
}

// does reports whether d says that it does one of the verbs, and no other effect.
func (d declaration) does(verbs class) bool { return !d.says(otherVerb) && d.says(verbs) }

// fillable reports whether a call with just these parameters is complete. An empty
// one is not there.
func (d declaration) fillable(params ...string) bool {
	return !slices.Contains(params, "") && !slices.ContainsFunc(d.schema.Required, func(name string) bool {
		return !slices.Contains(params, name) && d.schema.Properties[name].Default == nil
	})
}

func sortedNames[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// nameWords cuts a name or a text into lower-case words: at anything that is no
// letter, and before a capital that follows a small letter.
func nameWords(s string) []string {
	var b strings.Builder
	var before rune
	for _, r := range s {
		if unicode.IsUpper(r) && unicode.IsLower(before) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
		before = r
	}
	return strings.FieldsFunc(b.String(), func(r rune) bool { return !unicode.IsLetter(r) })
}

// overlap counts the different words of list that are of a class.
func overlap(list []string, c class) int {
	n := 0
	for i, w := range list {
		if c.is(w) && !slices.Contains(list[:i], w) {
			n++
		}
	}
	return n
}
