package explain

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// effectOf returns the effect that a record is about, new if it has to be. An
// effect goes by its key; one without, by its call and request.
func (t *teller) effectOf(r journal.Record, c *Call) *Effect {
	name := "key\x00" + r.IdempotencyKey
	if r.IdempotencyKey == "" {
		name = fmt.Sprintf("call\x00%s\x00%s\x00%s\x00%s", r.CallID, r.Tool, r.Method, r.URL)
	}
	e := t.effects[name]
	if e == nil {
		e = &Effect{Key: r.IdempotencyKey, Method: r.Method, URL: r.URL}
		t.effects[name] = e
		t.task.Effects = append(t.task.Effects, e)
	}
	e.Call, e.Tool, e.call = r.CallID, r.Tool, c
	return e
}

func (t *teller) sent(r journal.Record, c *Call) Step {
	e := t.effectOf(r, c)
	send := &Send{Sent: r.Time, Request: r.RequestID}
	e.Sends = append(e.Sends, send)
	if g := t.grants[r.RequestID]; g != nil && r.RequestID != "" {
		t.uses[send] = &Use{Seq: r.Seq, Time: r.Time, Call: r.CallID, Method: r.Method, URL: r.URL, call: c}
		g.Uses = append(g.Uses, t.uses[send])
	}
	again := ""
	if len(e.Sends) > 1 {
		again = " again, under the same key"
	}
	s := Step{
		Label: "sent " + ident(r.Method), Request: r.RequestID, Key: r.IdempotencyKey,
		Text: sentence("Sent %s%s, with %s. Idempotency-Key %s.", request(r), again, t.credential(r.RequestID, c), cmp.Or(ident(r.IdempotencyKey), "is not recorded")),
	}
	if strings.Contains(r.Tool, "__") { // of an MCP server: no key goes there, and the agent's own token only where the policy file has ceilings
		with := "no token that was asked for"
		if r.RequestID != "" {
			with = t.credential(r.RequestID, c)
		}
		s.Text = sentence("Sent %s%s, with %s.", request(r), again, with)
	}
	return s
}

func (t *teller) returned(r journal.Record, c *Call) Step {
	e := t.effectOf(r, c)
	send := e.open()
	if send == nil { // nothing is open: it corrects what was said, or its sending is not recorded
		send = &Send{Request: r.RequestID}
		e.Sends = append(e.Sends, send)
	}
	send.Returned, send.Outcome, send.Status, send.Error = r.Time, r.Outcome, r.HTTPStatus, r.Error
	if u := t.uses[send]; u != nil {
		u.Status = r.HTTPStatus
	}
	e.fold()
	s := Step{Request: r.RequestID, Key: r.IdempotencyKey}
	s.Label, s.Tone, s.Text = send.words(after(send.Sent, r.Time))
	s.Unknown = s.Label == unknownOutcome
	return s
}

// open returns the last send if it has no outcome yet, else nil.
func (e *Effect) open() *Send {
	if n := len(e.Sends); n > 0 && e.Sends[n-1].Returned.IsZero() && e.Sends[n-1].Outcome == "" {
		return e.Sends[n-1]
	}
	return nil
}

// unknownOutcome labels a send whose outcome this version does not know.
const unknownOutcome = "unknown"

// words says what came of a send: in a word or two, how to take it, and in a sentence,
// with how long it took.
func (s *Send) words(took string) (label string, tone Tone, text string) {
	label = fmt.Sprint(s.Status)
	switch s.Outcome {
	case jit.OutcomeAnswered:
		return label, ofStatus(s.Status), fmt.Sprintf("The API answered %d%s.", s.Status, took)
	case jit.OutcomeRefused:
		return label, Warn, fmt.Sprintf("The API refused it with %d%s, so it had no effect.", s.Status, took)
	case jit.OutcomeNotSent:
		return "not sent", Warn, sentence("It never left, so it had no effect%s.", because(s.Error))
	case jit.OutcomeInDoubt:
		lost := "The API answered " + label
		if s.Status == 0 {
			label, lost = "answer lost", "The answer was lost"
		}
		return label, Bad, sentence("%s%s: in doubt. Nobody knows whether it took effect%s.", lost, took, because(s.Error))
	}
	return unknownOutcome, Bad, sentence("Its outcome is recorded as %s, which this version does not know: in doubt%s.", quote(string(s.Outcome)), because(s.Error))
}

// fold works out what is known of an effect from all its sends. A refusal or a
// request that never left undoes no doubt about an earlier one; an answer under the
// same key does.
func (e *Effect) fold() {
	e.Outcome, e.Status, e.Why = "", 0, ""
	for _, s := range e.Sends {
		outcome := s.Outcome
		_, _, why := s.words("")
		switch outcome {
		case jit.OutcomeAnswered:
		case jit.OutcomeRefused, jit.OutcomeNotSent:
			if e.Outcome != "" && e.Outcome != jit.OutcomeRefused && e.Outcome != jit.OutcomeNotSent {
				continue
			}
		case "":
			outcome, why = OutcomeUnderWay, "It was sent, and no answer is recorded yet."
		default:
			if outcome = jit.OutcomeInDoubt; s.Returned.IsZero() {
				why = s.Error // which is our own
			}
		}
		e.Outcome, e.Status, e.Why = outcome, s.Status, why
	}
}

// cutEffects puts what was sent and has no outcome in doubt, and says why.
func (t *teller) cutEffects(why string) {
	for _, e := range t.task.Effects {
		if s := e.open(); s != nil {
			s.Outcome, s.Error = jit.OutcomeInDoubt, why
		}
		e.fold()
	}
}
