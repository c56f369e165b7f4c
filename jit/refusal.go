package jit

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

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
	if errors.Is(err, challenge.ErrNone) || bad != nil && bad.Source == challenge.SourceBody {
		body, fault := peek(resp, challenge.MaxBody, maxRefusal)
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

// peek reads the beginning of a body, at most limit bytes and one, and puts it back. It
// does not wait longer than within for it: what is not there by then is lost.
func peek(resp *http.Response, limit int64, within time.Duration) ([]byte, error) {
	if resp.Body == nil {
		return nil, nil
	}
	tooLong := time.AfterFunc(within, func() { _ = resp.Body.Close() })
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	tooLong.Stop()
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = broken{err} // the caller must not take a part for the whole
	}
	resp.Body = rejoined{io.MultiReader(bytes.NewReader(body), rest), resp.Body}
	return body, err
}

// rejoined is a body whose start was read and put back.
type rejoined struct {
	io.Reader
	io.Closer
}

// broken is the rest of a body that could not be read.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// maxDrain bounds how long a connection is worth waiting for.
const maxDrain = 250 * time.Millisecond

// drain frees the connection of a response that nobody will read, unless that
// means reading more, or longer, than a new connection costs.
func drain(resp *http.Response) {
	enough := time.AfterFunc(maxDrain, func() { _ = resp.Body.Close() })
	_, _ = io.CopyN(io.Discard, resp.Body, challenge.MaxBody)
	enough.Stop()
	_ = resp.Body.Close()
}
