package explain

import (
	"fmt"

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
	return Step{
		Label: "sent " + ident(r.Method), Request: r.RequestID, Key: r.IdempotencyKey,
		Text: sentence("Sent %s%s, with %s. Idempotency-Key %s.", request(r), again, t.credential(r.RequestID, c), orWord(ident(r.IdempotencyKey), "is not recorded")),
	}
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
	t.fold(e)
	s := Step{Request: r.RequestID, Key: r.IdempotencyKey}
	took := after(send.Sent, r.Time)
	switch r.Outcome {
	case jit.OutcomeAnswered:
		s.Label, s.Tone = fmt.Sprint(r.HTTPStatus), ofStatus(r.HTTPStatus)
		s.Text = sentence("The API answered %d%s.", r.HTTPStatus, took)
	case jit.OutcomeRefused:
		s.Label, s.Tone = fmt.Sprint(r.HTTPStatus), Warn
		s.Text = sentence("The API refused it with %d%s, so it had no effect.", r.HTTPStatus, took)
	case jit.OutcomeNotSent:
		s.Label, s.Tone = "not sent", Warn
		s.Text = sentence("It never left, so it had no effect%s.", because(r.Error))
	case jit.OutcomeInDoubt:
		s.Label, s.Tone = "answer lost", Bad
		if r.HTTPStatus != 0 {
			s.Label = fmt.Sprint(r.HTTPStatus)
		}
		s.Text = sentence("%s%s: in doubt. Nobody knows whether it took effect%s.", send.lost(), took, because(r.Error))
	default:
		s.Label, s.Tone, s.Unknown = "unknown", Bad, true
		s.Text = sentence("Its outcome is recorded as %s, which this version does not know: in doubt%s.", quote(string(r.Outcome)), because(r.Error))
	}
	return s
}

// open returns the last send if it has no outcome yet, else nil.
func (e *Effect) open() *Send {
	if n := len(e.Sends); n > 0 && e.Sends[n-1].Returned.IsZero() && e.Sends[n-1].Outcome == "" {
		return e.Sends[n-1]
	}
	return nil
}

// fold works out what is known of an effect from all its sends. A refusal or a
// request that never left undoes no doubt about an earlier one; an answer under the
// same key does.
func (t *teller) fold(e *Effect) {
	e.Outcome, e.Status = "", 0
	why := ""
	for _, s := range e.Sends {
		switch s.Outcome {
		case jit.OutcomeAnswered:
			e.Outcome, e.Status, why = s.Outcome, s.Status, fmt.Sprintf("The API answered %d.", s.Status)
		case jit.OutcomeRefused, jit.OutcomeNotSent:
			if e.Outcome == jit.OutcomeInDoubt || e.Outcome == jit.OutcomeAnswered || e.Outcome == OutcomeUnderWay {
				continue
			}
			e.Outcome, e.Status = s.Outcome, s.Status
			if why = "It never left, so it had no effect."; s.Outcome == jit.OutcomeRefused {
				why = fmt.Sprintf("The API refused it with %d, so it had no effect.", s.Status)
			}
		case "":
			e.Outcome, e.Status, why = OutcomeUnderWay, 0, "It was sent, and no answer is recorded yet."
		default:
			e.Outcome, e.Status, why = jit.OutcomeInDoubt, s.Status, s.doubt()
		}
	}
	e.Why = why
}

// doubt words why nobody knows what a request did.
func (s *Send) doubt() string {
	switch {
	case s.Returned.IsZero():
		return s.Error
	case s.Outcome != jit.OutcomeInDoubt:
		return fmt.Sprintf("Its outcome is recorded as %s, which this version does not know: in doubt.", quote(string(s.Outcome)))
	}
	return sentence("%s: in doubt%s.", s.lost(), because(s.Error))
}

// lost words what there is of an answer that leaves it open.
func (s *Send) lost() string {
	if s.Status != 0 {
		return fmt.Sprintf("The API answered %d", s.Status)
	}
	return "The answer was lost"
}

// cutEffects puts what was sent and has no outcome in doubt, and says why.
func (t *teller) cutEffects(why string) {
	for _, e := range t.task.Effects {
		if s := e.open(); s != nil {
			s.Outcome, s.Error = jit.OutcomeInDoubt, why
		}
		t.fold(e)
	}
}
