package offline

import (
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
	if f, bad := readFailure(x.result); bad {
		o.failure = f
		return o
	}
	if !wantText {
		o.ok = true
		o.where = tidy(found.text(whereNames))
		o.id = tidy(found.text(idNames))
		return o
	}
	o.text = found.content()
	o.partial = found.partial()
	if strings.TrimSpace(o.text) == "" {
		o.failure.reason = "the tool returned no text"
		return o
	}
	o.ok = true
	return o
}

// readFailure reports whether a result says that the call failed, and why. An
// "error" always does; a status that means failure does unless the result is a
// whole document, with a title and a text.
func readFailure(m map[string]any) (failure, bool) {
	var f failure
	var bad bool
	for _, name := range []string{"status", "code", "error_code"} {
		if kind, known := statusKind(member(m, name)); known {
			f.kind, bad = kind, true
			break
		}
	}
	found := newLookup(m)
	whole := found.text(titleNames) != "" && textMember(m) != ""
	bad = bad && !whole
	switch e := member(m, "error").(type) {
	case nil:
	case bool:
		bad = bad || e
	case string:
		bad = bad || e != ""
	case map[string]any:
		inner, _ := readFailure(e)
		if f.kind == failed {
			f.kind = inner.kind
		}
		f.reason, bad = inner.reason, true
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
		if kind, known := statusKind(s); known && f.kind == failed {
			f.kind = kind
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

// text returns the member with the likeliest of the names that holds a scalar.
func (l lookup) text(names []string) string {
	for _, name := range names {
		for _, m := range l {
			if s := scalar(member(m, name)); s != "" {
				return s
			}
		}
	}
	return ""
}

func (l lookup) partial() bool {
	for _, m := range l {
		switch t := member(m, "truncated").(type) {
		case bool:
			return t
		case string:
			return t != "" && t != "false"
		}
	}
	return false
}

func newLookup(m map[string]any) lookup {
	out := lookup{m}
	for len(out) <= maxWrap && m != nil {
		var inner map[string]any
		for _, name := range wrapNames {
			if inner = object(member(m, name)); inner != nil {
				out = append(out, inner)
				break
			}
		}
		m = inner
	}
	return out
}

// content returns the document's text: the member that holds it, or what a wrapper
// holds directly, or all the text there is under one of these names.
func (l lookup) content() string {
	for _, m := range slices.Backward(l) {
		if s := textMember(m); s != "" {
			return s
		}
	}
	for _, m := range slices.Backward(l) {
		for _, name := range wrapNames {
			if s := flatten(member(m, name), 0); s != "" {
				return s
			}
		}
	}
	return longestText(l[0])
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

func textMember(m map[string]any) string {
	for _, name := range textNames {
		if s := flatten(member(m, name), 0); s != "" {
			return s
		}
	}
	return ""
}

// longestText returns the longest text of m that is long enough to be one, for
// tools that name it in a way of their own.
func longestText(m map[string]any) string {
	var best string
	for _, name := range sortedNames(m) {
		if s, ok := m[name].(string); ok && len(s) >= 40 && len(s) > len(best) {
			best = s
		}
	}
	return best
}

// flatten writes nested text as paragraphs, such as the [{"type": "text", "text":
// ...}] of tools that speak MCP.
func flatten(v any, depth int) string {
	if depth > maxWrap {
		return ""
	}
	var parts []string
	switch v := v.(type) {
	case string:
		return v
	case []any:
		for _, e := range v {
			parts = append(parts, flatten(e, depth+1))
		}
	case []string:
		parts = v
	case map[string]any:
		if s := textMember(v); s != "" {
			return s
		}
		for _, name := range sortedNames(v) {
			if name != "type" {
				parts = append(parts, flatten(v[name], depth+1))
			}
		}
	}
	parts = slices.DeleteFunc(slices.Clone(parts), func(s string) bool { return s == "" })
	return strings.Join(parts, "\n\n")
}

// member returns the value of a member, whatever the case of its name.
func member(m map[string]any, name string) any {
	if v, ok := m[name]; ok {
		return v
	}
	found := ""
	for k := range m {
		alike := strings.EqualFold(strings.ReplaceAll(k, "-", "_"), name) || strings.EqualFold(k, strings.ReplaceAll(name, "_", ""))
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
