package offline

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// An outcome is what became of one call.
type outcome struct {
	id string // the document asked for; empty for a report

	ok      bool
	title   string
	text    string
	partial bool
	where   string // of a report: where the tool says it is

	failure failure
}

// A failure is why a call gave nothing, in words for the person.
type failure struct {
	kind      failureKind
	reason    string // one line, from the tool; may be empty
	requestID string
	decideAt  string
	expiresAt string
}

type failureKind uint8

const (
	failed failureKind = iota
	denied
	pending
	notFound
)

// Members of results by meaning, the likeliest name first. Tools differ in what
// they call things.
var (
	textNames    = []string{"content", "text", "body", "markdown", "page_content", "plain_text"}
	titleNames   = []string{"title", "name", "heading", "headline", "subject", "filename"}
	wrapNames    = []string{"document", "result", "data", "output", "item", "record", "report", "file"}
	reasonNames  = []string{"error", "message", "reason", "detail", "description", "error_description"}
	requestNames = []string{"request_id", "requestid", "request", "approval_id"}
	decideNames  = []string{"decide_at", "approval_url", "approve_url", "decision_url", "verification_uri"}
	expiryNames  = []string{"expires_at", "expiry", "valid_until"}
	whereNames   = []string{"path", "url", "location", "link", "href", "file", "uri"}
	idNames      = []string{"report_id", "id", "identifier", "document_id", "slug"}
)

// statusKind reads the value that a failed result has in "status" or "code". What
// lexicon.txt does not have is not a failure: documents have statuses of their own,
// such as "draft".
func statusKind(v any) (kind failureKind, known bool) {
	c := lexicon[strings.ToLower(strings.ReplaceAll(scalar(v), " ", "_"))]
	switch {
	case c&deniedStatus != 0:
		return denied, true
	case c&pendingStatus != 0:
		return pending, true
	case c&missingStatus != 0:
		return notFound, true
	}
	return failed, c&failedStatus != 0
}

// readOutcome reads the result of a call. wantText says that the call was to fetch
// something: then a result without text is a failure.
func readOutcome(id string, x *exchange, wantText bool) outcome {
	o := outcome{id: id}
	if !x.answered {
		o.failure.reason = "the call was interrupted and no result was recorded"
		return o
	}
	found := newLookup(x.result)
	o.title = found.text(titleNames)
	f, bad := readFailure(x.result)
	switch {
	case bad:
		o.failure = f
	case !wantText:
		o.ok, o.id, o.where = true, tidy(found.text(idNames)), tidy(found.text(whereNames))
	default:
		o.text = found.content()
		o.partial = found.first([]string{"truncated"}, func(v any) string {
			if v == nil || v == false || v == "" || v == "false" {
				return ""
			}
			return "cut"
		}) != ""
		if o.ok = strings.TrimSpace(o.text) != ""; !o.ok {
			o.failure.reason = "the tool returned no text"
		}
	}
	return o
}

// readFailure reports whether a result says that the call failed, and why. An
// "error" always does; a status that means failure does unless the result is a
// whole document, with a title and a text.
func readFailure(m map[string]any) (f failure, bad bool) {
	found := newLookup(m)
	for _, name := range []string{"status", "code", "error_code"} {
		if f.kind, bad = statusKind(member(m, name)); bad {
			break
		}
	}
	bad = bad && (found.text(titleNames) == "" || textMember(m) == "")
	switch e := member(m, "error").(type) {
	case nil:
	case bool:
		bad = bad || e
	case string:
		bad = bad || e != ""
	case map[string]any:
		inner, _ := readFailure(e)
		f.kind, f.reason, bad = cmp.Or(f.kind, inner.kind), inner.reason, true
	default:
		bad = true
	}
	if f.reason == "" {
		f.reason = reason(m, &f)
	}
	f.requestID = clip(tidy(found.text(requestNames)), 128)
	f.decideAt = clip(tidy(found.text(decideNames)), 512)
	f.expiresAt = clip(tidy(found.text(expiryNames)), 64)
	return f, bad
}

// reason returns the longest of the texts that may explain a failure, on one line.
// A bare code among them settles the kind instead.
func reason(m map[string]any, f *failure) string {
	var best string
	for _, name := range reasonNames {
		s := tidy(scalar(member(m, name)))
		if kind, known := statusKind(s); known {
			f.kind = cmp.Or(f.kind, kind)
		}
		if len(s) > len(best) {
			best = s
		}
	}
	return clip(strings.TrimRight(best, ". "), 300)
}

// lookup finds members of a result by meaning: in the result and in the objects
// wrapped in it, outermost first. A wrapped object may be written as JSON text, as
// in {"result": "{\"id\": ...}"}, which tools make that hand on a body.
type lookup []map[string]any

// maxWrap bounds how many objects may be wrapped around a result.
const maxWrap = 4

func newLookup(m map[string]any) lookup {
	out := lookup{m}
	for len(out) <= maxWrap && m != nil {
		i := slices.IndexFunc(wrapNames, func(name string) bool { return object(member(m, name)) != nil })
		if i < 0 {
			break
		}
		m = object(member(m, wrapNames[i]))
		out = append(out, m)
	}
	return out
}

// first returns what read makes of a member with the likeliest of the names, the
// first that is not empty.
func (l lookup) first(names []string, read func(any) string) string {
	for _, name := range names {
		for _, m := range l {
			if s := read(member(m, name)); s != "" {
				return s
			}
		}
	}
	return ""
}

// text returns the first member with the likeliest of the names that holds a scalar.
func (l lookup) text(names []string) string { return l.first(names, scalar) }

// content returns the document's text: the member that holds it, or what a wrapper
// holds directly, or the longest text that is long enough to be one, for tools that
// name it in a way of their own.
func (l lookup) content() string {
	inner := slices.Clone(l)
	slices.Reverse(inner)
	for _, m := range inner {
		if s := textMember(m); s != "" {
			return s
		}
	}
	for _, m := range inner {
		if s := (lookup{m}).first(wrapNames, flatten); s != "" {
			return s
		}
	}
	var best string
	for _, name := range sortedNames(l[0]) {
		if s, ok := l[0][name].(string); ok && len(s) >= 40 && len(s) > len(best) {
			best = s
		}
	}
	return best
}

// object returns v as an object, nil when it is none.
func object(v any) map[string]any {
	switch v := v.(type) {
	case map[string]any:
		return v
	case string:
		var m map[string]any
		if s := strings.TrimSpace(v); strings.HasPrefix(s, "{") && len(s) <= maxText && json.Unmarshal([]byte(s), &m) == nil {
			return m
		}
	}
	return nil
}

func textMember(m map[string]any) string { return (lookup{m}).first(textNames, flatten) }

// flatten writes nested text as paragraphs, such as the [{"type": "text", "text":
// ...}] of tools that speak MCP.
func flatten(v any) string { return flattenTo(v, maxWrap) }

func flattenTo(v any, depth int) string {
	if depth < 0 {
		return ""
	}
	var parts []string
	add := func(v any) {
		if s := flattenTo(v, depth-1); s != "" {
			parts = append(parts, s)
		}
	}
	switch v := v.(type) {
	case string:
		return v
	case []any:
		for _, e := range v {
			add(e)
		}
	case []string:
		for _, e := range v {
			add(e)
		}
	case map[string]any:
		if s := (lookup{v}).first(textNames, func(v any) string { return flattenTo(v, depth-1) }); s != "" {
			return s
		}
		for _, name := range sortedNames(v) {
			if name != "type" {
				add(v[name])
			}
		}
	}
	return strings.Join(parts, "\n\n")
}

// member returns the value of a member, whatever the case of its name.
func member(m map[string]any, name string) any {
	if v, ok := m[name]; ok {
		return v
	}
	found, joined := "", strings.ReplaceAll(name, "_", "")
	for k := range m {
		alike := strings.EqualFold(strings.ReplaceAll(k, "-", "_"), name) || strings.EqualFold(k, joined)
		if alike && (found == "" || k < found) { // the first in order, as maps have none
			found = k
		}
	}
	if found == "" {
		return nil
	}
	return m[found]
}

func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64, float32, int, int32, int64, json.Number:
		return fmt.Sprint(v)
	}
	return ""
}
