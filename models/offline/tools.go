package offline

import (
	"encoding/json"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"google.golang.org/genai"
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
	id      string         // the parameter that takes the identifier
	pattern *regexp.Regexp // that identifiers match; nil when they may be anything
	example string         // an identifier that the declaration names; empty when it names none
}

// notInPattern matches what identifiers of files seldom hold.
var notInPattern = regexp.MustCompile(`[^\pL\pN_-]+`)

// fit returns an identifier as the tool takes it. Where its pattern takes no file
// name, "Q4 Report.md" is Q4-Report.
func (t *fetchTool) fit(id string) string {
	if t == nil || t.pattern == nil || t.pattern.MatchString(id) {
		return id
	}
	stem := strings.Trim(notInPattern.ReplaceAllString(strings.TrimSuffix(id, path.Ext(id)), "-"), "-")
	if t.pattern.MatchString(stem) {
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

// is reports whether a value of the type is allowed. genai writes types in
// capitals.
func (s schema) is(want string) bool {
	switch t := s.Type.(type) {
	case string:
		return strings.EqualFold(t, want)
	case []any:
		return slices.ContainsFunc(t, func(v any) bool { s, _ := v.(string); return strings.EqualFold(s, want) })
	}
	return false
}

// readSchema returns the parameters of a declaration; whatever type holds them is
// read through its JSON.
func readSchema(d *genai.FunctionDeclaration) (schema, bool) {
	var from any = d.ParametersJsonSchema
	if from == nil {
		if d.Parameters == nil {
			return schema{}, false
		}
		from = d.Parameters
	}
	text, err := json.Marshal(from)
	if err != nil {
		return schema{}, false
	}
	var s schema
	if json.Unmarshal(text, &s) != nil {
		return schema{}, false
	}
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
		s = s.Defs[name]
	}
	return s, len(s.Properties) > 0
}

// Words by which tools and parameters are recognised.
var (
	readVerbs = set(`fetch get read load open retrieve download lookup look view show obtain pull access return returns
		fetches gets reads loads opens retrieves downloads`)
	writeVerbs = set(`create write save publish make add store draft compose post file produce generate submit put
		creates writes saves publishes makes adds stores drafts composes posts produces generates submits new`)
	// otherVerbs name effects that nobody asks this model for.
	otherVerbs = set(`delete remove erase destroy purge drop archive move rename update edit modify replace overwrite share
		send email mail notify approve deny revoke grant transfer pay execute run lock unlock restore deletes removes
		erases archives moves renames updates edits modifies replaces overwrites shares sends emails approves revokes
		search list query`)
	searchVerbs   = set("search searches find finds")
	queryWords    = set("query q words keywords terms search text")
	documentWords = set("document documents doc docs file files record page text article note memo policy contract")
	reportWords   = set("report reports document note memo article brief summary page text")
	idWords       = set("id ids identifier identifiers uuid ref reference slug key number")
	titleWords    = set("title heading headline subject name")
	contentWords  = set("content contents body text markdown report summary")
	sourceWords   = set("sources source_ids document_ids documents references citations")
)

// findTools looks through the declarations. Of several that fit, the best fits;
// of equals, the first.
func findTools(config *genai.GenerateContentConfig) toolbox {
	box := toolbox{reserved: make(map[string]bool)}
	if config == nil {
		return box
	}
	bestFetch, bestReport := 0, 0
	for _, d := range declarations(config) {
		box.reserved[strings.ToLower(d.Name)] = true
		s, ok := readSchema(d)
		if !ok {
			continue
		}
		for name := range s.Properties {
			box.reserved[strings.ToLower(name)] = true
		}
		name, first := nameWords(d.Name), firstSentence(d.Description)
		if t, score := asFetch(d, s, name, first); score > bestFetch {
			box.fetch, bestFetch = t, score
		}
		if t := asSearch(d, s, name, first); t != nil && box.search == nil {
			box.search = t
		}
		if t, score := asReport(d, s, name, first); score > bestReport {
			box.report, bestReport = t, score
		}
	}
	return box
}

// declarations returns the functions that may be called.
func declarations(config *genai.GenerateContentConfig) []*genai.FunctionDeclaration {
	var mode genai.FunctionCallingConfigMode
	var allowed []string
	if c := config.ToolConfig; c != nil && c.FunctionCallingConfig != nil {
		mode, allowed = c.FunctionCallingConfig.Mode, c.FunctionCallingConfig.AllowedFunctionNames
	}
	var out []*genai.FunctionDeclaration
	for _, t := range config.Tools {
		if t == nil || mode == genai.FunctionCallingConfigModeNone {
			continue
		}
		for _, d := range t.FunctionDeclarations {
			if d != nil && (len(allowed) == 0 || slices.Contains(allowed, d.Name)) {
				out = append(out, d)
			}
		}
	}
	return out
}

// asFetch rates d as a tool that reads one document: 0 when it is none. name and
// first are the words of its name and of the first sentence that describes it.
func asFetch(d *genai.FunctionDeclaration, s schema, name, first []string) (*fetchTool, int) {
	if !does(name, first, readVerbs) {
		return nil, 0
	}
	best, param := 0, ""
	for _, p := range sortedNames(s.Properties) {
		prop := s.Properties[p]
		if !prop.is("string") {
			continue
		}
		words := nameWords(p)
		described := nameWords(prop.Description)
		score := 3*overlap(words, idWords) + 2*overlap(words, documentWords) + overlap(described, idWords) + overlap(described, documentWords)
		if score > best {
			best, param = score, p
		}
	}
	about := overlap(name, documentWords) + overlap(first, documentWords)
	if best < 2 || best+about < 3 || !fillable(s, param) {
		return nil, 0
	}
	t := &fetchTool{name: d.Name, id: param}
	if p := s.Properties[param].Pattern; p != "" && len(p) <= 256 {
		t.pattern, _ = regexp.Compile(p) // one that Go does not read binds nobody here
	}
	for _, w := range splitWords(s.Properties[param].Description) {
		if t.example == "" && looksLikeID(w.text) {
			t.example = w.text
		}
	}
	return t, best + 2*about
}

// asSearch returns d as a tool that finds documents by words, nil when it is none.
func asSearch(d *genai.FunctionDeclaration, s schema, name, first []string) *searchTool {
	finds := overlap(name, searchVerbs) > 0 || len(first) > 0 && searchVerbs[first[0]]
	param := bestParam(s, queryWords, "")
	if !finds || overlap(name, documentWords)+overlap(first, documentWords) == 0 || param == "" || !fillable(s, param) {
		return nil
	}
	return &searchTool{name: d.Name, query: param}
}

// asReport rates d likewise as a tool that stores a titled text.
func asReport(d *genai.FunctionDeclaration, s schema, name, first []string) (*reportTool, int) {
	if !does(name, first, writeVerbs) {
		return nil, 0
	}
	t := &reportTool{name: d.Name}
	t.title = bestParam(s, titleWords, "")
	t.content = bestParam(s, contentWords, t.title)
	if t.title == "" || t.content == "" || !fillable(s, t.title, t.content) {
		return nil, 0
	}
	for _, p := range sortedNames(s.Properties) {
		prop := s.Properties[p]
		if sourceWords[strings.ToLower(p)] && prop.is("array") && prop.Items != nil && prop.Items.is("string") {
			t.sources = p
		}
	}
	return t, 1 + overlap(name, reportWords) + overlap(first, reportWords)
}

// bestParam returns the string parameter that the words describe best.
func bestParam(s schema, words map[string]bool, not string) string {
	best, param := 0, ""
	for _, p := range sortedNames(s.Properties) {
		if p == not || !s.Properties[p].is("string") {
			continue
		}
		score := 3*overlap(nameWords(p), words) + min(1, overlap(nameWords(s.Properties[p].Description), words))
		if score > best {
			best, param = score, p
		}
	}
	if best < 1 {
		return ""
	}
	return param
}

// does reports whether a tool says in its name, or in its description's first
// sentence, that it does one of the verbs, and begins neither with another effect.
func does(name, first []string, verbs map[string]bool) bool {
	if overlap(name, otherVerbs) > 0 || len(first) > 0 && otherVerbs[first[0]] {
		return false
	}
	return overlap(name, verbs) > 0 || len(first) > 0 && verbs[first[0]]
}

// fillable reports whether a call with just these parameters is complete.
func fillable(s schema, params ...string) bool {
	return !slices.ContainsFunc(s.Required, func(name string) bool {
		return !slices.Contains(params, name) && s.Properties[name].Default == nil
	})
}

func sortedNames[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// nameWords cuts a name or a text into lower-case words: at anything that is no
// letter, and before a capital that follows a small letter.
func nameWords(s string) []string {
	var b strings.Builder
	small := false
	for _, r := range s {
		switch {
		case unicode.IsLetter(r):
			if unicode.IsUpper(r) && small {
				b.WriteByte(' ')
			}
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteByte(' ')
		}
		small = unicode.IsLower(r)
	}
	return strings.Fields(b.String())
}

func firstSentence(s string) []string {
	for first := range sentences(clip(strings.TrimSpace(s), 2<<10)) {
		return nameWords(first)
	}
	return nil
}

// overlap counts the different words of list that are in words.
func overlap(list []string, words map[string]bool) int {
	n := 0
	for i, w := range list {
		if words[w] && !slices.Contains(list[:i], w) {
			n++
		}
	}
	return n
}
