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

// ofTask tells a record about the life of the task itself. It reports false for
// the others.
func (t *teller) ofTask(r journal.Record) bool {
	task := t.task
	s := Step{Seq: r.Seq, Time: r.Time, Kind: r.Kind}
	switch r.Kind {
	case jit.EntryTaskOpening:
		s.Label, s.Text = "opening", "Asked the authorization server to open a task."
		if r.Parent != "" {
			s.Text = "Asked the authorization server to open a task below that of run " + ident(r.Parent) + ", which ends it with itself."
		}
		if r.Ceiling != nil {
			s.Text += " It may ask for nothing but " + join(details(r.Ceiling), "or") + "."
		}
	case jit.EntryTaskOpened:
		s.Label, s.Text = "opened", fmt.Sprintf("The authorization server opened it as task %s%s.", ident(r.TaskID), t.until(", to end at ", r.ExpiresAt))
	case jit.EntryTaskSuspended:
		s.Label, s.Tone, s.Text = "suspended", Warn, fmt.Sprintf("Left to wait for a decision%s: its tokens were dropped%s, and no process worked on it.", t.until(", at the latest until ", r.ExpiresAt), revoked(r))
	case jit.EntryUsage:
		s.Label, s.Text = "model", fmt.Sprintf("The model %s counted %s of prompt and %d of answer.", ident(r.Model), plain.Count(r.Prompt, "token"), r.Output)
	case jit.EntryTaskResumed:
		s.Label, s.Text = "resumed", "Taken up again: what was asked for is waited for as before."
	case jit.EntryTaskCompleting:
		t.closed = true
		s.Label, s.Text = "completing", sentence("Asked the authorization server to end the task and revoke its tokens%s.", because(strings.TrimPrefix(r.Error, "jit: ")))
	case jit.EntryTaskCompleted:
		task.Issued, task.Revoked = r.Issued, r.Revoked
		s.Label, s.Tone, s.Text = "completed", Good, "The authorization server confirmed that the task is over and its tokens are revoked."
		switch {
		case r.TaskID == "":
			s.Text = "The task is over. The authorization server did not open it, and nothing was granted under it."
		case !r.ExpiresAt.IsZero():
			s.Tone, s.Text = Warn, "The task is over. The authorization server cannot revoke all of its tokens: the last expires by itself at "+t.clock(r.ExpiresAt)+"."
		}
	case journal.EntryTaskAttempt:
		t.closed = true
		s.Label, s.Tone, s.Text = "not yet", Warn, sentence("Try %d to end the task failed%s.%s", r.Attempt, because(r.Error), t.until(" The next one is due at ", r.NextAttempt))
		if !r.NextAttempt.IsZero() {
			s.Text += "."
		}
	case journal.EntryTaskExpired:
		s.Label, s.Tone, s.Text = "expired", Warn, "The end of the task was never confirmed, but by now whatever was granted under it has expired by itself."
	case journal.EntryTaskUnknown:
		s.Label, s.Tone, s.Text = "unknown", Bad, sentence("Given up: nobody confirmed that the tokens were revoked, and nothing more can be found out%s.", because(r.Error))
	default:
		return false
	}
	t.step(s)
	return true
}

// until returns words and a moment, or nothing for the zero moment.
func (t *teller) until(words string, moment time.Time) string {
	if moment.IsZero() {
		return ""
	}
	return words + t.clock(moment)
}

// ofCall tells a record about a call. c is nil only for kinds that are not known.
func (t *teller) ofCall(r journal.Record, c *Call) Step {
	switch r.Kind {
	case jit.EntryCall:
		return t.began(r, c)
	case jit.EntryRefused:
		demands := "It demands " + join(details(r.Demanded), "and")
		if r.Error != "" {
			demands = "Nothing is asked for" + because(r.Error)
		}
		return Step{Label: "refused", Tone: Warn, Text: sentence("The API refused %s with %d. %s.", request(r), r.HTTPStatus, demands)}
	case jit.EntryBlocked:
		return Step{
			Label: "blocked", Tone: Bad,
			Text: sentence("Not asked for: %s. That is more than this call may ask for%s.", detailOf(r.Detail).text(), because(r.Error)),
		}
	case jit.EntryRequest:
		return t.demand(r, c)
	case jit.EntryDecision:
		return t.decision(r, c)
	case jit.EntryGrant:
		return t.grant(r, c)
	case jit.EntryUse:
		return t.use(r, c)
	case jit.EntryCallSent:
		return t.sent(r, c)
	case jit.EntryCallReturned:
		return t.returned(r, c)
	case jit.EntryCallEnded:
		return t.ended(r, c)
	}
	return Step{
		Label: plain.Line(string(r.Kind), 24), Tone: Warn, Unknown: true,
		Text: sentence("Entry %d is of a kind that this version does not know, %s%s.", r.Seq, quote(string(r.Kind)), leftover(r)),
	}
}

func (d Detail) text() string { return plain.Line(d.Text, maxURL) }

// request words the request that a record is about.
func request(r journal.Record) string {
	return strings.TrimSpace(ident(r.Method) + " " + address(r.URL))
}

func (t *teller) began(r journal.Record, c *Call) Step {
	again := len(c.Steps) > 0
	if again && c.Fate == FateEnded {
		c.Fate, c.Ended, c.Result, c.Error = FateRunning, time.Time{}, "", ""
	}
	if !again || len(c.Args) == 0 && len(c.Ceiling) == 0 {
		c.Args, c.Ceiling, c.Justification = arguments(r.Args), details(r.Ceiling), r.Justification
	}
	now := &Call{Tool: r.Tool, Args: arguments(r.Args)}
	if again {
		return Step{Label: "called again", Text: sentence("The call was made again: %s.", now.invocation())}
	}
	return Step{Label: "called", Text: sentence("The model called %s.", now.invocation())}
}

func (t *teller) ended(r journal.Record, c *Call) Step {
	c.Fate, c.Ended, c.Result, c.Error = FateEnded, r.Time, r.Result, r.Error
	s := Step{Label: spoken(plain.Line(r.Result, 24)), Tone: Bad}
	switch r.Result {
	case "ok":
		s.Tone = Good
	case string(jit.CallPending), string(jit.CallLogin):
		s.Tone = Warn
	case "":
		s.Label, s.Tone = "ended", ""
	}
	s.Text = sentence("The call ended%s: %s%s.", after(c.Began, r.Time), cmp.Or(spoken(r.Result), "no result is recorded"), because(r.Error))
	return s
}

// leftover shows all that a record says, for one that is not understood, and is not
// told anyway.
func leftover(r journal.Record) string {
	r.Seq, r.Time, r.Run, r.Owner = 0, time.Time{}, "", ""
	text, err := r.JSON()
	if err != nil {
		return ""
	}
	return ": " + plain.Line(string(text), maxText)
}

// revoked says how many of the tokens that a suspended task held were revoked.
func revoked(r journal.Record) string {
	switch {
	case r.Issued == 0:
		return ""
	case r.Revoked == r.Issued:
		return " and revoked"
	}
	return fmt.Sprintf(" (%d of %d could be revoked)", r.Revoked, r.Issued)
}
