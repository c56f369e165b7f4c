package explain

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// What is shown of a story, as text or as a page: words that need nothing but wrapping
// or escaping.
type (
	storyView struct {
		Of, At, Entries string
		Tasks           []taskView
		Elsewhere       []stepView
	}
	taskView struct {
		ID, Title, Start, Omitted string
		Summary, Notes            []string
		Facts                     []fact
		Chart                     chart // of a page
		Steps                     []stepView
		Calls                     []callView
		Grants                    []grantView
		Effects                   []effectView
	}
	fact     struct{ Name, Value string }
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
		Outcome, Request, Key, Sent, Why string
		Tone                             Tone
	}
)

func (s *Story) view(zone *time.Location) storyView {
	zone = cmp.Or(zone, time.UTC)
	anyDay := calendar{zone: zone}
	v := storyView{Of: cmp.Or(ident(s.Of), "the journal"), At: anyDay.full(s.At), Entries: plain.Count(s.Entries, "entry")}
	for i, t := range s.Tasks {
		v.Tasks = append(v.Tasks, t.view(fmt.Sprintf("task%d", i+1), calendar{zone, t.Opened}))
	}
	for _, g := range s.Gaps {
		v.Elsewhere = append(v.Elsewhere, stepView{Time: anyDay.clock(g.Time), Text: g.Text, Tone: string(Warn)})
	}
	for _, st := range s.Strays {
		v.Elsewhere = append(v.Elsewhere, stepView{Time: anyDay.clock(st.Time), Text: st.Text, Tone: string(Warn)})
	}
	return v
}

func (t *Task) view(id string, c calendar) taskView {
	v := taskView{ID: id, Title: t.title(), Start: c.full(t.Opened), Facts: t.facts(c), Summary: t.Summary, Notes: t.Notes, Steps: t.stepViews(t.Steps, c)}
	if t.Omitted > 0 {
		v.Omitted = fmt.Sprintf("The other %s of the task %s left out here.", plain.Count(t.Omitted, "call"), plural(t.Omitted, "is", "are"))
	}
	for _, call := range t.Calls {
		cv := callView{
			ID: fmt.Sprintf("%s-call%d", id, call.Number), Number: call.Number, Name: call.invocation(), Verdict: call.verdict(), Tone: call.tone(),
			Steps: t.stepViews(call.Steps, c),
			Facts: keep([]fact{{"id", ident(call.ID)}, {"may ask for", join(call.Ceiling, "or")}, {"because", strings.TrimPrefix(because(call.Justification), ": ")}}, known),
		}
		v.Calls = append(v.Calls, cv)
	}
	for _, g := range t.Grants {
		v.Grants = append(v.Grants, grantView{c.exact(g.Issued), fmt.Sprintf("%s (request %s)", g.Detail.text(), ident(g.Request)), g.life(c)})
	}
	for _, e := range t.Effects {
		v.Effects = append(v.Effects, effectView{
			Outcome: spoken(string(e.Outcome)), Request: ident(e.Method) + " " + address(e.URL),
			Key: cmp.Or(ident(e.Key), "not recorded"), Sent: times(len(e.Sends)), Why: e.Why, Tone: e.tone(),
		})
	}
	return v
}

func (t *Task) stepViews(steps []Step, c calendar) []stepView {
	out := make([]stepView, len(steps))
	for i, s := range steps {
		out[i] = stepView{Time: c.exact(s.Time), Since: span(s.Time.Sub(t.Opened)), Text: s.Text, Tone: cmp.Or(string(s.Tone), "plain")}
	}
	return out
}

func (t *Task) title() string {
	name := cmp.Or(t.ID, "of run "+t.Run)
	if t.Name == "" {
		return "Task " + ident(name)
	}
	return fmt.Sprintf("Task %s: %s", ident(name), quote(t.Name))
}

// facts are what a task's head says.
func (t *Task) facts(c calendar) []fact {
	facts := []fact{
		{"state", string(t.State)}, {"part of", ident(part(t.Parent))}, {"for", ident(t.OnBehalfOf)}, {"authority", address(t.Authority)}, {"session", ident(t.Session)}, {"trace", ident(strings.Join(t.Traces, ", "))},
		{"run", ident(t.Run)}, {"began", c.full(t.Opened)},
	}
	ends := map[journal.State]string{journal.StateCompleted: "ended", journal.StateExpired: "expired", journal.StateUnknown: "given up"}
	if name := ends[t.State]; name != "" {
		facts = append(facts, fact{name, fmt.Sprintf("%s,%s", c.clock(t.Ended), after(t.Opened, t.Ended))})
	}
	return keep(facts, known)
}

// part words what a task is below.
func part(run string) string {
	if run == "" {
		return ""
	}
	return "the task of run " + run
}

// known reports whether there is something to say.
func known(f fact) bool { return f.Value != "" }

// life words how long a token was valid and how often it was used.
func (g *Grant) life(c calendar) string {
	uses := "used " + times(len(g.Uses))
	if len(g.Uses) == 0 {
		uses = "never used for a request"
	}
	granted := ""
	if !g.Expires.IsZero() {
		granted = " of " + span(g.Expires.Sub(g.Issued))
	}
	switch g.End {
	case journal.GrantRevoked:
		return fmt.Sprintf("revoked at %s,%s%s; %s", c.exact(g.Ended), after(g.Issued, g.Ended), granted, uses)
	case journal.GrantExpired:
		return fmt.Sprintf("expired by itself at %s,%s; %s", c.clock(g.Ended), after(g.Issued, g.Ended), uses)
	case journal.GrantLive:
		if g.Expires.IsZero() {
			return "alive; " + uses
		}
		return fmt.Sprintf("alive, until %s; %s", c.clock(g.Expires), uses)
	}
	if g.End == journal.GrantUnknown {
		return "not known whether it was revoked; " + uses
	}
	return fmt.Sprintf("not known to be revoked, ends by itself at %s; %s", c.clock(g.Expires), uses)
}

// tone is how the outcome of an effect is to be taken.
func (e *Effect) tone() Tone {
	switch e.Outcome {
	case jit.OutcomeAnswered:
		return ofStatus(e.Status)
	case jit.OutcomeInDoubt:
		return Bad
	}
	return Warn
}
