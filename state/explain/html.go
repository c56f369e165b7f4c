package explain

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// policy is the page's Content-Security-Policy: nothing may be loaded or run, and
// no style but the page's own.
func policy() string {
	sum := sha256.Sum256([]byte(pageCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}

// What the template is given: texts that need nothing but escaping.
type (
	pageView struct {
		Policy, Of, At, Entries string
		Style                   template.CSS
		Tasks                   []taskView
		Elsewhere               []stepView
		Legend                  []legendView
	}
	taskView struct {
		ID, Title, Omitted, Start string
		Summary, Notes            []string
		Facts                     []fact
		Broken                    bool
		Charts                    []chart
		Steps                     []stepView
		Calls                     []callView
		Grants                    []grantView
		Effects                   []effectView
	}

	stepView struct{ Time, Since, Text, Tone string }
	callView struct {
		ID            string
		Number        int
		Name, Verdict string
		Tone          Tone
		Facts         []fact
		Steps         []stepView
	}
	grantView  struct{ Time, For, Life string }
	effectView struct {
		Outcome, Request, Key, Why string
		Tone                       Tone
	}
	legendView struct{ Path, Class, Text string }
)

// WriteHTML writes the story as one page that needs nothing else: a picture of
// each task, and below it the story in words. Times are in the given zone (nil
// means UTC). The page runs no script and loads nothing.
func (s *Story) WriteHTML(w io.Writer, zone *time.Location) error {
	if zone == nil {
		zone = time.UTC
	}
	tmpl, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("explain: page: %w", err)
	}
	var b bytes.Buffer
	if err := tmpl.Execute(&b, s.view(zone)); err != nil {
		return fmt.Errorf("explain: page: %w", err)
	}
	if _, err := io.WriteString(w, plain.Text(b.String())); err != nil {
		return fmt.Errorf("explain: write the page: %w", err)
	}
	return nil
}

func (s *Story) view(zone *time.Location) pageView {
	plain := calendar{zone: zone}
	v := pageView{
		Policy: policy(), Of: orWord(ident(s.Of), "the journal"), At: plain.full(s.At), Entries: fmt.Sprintf("%d %s", s.Entries, plural(s.Entries, "entry", "entries")),
		Style: template.CSS(pageCSS), Legend: legend(), //nolint:gosec // the embedded file
	}
	for i, t := range s.Tasks {
		v.Tasks = append(v.Tasks, t.view(fmt.Sprintf("task%d", i+1), s.At, calendar{zone, t.Opened}))
	}
	for _, g := range s.Gaps {
		v.Elsewhere = append(v.Elsewhere, stepView{Time: plain.clock(g.Time), Text: g.Text, Tone: string(Warn)})
	}
	for _, st := range s.Strays {
		v.Elsewhere = append(v.Elsewhere, stepView{Time: plain.clock(st.Time), Text: st.Text, Tone: string(Warn)})
	}
	return v
}

func (t *Task) view(id string, at time.Time, c calendar) taskView {
	v := taskView{ID: id, Title: t.title(), Start: c.full(t.Opened), Summary: t.Summary, Notes: t.Notes, Steps: t.stepViews(t.Steps, c)}
	if t.Omitted > 0 {
		v.Omitted = fmt.Sprintf("The other %s of the task %s left out here.", plain.Count(t.Omitted, "call"), plural(t.Omitted, "is", "are"))
	}
	v.Facts = t.facts(c)
	k := newSketch(t, at, c)
	v.Charts, v.Broken = k.charts(id), len(k.breaks) > 0
	for _, call := range t.Calls {
		cv := callView{
			ID: fmt.Sprintf("%s-call%d", id, call.Number), Number: call.Number, Name: call.invocation(), Verdict: call.verdict(), Tone: call.tone(),
			Steps: t.stepViews(call.Steps, c),
		}
		if call.ID != "" {
			cv.Facts = append(cv.Facts, fact{"id", ident(call.ID)})
		}
		cv.Facts = append(cv.Facts, fact{"may ask for", join(call.Ceiling, "or")})
		if call.Justification != "" {
			cv.Facts = append(cv.Facts, fact{"because", quote(call.Justification)})
		}
		v.Calls = append(v.Calls, cv)
	}
	for _, g := range t.Grants {
		v.Grants = append(v.Grants, grantView{c.exact(g.Issued), fmt.Sprintf("%s (request %s)", g.Detail.text(), ident(g.Request)), g.life(c)})
	}
	for _, e := range t.Effects {
		v.Effects = append(v.Effects, effectView{
			Outcome: e.outcome(), Request: ident(e.Method) + " " + address(e.URL), Key: orWord(ident(e.Key), "not recorded"),
			Why: fmt.Sprintf("Sent %s. %s", times(len(e.Sends)), e.Why), Tone: e.tone(),
		})
	}
	return v
}

func (t *Task) stepViews(steps []Step, c calendar) []stepView {
	out := make([]stepView, len(steps))
	for i, s := range steps {
		out[i] = stepView{Time: c.exact(s.Time), Since: span(s.Time.Sub(t.Opened)), Text: s.Text, Tone: orWord(string(s.Tone), "plain")}
	}
	return out
}

// tone is how the outcome of an effect is to be taken.
func (e *Effect) tone() Tone {
	switch e.Outcome {
	case jit.OutcomeAnswered:
		return ofStatus(e.Status)
	case jit.OutcomeMaybeExecuted:
		return Bad
	}
	return Warn
}

// legend explains the picture's shapes.
func legend() []legendView {
	of := func(kind jit.EntryKind, tone Tone, text string) legendView {
		return legendView{shape(Step{Kind: kind}, 0, 0), orWord(string(tone), "plain"), text}
	}
	return []legendView{
		of(jit.EntryCall, "", "called, asked, ended"),
		of(jit.EntryRefused, Warn, "refused by the API"),
		of(jit.EntryDecision, Good, "decision: approved"),
		of(jit.EntryDecision, Bad, "decision: denied"),
		of(jit.EntryCallSent, Good, "request to the API and its answer"),
		of(jit.EntryBlocked, Bad, "blocked, cut off or failed"),
		{Class: "wait", Text: "waiting for a person"},
		{Class: "token", Text: "token, revoked at its end"},
		{Class: "token expired", Text: "token, expired by itself"},
		{Class: "token live", Text: "token, still valid"},
		{Class: "token unknown", Text: "token, not known whether revoked"},
		{Class: "dead", Text: "no process at work"},
	}
}
