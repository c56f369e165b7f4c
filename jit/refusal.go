package jit

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/rar"
)

func refused(resp *http.Response) bool {
	return resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden
}

// readChallenge decodes the demand in a refusal. When there is none it returns
// [challenge.ErrNone] and leaves the response as it was, body included. The body
// is read only when the headers do not say all.
func (a *attempt) readChallenge(resp *http.Response) (*challenge.Challenge, error) {
	thumbprint := ""
	if a.sends.DPoP != nil {
		thumbprint = a.sends.DPoP.Thumbprint()
	}
	ch, err := a.t.Transactions.Parse(resp.StatusCode, resp.Header, nil, thumbprint)
	bad, _ := errors.AsType[*challenge.MalformedError](err)
	if errors.Is(err, challenge.ErrNone) || bad != nil && bad.Source == challenge.SourceBody || err == nil && ch.Error == "" {
		body, fault := peer.Peek(resp, challenge.MaxBody, maxRefusal)
		if fault != nil || len(body) > challenge.MaxBody {
			body = nil // no demand is that long
		}
		ch, err = a.t.Transactions.Parse(resp.StatusCode, resp.Header, body, thumbprint)
	}
	switch {
	case errors.Is(err, challenge.ErrNone):
		return nil, err
	case err == nil && ch.Error == "" && resp.StatusCode == http.StatusUnauthorized && !a.sends.Token.IsZero():
		return nil, challenge.ErrNone // it is about the token that was sent
	case err != nil && a.s.task.Scrub(err.Error()) != err.Error(),
		err == nil && a.echoes(ch.Details):
		// The API holds the token anyway; our events and errors must not.
		return nil, errors.New("it repeats a token")
	}
	return ch, err
}

// refusalKind returns the sentinel for what [challenge.Parse] could not turn into a demand;
// nil where it could, and the authorization server failed.
func refusalKind(err error) error {
	if _, failed := errors.AsType[*AuthorityError](err); failed {
		return nil
	}
	step, ok := errors.AsType[*challenge.StepUpError](err)
	switch {
	case !ok:
		return ErrUnreadable
	case step.Code == challenge.LoginCode:
		return ErrLogin
	}
	return ErrScope
}

// echoes reports whether details hold a token of the task.
func (a *attempt) echoes(details []rar.Detail) bool {
	echo := func(s string) bool { return a.s.task.Scrub(s) != s }
	for _, d := range details {
		if echo(d.Type) || echo(d.Identifier) {
			return true
		}
		for _, list := range [][]string{d.Locations, d.Actions, d.DataTypes, d.Privileges} {
			if slices.ContainsFunc(list, echo) {
				return true
			}
		}
		for name, value := range d.Extra {
			if echo(name) || echo(string(value)) {
				return true
			}
		}
	}
	return false
}

// maxRefusal bounds how long the body of a refusal is waited for. What is not there by
// then demands nothing.
const maxRefusal = 5 * time.Second
