// Package timeline shows a run to a person: a live timeline, one line an event.
//
// Invariants: text that came from a model, an API or an authorization server is
// shown without control characters, so that it cannot drive the terminal, and is
// cut to a line's length. The package decides nothing and stores nothing.
package timeline

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fatih/color"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
)

// Style is how a timeline looks. The zero value is for files and pipes: no color, and
// one line an event, however long.
type Style struct {
	Color bool
	// Width is that of the terminal, in columns: lines are folded under their text, and
	// a line that is overwritten says what is waited for. 0 is no terminal.
	Width int
	// API is the origin that is called the API: addresses there are shown as paths. The
	// zero Origin shortens nothing.
	API jit.Origin
	// TTL is what each token's life is asked to be: a shorter one is pointed out. 0 is
	// not known.
	TTL time.Duration
}

// A Timeline writes events as they happen. It is for one goroutine.
type Timeline struct {
	w      io.Writer
	start  time.Time
	style  Style
	paint  map[string]*color.Color
	status bool // the line that is overwritten is there
}

// New returns a timeline that writes to w.
func New(w io.Writer, style Style) *Timeline {
	t := &Timeline{w: w, start: time.Now(), style: style, paint: map[string]*color.Color{
		"dim":  color.New(color.Faint),
		"good": color.New(color.FgGreen),
		"warn": color.New(color.FgYellow),
		"bad":  color.New(color.FgRed),
		"head": color.New(color.FgCyan),
	}}
	for _, c := range t.paint {
		if style.Color {
			c.EnableColor()
		} else {
			c.DisableColor()
		}
	}
	return t
}

// indent is how far to the right the text of a line begins, after time and label.
const indent = 19

// line writes one line: time, label, text.
func (t *Timeline) line(at time.Time, paint, label, format string, args ...any) {
	t.Clear()
	elapsed := max(0, at.Sub(t.start)).Seconds()
	_, _ = fmt.Fprintf(t.w, "%s %s %s\n",
		t.paint["dim"].Sprintf("%7.3fs", elapsed),
		t.paint[paint].Sprintf("%-9s", label),
		plain.Fold(plain.Line(fmt.Sprintf(format, args...), 400), t.style.Width, indent))
}

// Wait shows, until the next line, what is waited for after an event.
func (t *Timeline) Wait(e runner.Event) {
	if t.style.Width == 0 {
		return
	}
	what := ""
	switch e := e.(type) {
	case runner.Started, runner.ToolReturned:
		what = "the model is working"
	case runner.ToolCalled, jit.Granted:
		what = "the API is asked"
	case jit.Requested:
		what = "the authorization server decides"
	case jit.Decided:
		if e.Status == jit.StatusPending {
			what = "waiting for a person"
		}
	}
	if what != "" {
		t.Clear()
		_, _ = fmt.Fprintf(t.w, "%*s%s ...", indent, "", t.paint["dim"].Sprint(what))
		t.status = true
	}
}

// Clear takes away what [Timeline.Wait] shows, before others write to the terminal.
func (t *Timeline) Clear() {
	if t.status {
		_, _ = io.WriteString(t.w, "\r\x1b[K")
		t.status = false
	}
}

// Show writes an event. Events that a person does not need are left out.
func (t *Timeline) Show(e runner.Event) {
	switch e := e.(type) {
	case jit.TaskOpened:
		below := ""
		if e.Parent != "" {
			below = " for " + e.Name + ", below " + e.Parent
		}
		t.line(e.Time, "dim", "task", "%s opened%s%s", e.TaskID, below, until(e.ExpiresAt))
	case runner.ToolCalled:
		t.line(e.Time, "head", "call", "%s(%s)", e.Tool, arguments(e.Args))
	case jit.Refused:
		t.line(e.Time, "warn", "refused", "%d %s %s; %s", e.StatusCode, e.Method, t.place(e.URL), cmp.Or(e.Error, "it demands "+t.details(e.Demanded...)))
	case jit.Blocked:
		t.line(e.Time, "bad", "blocked", "not asked for: %s: %s", t.details(e.Demanded), e.Reason)
	case jit.Requested:
		how := ""
		if e.Ahead {
			how = ", ahead of a refusal"
		}
		t.line(e.Time, "head", "asked", "%s, because %q%s", t.details(e.Detail), e.Justification, how)
	case jit.Decided:
		t.decided(e)
	case jit.Granted:
		scopes := plain.Between(", by scope ", strings.Join(e.Scopes, " "), "")
		t.line(e.Time, "good", "granted", "%s%s, token lives %s, bound to %s", t.details(e.Detail), scopes, round(e.ExpiresAt.Sub(e.Time)), t.place(cmp.Or(e.Origin, "no origin")))
	case runner.ToolReturned:
		t.returned(e)
	case runner.HistoryCut:
		t.line(e.Time, "warn", "history", "it is longer than the model is shown: the last %s", plain.Count(e.Kept, "event"))
	case jit.LeftInDoubt:
		t.line(e.Time, "bad", "in doubt", "%s %s may have been carried out: %s; look there for Idempotency-Key %s", e.Method, t.place(e.URL), e.Error, e.IdempotencyKey)
	case jit.Cleared:
		t.line(e.Time, "good", "settled", "the API has answered under Idempotency-Key %s", e.IdempotencyKey)
	case jit.Completed:
		t.completed(e)
	case runner.Finished:
		t.finished(e)
	}
}

func (t *Timeline) decided(e jit.Decided) {
	risk, by := plain.Between(", risk ", e.Risk, ""), plain.Between(" by ", e.DecidedBy, "")
	switch e.Status {
	case jit.StatusApproved:
		life := ""
		if e.TTL > 0 {
			life = ", for " + round(e.TTL)
		}
		if life != "" && e.TTL < t.style.TTL {
			life += " of the " + round(t.style.TTL) + " that were asked for"
		}
		t.line(e.Time, "good", "approved", "%s%s%s%s", e.RequestID, by, risk, life)
	case jit.StatusPending:
		t.line(e.Time, "warn", "waiting", "%s%s: a person must decide%s%s%s", e.RequestID, risk, until(e.ExpiresAt), plain.Between(", decide at ", e.DecideAt, ""), plain.Between("; ", e.Message, ""))
	default:
		t.line(e.Time, "bad", e.Status.String(), "%s%s%s%s", e.RequestID, risk, by, plain.Between(": ", e.Message, ""))
	}
}

func (t *Timeline) returned(e runner.ToolReturned) {
	switch {
	case e.Error == "":
		t.line(e.Time, "good", "result", "%s: ok%s", e.Tool, headline(e.Result))
	case e.Status == "pending":
		t.line(e.Time, "warn", "result", "%s: %s: %s", e.Tool, e.Status, e.Error)
	default:
		t.line(e.Time, "bad", "result", "%s: %s: %s", e.Tool, e.Status, e.Error)
	}
}

func (t *Timeline) completed(e jit.Completed) {
	if e.Error != "" {
		t.line(e.Time, "bad", "task", "%s NOT completed: %s", e.TaskID, e.Error)
		return
	}
	if e.TaskID == "" {
		t.line(e.Time, "dim", "task", "none was opened")
		return
	}
	text, tone := "", "good"
	if !e.ExpiresAt.IsZero() {
		text, tone = "; what the server cannot revoke expires by itself at "+e.ExpiresAt.Local().Format(time.TimeOnly), "warn"
	}
	t.line(e.Time, tone, "task", "%s completed, %s revoked%s", e.TaskID, plain.Count(e.Revoked, "token"), text)
}

func (t *Timeline) finished(e runner.Finished) {
	paint := "good"
	if e.Outcome != runner.Done {
		paint = "warn"
	}
	t.line(e.Time, paint, string(e.Outcome), "%s, %s, %s",
		plain.Count(e.ModelCalls, "model call"), plain.Count(e.ToolCalls, "tool call"), round(e.Elapsed))
}

// path returns the path of an address of the API, and whether it is one.
func (t *Timeline) path(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", false
	}
	origin, err := jit.OriginOf(u)
	return u.EscapedPath(), err == nil && origin == t.style.API
}

// place names an address: its path where it is of the API.
func (t *Timeline) place(address string) string {
	if path, ok := t.path(address); ok {
		return cmp.Or(path, "the API")
	}
	return address
}

// details words demands and grants. Where the API is the only location, it is named last
// and not among the members, so that no value of a member reads like it.
func (t *Timeline) details(ds ...rar.Detail) string {
	texts := make([]string, len(ds))
	for i, d := range ds {
		where := ""
		if len(d.Locations) == 1 {
			if path, ok := t.path(d.Locations[0]); ok && path == "" {
				d.Locations, where = nil, " at the API"
			}
		}
		texts[i] = d.String() + where
	}
	return strings.Join(texts, " and ")
}

// arguments shows a call's arguments, long ones cut.
func arguments(args map[string]any) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(args)) {
		var value strings.Builder
		enc := json.NewEncoder(&value)
		enc.SetEscapeHTML(false) // it is no page
		if enc.Encode(args[name]) != nil {
			value.WriteString("?")
		}
		parts = append(parts, name+": "+plain.Line(strings.TrimSpace(value.String()), 60))
	}
	return strings.Join(parts, ", ")
}

// headline names what came back, if the result says.
func headline(result map[string]any) string {
	text := ""
	if title, ok := result["title"].(string); ok {
		text += fmt.Sprintf(", %q", title)
	}
	if content, ok := result["content"].(string); ok {
		text += fmt.Sprintf(", %d characters", len([]rune(content)))
	}
	for _, name := range []string{"path", "url"} {
		if where, ok := result[name].(string); ok {
			return text + ", " + where
		}
	}
	return text
}

func until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ", until " + t.Local().Format("15:04:05")
}

func round(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
