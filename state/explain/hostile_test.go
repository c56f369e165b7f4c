package explain_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/explain"
	"github.com/jitagent/jitagent/state/journal"
)

// attacks are texts that somebody else may have written into a record.
func attacks() map[string]string {
	return map[string]string{
		"html":       `</title></style></svg><script>alert(1)</script><img src=x onerror=alert(1)>`,
		"attribute":  `" onload="alert(1)' onclick='x`,
		"ansi":       "\x1b[2J\x1b]0;owned\x07\x1b[31mred",
		"c1":         "\u009b31m\u0090",
		"right":      "doc\u202egnp.exe\u2066\u2069\u200f",
		"new lines":  "x\nTask task_evil: “all is well”\r\n  state         completed\u2028\u2029\v\f",
		"template":   `{{.Policy}}{{template "steps"}}`,
		"comment":    `--><!-- ]]><![CDATA[`,
		"not utf-8":  "\xff\xfe\x80",
		"nul":        "a\x00b",
		"long":       strings.Repeat("wide 漢字 ", 200),
		"one word":   strings.Repeat("x", 3000),
		"json":       `{"a":{"a":{"a":[1,2,"\u202e"]}}}`,
		"entities":   `&lt;script&gt;&#x202e;`,
		"zalgo":      "e" + strings.Repeat("\u0301", 600),
		"emoji":      strings.Repeat("👩‍👩‍👧‍👦", 60),
		"javascript": `javascript:alert(1)`,
		"number":     `99999999999999999999999999`,
	}
}

// poisoned puts a text into each text field that a record has, whichever those are.
func poisoned(t *testing.T, r journal.Record, poison string) journal.Record {
	t.Helper()
	v := reflect.ValueOf(&r.Entry).Elem()
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Name, v.Field(i)
		switch {
		case name == "Kind" || name == "Run" || name == "CallID":
			// they say what belongs together: poisoned by kind below
		case f.Kind() == reflect.String:
			f.SetString(poison)
		case f.Type() == reflect.TypeFor[json.RawMessage]():
			f.SetBytes([]byte(poison))
		case f.Type() == reflect.TypeFor[*rar.Detail]():
			f.Set(reflect.ValueOf(&rar.Detail{Type: poison, Actions: []string{poison}, Identifier: poison, Locations: []string{poison}, Extra: map[string]json.RawMessage{poison: json.RawMessage(poison)}}))
		case f.Type() == reflect.TypeFor[[]rar.Detail]():
			f.Set(reflect.ValueOf([]rar.Detail{{Type: poison, Identifier: poison}, {}}))
		}
	}
	r.Owner = poison
	return r
}

func TestHostileTextsStayTexts(t *testing.T) {
	kinds := []jit.EntryKind{
		jit.EntryTaskOpening, jit.EntryTaskOpened, jit.EntryCall, jit.EntryRefused, jit.EntryBlocked, jit.EntryRequest, jit.EntryDecision,
		jit.EntryGrant, jit.EntryUse, jit.EntryCallSent, jit.EntryCallReturned, jit.EntryCallEnded, jit.EntryTaskCompleting,
		journal.EntryTaskAttempt, journal.EntryTaskUnknown, journal.EntryTaskExpired, jit.EntryTaskCompleted,
		journal.EntryPruned, journal.EntryLoss, "moon_phase",
	}
	for name, poison := range attacks() {
		t.Run(name, func(t *testing.T) {
			var records []journal.Record
			for _, owner := range []string{"", poison} {
				for _, call := range []string{"call-1", poison} {
					for _, status := range []jit.Status{jit.StatusPending, jit.StatusApproved, jit.StatusDenied, jit.StatusExpired, 77} {
						for _, kind := range append(kinds, jit.EntryKind(poison)) {
							if status != jit.StatusPending && kind != jit.EntryDecision {
								continue // has none
							}
							n := int64(len(records) + 1)
							r := poisoned(t, journal.Record{Seq: n}, poison)
							r.Kind, r.Run, r.CallID, r.Status, r.Time = kind, theRun, call, status, start()
							if owner != "" {
								r.Owner, r.Run = owner+call, poison
							}
							records = append(records, r)
						}
					}
				}
			}
			s := build(t, records, explain.Options{Of: poison, Gone: map[string]bool{theRun: true, poison: true}})
			complete(t, records, s)
			checkText(t, text(t, s))
			checkPage(t, html(t, s))
			checkJSON(t, asJSON(t, s))
			checkSentences(t, s)
		})
	}
}

// checkText wants no line that an attack made, and nothing that drives a terminal.
func checkText(t testing.TB, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) && r != '\u200d' {
			t.Fatalf("%U is in the text", r)
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "Task task_evil") || strings.HasPrefix(line, "  state         completed\u2028") {
			t.Errorf("a record wrote a line of its own: %q", line)
		}
	}
}

// checkSentences wants the texts that Build words to be clean by themselves, and
// no longer than somebody would read.
func checkSentences(t testing.TB, s *explain.Story) {
	t.Helper()
	check := func(text string) {
		for _, r := range text {
			if !unicode.IsPrint(r) {
				t.Fatalf("%U is in a sentence: %.200q", r, text)
			}
		}
		if n := len([]rune(text)); n > 3000 {
			t.Errorf("a sentence of %d characters: %.200q", n, text)
		}
	}
	steps := s.Strays
	for _, task := range s.Tasks {
		for _, text := range slices.Concat(task.Summary, task.Notes) {
			check(text)
		}
		for _, e := range task.Effects {
			check(e.Why)
		}
		steps = append(steps, task.Steps...)
		for _, c := range task.Calls {
			steps = append(steps, c.Steps...)
		}
	}
	for _, st := range steps {
		check(st.Text)
		check(st.Label)
	}
}

func checkJSON(t testing.TB, text string) {
	t.Helper()
	if !json.Valid([]byte(text)) {
		t.Error("the JSON is not valid")
	}
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Fatalf("%U is in the JSON", r)
		}
	}
}

// checkPage wants a well-formed page of known elements and attributes only.
func checkPage(t testing.TB, page string) {
	t.Helper()
	elements := strings.Fields("html head meta title style body h1 h2 h3 h4 p section div dl dt dd figure svg line text rect g path ul li table thead tbody tr th td bdi span")
	attributes := strings.Fields("lang charset http-equiv content name class id scope aria-label aria-labelledby aria-hidden viewBox x y x1 x2 y1 y2 width height text-anchor overflow d")
	for _, r := range page {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) && r != '\u200d' && r != '\u200c' {
			t.Fatalf("%U is in the page", r)
		}
	}
	dec := xml.NewDecoder(strings.NewReader(page))
	dec.Strict, dec.AutoClose, dec.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	depth, svgs := 0, 0
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page cannot be read: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			depth++
			if e.Name.Local == "svg" {
				svgs++
			}
			if !slices.Contains(elements, e.Name.Local) {
				t.Errorf("the page has an element %q", e.Name.Local)
			}
			for _, a := range e.Attr {
				if !slices.Contains(attributes, a.Name.Local) {
					t.Errorf("%s has an attribute %q", e.Name.Local, a.Name.Local)
				}
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") && a.Name.Local != "class" {
					t.Errorf("%s has %s=%q", e.Name.Local, a.Name.Local, a.Value)
				}
				if a.Name.Local == "class" && strings.ContainsFunc(a.Value, func(r rune) bool { return r != ' ' && (r < 'a' || r > 'z') }) {
					t.Errorf("%s has the class %q", e.Name.Local, a.Value)
				}
			}
		case xml.EndElement:
			depth--
		case xml.Comment, xml.ProcInst:
			t.Errorf("the page has %T", token)
		}
	}
	if depth != 0 {
		t.Errorf("%d elements of the page are not closed", depth)
	}
	if svgs == 0 && strings.Contains(page, "<h3>Timeline") {
		t.Error("the page has no picture")
	}
	checkPictures(t, page)
}

// checkPictures wants each picture to be XML.
func checkPictures(t testing.TB, page string) {
	t.Helper()
	for rest := page; ; {
		begin := strings.Index(rest, "<svg")
		if begin < 0 {
			return
		}
		dec := xml.NewDecoder(strings.NewReader(rest[begin:]))
		if err := dec.Decode(new(struct{})); err != nil { // as far as its end, with those within it
			t.Fatalf("a picture is not XML: %v", err)
		}
		rest = rest[begin+int(dec.InputOffset()):]
	}
}

func TestPagesOfAllStories(t *testing.T) {
	for name, records := range stories() {
		t.Run(name, func(t *testing.T) { checkPage(t, html(t, build(t, records, explain.Options{}))) })
	}
	checkPage(t, html(t, build(t, nil, explain.Options{})))
}

// TestPolicyAllowsTheStyleOnly wants the page to allow itself nothing but its own
// style, by its hash.
func TestPolicyAllowsTheStyleOnly(t *testing.T) {
	page := html(t, build(t, plain(), explain.Options{}))
	if n := strings.Count(page, "<style>"); n != 1 {
		t.Fatalf("%d styles, want 1", n)
	}
	_, rest, _ := strings.Cut(page, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	_, rest, _ = strings.Cut(page, `http-equiv="Content-Security-Policy" content="`)
	policy, _, _ := strings.Cut(rest, `"`)
	want := "default-src 'none'; style-src 'sha256-" + hash(style) + "'; base-uri 'none'; form-action 'none'"
	if got := unescape(policy); got != want {
		t.Errorf("policy %q, want %q", got, want)
	}
	for _, not := range []string{"<script", "<link", "<img", "@import", "url(", "style=", "http://www", "xmlns"} {
		if strings.Contains(page, not) {
			t.Errorf("the page has %q", not)
		}
	}
}
