package explain

import (
	"cmp"
	"fmt"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// unanswered is the status of a request of which no answer is recorded.
const unanswered = "unanswered"

func (t *teller) demand(r journal.Record, c *Call) Step {
	q := &Request{
		Call: r.CallID, Tool: r.Tool, Detail: detailOf(r.Detail), Justification: r.Justification,
		Asked: r.Time, Status: unanswered, call: c,
	}
	t.task.Asked = append(t.task.Asked, q)
	return Step{Label: "asked", Text: fmt.Sprintf("Asked the authorization server for %s%s.", q.Detail.text(), quoted(", because ", r.Justification, ""))}
}

// answered returns the request that a decision is about. The announcement of a
// request has no id yet: the first answer is matched by what was asked for.
func (t *teller) answered(r journal.Record, c *Call) *Request {
	if q := t.asked[r.RequestID]; q != nil && r.RequestID != "" {
		return q
	}
	d := detailOf(r.Detail)
	var found *Request
	for _, q := range t.task.Asked {
		if q.Status == unanswered && q.Detail.Text == d.Text && (q.call == c || found == nil) {
			found = q
			if q.call == c {
				break
			}
		}
	}
	if found == nil {
		found = &Request{Call: r.CallID, Tool: r.Tool, Detail: d, call: c}
		t.task.Asked = append(t.task.Asked, found)
	}
	if found.ID = r.RequestID; r.RequestID != "" {
		t.asked[r.RequestID] = found
	}
	return found
}

func (t *teller) decision(r journal.Record, c *Call) Step {
	q := t.answered(r, c)
	q.Status = r.Status.String()
	q.Risk = cmp.Or(r.Risk, q.Risk)
	q.DecidedBy, q.Message = r.DecidedBy, r.Message
	s := Step{Label: q.Status, Request: r.RequestID}
	about := ""
	if q.ID != "" {
		about = "request " + ident(q.ID)
	}
	if q.Risk != "" {
		about += ", risk " + ident(q.Risk)
	}
	about = cmp.Or(about, "the request")
	said := quoted(" Message: ", r.Message, ".")
	if r.Status == jit.StatusPending {
		s.Tone, s.Label = Warn, "waits"
		if q.Pending.IsZero() {
			q.Pending = r.Time
		}
		q.DecideBy = r.ExpiresAt
		s.Text = sentence("A person must decide (%s)%s.%s", about, t.until("; they have until ", r.ExpiresAt), said)
		return s
	}
	q.Decided = r.Time
	who := t.decider(q)
	switch r.Status {
	case jit.StatusApproved:
		s.Tone, s.Text = Good, sentence("Approved %s (%s).%s", who, about, said)
	case jit.StatusDenied:
		s.Tone, s.Text = Bad, sentence("Denied %s (%s).%s", who, about, said)
	case jit.StatusExpired:
		if q.DecidedBy != "" {
			s.Tone, s.Text = Bad, sentence("Approved by %s, and not used in time (%s).%s", ident(q.DecidedBy), about, said)
			break
		}
		q.By, s.Tone = ByNobody, Bad
		s.Text = sentence("Nobody decided in time%s (%s).%s", after(q.since(), q.Decided), about, said)
	default:
		q.By, s.Tone = "", Bad
		s.Text = sentence("The answer was not one that can be relied on, so it counts as a no (%s).%s", about, said)
	}
	return s
}

// decider notes and words who decided.
func (t *teller) decider(q *Request) string {
	switch {
	case q.DecidedBy != "":
		q.By = ByPerson
		return "by " + ident(q.DecidedBy) + after(q.since(), q.Decided)
	case !q.Pending.IsZero():
		q.By = ByPerson
		return "by a person whom the server does not name," + after(q.since(), q.Decided)
	}
	q.By = ByPolicy
	return "at once, by the authorization server's own policy"
}

func (t *teller) grant(r journal.Record, c *Call) Step {
	g := &Grant{
		Request: r.RequestID, Call: r.CallID, Tool: r.Tool, Detail: detailOf(r.Detail), TokenHash: r.TokenHash,
		Issued: r.Time, Expires: r.ExpiresAt, call: c,
	}
	t.task.Grants = append(t.task.Grants, g)
	t.grants[r.RequestID] = g
	text := fmt.Sprintf("Got a token for %s", g.Detail.text())
	if q := t.asked[r.RequestID]; q != nil && r.RequestID != "" {
		q.Redeemed = true
		if q.Detail.Text != g.Detail.Text {
			text += ", which is narrower than what was asked for"
		}
	}
	text += quoted(", bound by ", r.Message, ": the server has nothing finer")
	if g.Expires.IsZero() {
		return Step{Label: "token", Tone: Good, Request: r.RequestID, Text: text + ". When it expires is not recorded."}
	}
	text += fmt.Sprintf(". It is valid for %s, until %s at the latest.", span(g.Expires.Sub(g.Issued)), t.clock(g.Expires))
	return Step{Label: "token", Tone: Good, Request: r.RequestID, Text: text}
}

func (t *teller) use(r journal.Record, c *Call) Step {
	s := Step{Label: fmt.Sprintf("%s %d", ident(r.Method), r.HTTPStatus), Tone: ofStatus(r.HTTPStatus), Request: r.RequestID}
	s.Text = sentence("Sent %s with %s; the API answered %d.", request(r), t.credential(r.RequestID, c), r.HTTPStatus)
	if g := t.grants[r.RequestID]; g != nil {
		g.Uses = append(g.Uses, &Use{Seq: r.Seq, Time: r.Time, Call: r.CallID, Method: r.Method, URL: r.URL, Status: r.HTTPStatus, call: c})
	} else {
		t.notef("Entry %d uses a token of request %s, and no entry says that it was issued.", r.Seq, ident(r.RequestID))
	}
	return s
}

// credential words the token that a request carried.
func (t *teller) credential(requestID string, c *Call) string {
	if requestID == "" {
		return "the agent's own token"
	}
	g := t.grants[requestID]
	switch {
	case g == nil:
		return "a token of request " + ident(requestID)
	case g.call != c && g.call != nil:
		return fmt.Sprintf("the token of request %s, which call %d had obtained", ident(requestID), g.call.Number)
	}
	return "the token of request " + ident(requestID)
}

// ofStatus is how an HTTP status is to be taken.
func ofStatus(status int) Tone {
	switch {
	case status >= 200 && status < 400:
		return Good
	case status >= 400:
		return Warn
	}
	return ""
}
