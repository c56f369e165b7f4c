package explain

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// summary tells the whole story in a few sentences.
func (t *teller) summary() []string {
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	task := t.task
	if len(task.Calls) == 0 {
		say("The model called nothing.")
	} else {
		say("The model made %s: %s.", plain.Count(len(task.Calls), "call"), t.fates())
	}
	if len(task.Asked) > 0 {
		say("Authority was asked for %s: %s.", times(len(task.Asked)), t.decisions())
	}
	if n := blocked(task); n > 0 {
		say("%s of the API went beyond what its call may ask for, and %s not passed on.", plain.Count(n, "demand"), plural(n, "was", "were"))
	}
	t.effectsSummary(say)
	for _, d := range task.Deaths {
		verb := "The process died"
		if d.closing {
			verb = "The process ended or died before the end of the task was confirmed"
		}
		if d.RecoveredAt.IsZero() {
			say("%s %s into the task, or later. Nobody has recovered the task yet.", verb, span(d.LastSign.Sub(task.Opened)))
		} else {
			say("%s %s into the task, or later. Another process recovered it%s.", verb, span(d.LastSign.Sub(task.Opened)), after(d.LastSign, d.RecoveredAt))
		}
	}
	t.endSummary(say)
	return said
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// tally counts in the order in which things are first seen.
type tally struct {
	names []string
	n     map[string]int
}

func (t *tally) add(name string) {
	if t.n == nil {
		t.n = map[string]int{}
	}
	if t.n[name]++; t.n[name] == 1 {
		t.names = append(t.names, name)
	}
}

// String lists at most a handful: the names may come from anywhere.
func (t *tally) String() string {
	var parts []string
	for i, name := range t.names {
		if i == 6 {
			parts = append(parts, "and others")
			break
		}
		parts = append(parts, fmt.Sprintf("%d %s", t.n[name], name))
	}
	return strings.Join(parts, ", ")
}

func (t *teller) fates() string {
	var n tally
	for _, c := range t.task.Calls {
		n.add(c.verdict())
	}
	return n.String()
}

// spoken is an outcome in words, also of a call in a journal that older versions wrote.
func spoken(outcome string) string {
	if outcome == string(jit.OutcomeInDoubt) {
		return "in doubt"
	}
	return ident(strings.ReplaceAll(outcome, "_", " "))
}

// verdict words the end of a call in a word or two.
func (c *Call) verdict() string {
	switch c.Fate {
	case FateEnded:
		return cmp.Or(spoken(c.Result), "ended")
	case FateCut:
		return "cut off"
	case FateRunning:
		return "under way"
	}
	return "end not recorded"
}

func (t *teller) decisions() string {
	var n tally
	for _, q := range t.task.Asked {
		switch status := q.Status; {
		case q.By == ByPolicy:
			n.add(status + " at once by policy")
		case q.By == ByPerson && status == jit.StatusExpired.String():
			n.add("approved by a person and not used in time")
		case q.By == ByPerson:
			n.add(status + " by a person")
		case q.By == ByNobody:
			n.add("not decided in time")
		case status == jit.StatusPending.String() && q.call != nil && q.call.Fate == FateRunning:
			n.add("waiting for a person")
		case status == jit.StatusPending.String():
			n.add("never decided")
		case status == unanswered:
			n.add("without a recorded answer")
		default:
			n.add("answered with something else")
		}
	}
	return n.String()
}

func blocked(t *Task) int {
	n := 0
	for _, c := range t.Calls {
		n += len(keep(c.Steps, func(s Step) bool { return s.Kind == jit.EntryBlocked }))
	}
	return n
}

func (t *teller) effectsSummary(say func(string, ...any)) {
	var n tally
	for _, e := range t.task.Effects {
		switch e.Outcome {
		case jit.OutcomeAnswered:
			n.add("answered")
		case jit.OutcomeInDoubt:
			n.add("in doubt")
		case OutcomeUnderWay:
			n.add("under way")
		default:
			n.add("without effect")
		}
	}
	if len(t.task.Effects) > 0 {
		say("%s that may change something %s sent to the API: %s.", plain.Count(len(t.task.Effects), "request"), plural(len(t.task.Effects), "was", "were"), n.String())
	}
}

func (t *teller) endSummary(say func(string, ...any)) {
	task := t.task
	took := span(task.Ended.Sub(task.Opened))
	issued := plain.Count(task.Issued, "token") + " " + plural(task.Issued, "was", "were") + " issued"
	if task.Issued == 0 {
		issued = "No token was issued"
	}
	switch task.State {
	case journal.StateCompleted:
		late := len(keep(task.Grants, func(g *Grant) bool { return g.End == journal.GrantExpires }))
		rest := task.Issued - task.Revoked - late
		switch {
		case late > 0:
			say("The task was completed after %s. %s: %d revoked with it, %d that the server cannot revoke and that %s by itself, the last by %s.",
				took, issued, task.Revoked, late, plural(late, "expires", "expire"), t.clock(t.now.NextAttempt))
		case task.Issued == 0:
			say("The task was completed after %s. %s.", took, issued)
		case rest <= 0:
			say("The task was completed after %s. %s and revoked with it.", took, issued)
		default:
			say("The task was completed after %s. %s: %d revoked with it, %d expired before.", took, issued, task.Revoked, rest)
		}
	case journal.StateExpired:
		if task.Issued > 0 {
			issued += "; by now " + plural(task.Issued, "it has", "all have") + " expired"
		}
		say("The end of the task was never confirmed. %s.", issued)
	case journal.StateUnknown:
		say("The end of the task was never confirmed, and it is not known whether its tokens were revoked. %s.", issued)
	default:
		verb := "still open"
		switch task.State {
		case journal.StateSuspended:
			verb = "suspended, and waits for a decision"
		case journal.StateCompleting:
			verb = "not confirmed as ended"
		}
		live := len(keep(task.Grants, func(g *Grant) bool { return g.End == journal.GrantLive }))
		switch {
		case task.Issued == 1 && live == 1:
			issued += ", and it is still valid"
		case task.Issued == 1:
			issued += ", and its time is over"
		case task.Issued > 0:
			issued += fmt.Sprintf(", and %d of them %s valid", live, plural(live, "is still", "are still"))
		}
		say("The task is %s. %s.", verb, issued)
	}
}
