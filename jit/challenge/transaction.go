package challenge

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/oauth"
)

// The wire names of draft-rosomakho-oauth-txn-challenge, section 5.
const (
	// TransactionCode is the value of error in WWW-Authenticate.
	TransactionCode = "transaction_authorization_required"
	// ParamTransaction is the parameter beside it: a JWT that the API signed.
	ParamTransaction = "transaction_challenge"
	// HeaderTransaction says, with the value ?1, that the client reads such challenges.
	HeaderTransaction = "Accept-Txn-Challenge"

	typeTransaction = "txn-authz-challenge+jwt"
)

// leeway is how far the clocks of an API and this machine may differ.
const leeway = 10 * time.Second

// Transactions says whose signed challenges are read, which demand authority for one
// operation. The signature shows that the demand is the API's own, whoever passed it on;
// it is as little to be trusted as another. An API signs none unless the request has
// [HeaderTransaction].
type Transactions struct {
	Keys     oauth.Keys // that the API signs with, see [oauth.ParseKeys]
	Issuer   string     // the API, as it names itself (iss); required
	Audience string     // the authorization server that is asked (aud); required
	ClientID string     // the agent, at that server (client_id); "" refuses a challenge that names one
}

// Parse is the function [Parse], and reads signed challenges as well; on nil it does not.
// Thumbprint is that of the key of which the request had a proof (RFC 7638), "" for none:
// a challenge that is bound to another key is malformed, as is one that is expired,
// for others, or not signed by a key of Keys.
//
// [Challenge.Reference] is the transaction, and [Challenge.Description] the signed reason.
func (t *Transactions) Parse(status int, header http.Header, body []byte, thumbprint string) (*Challenge, error) {
	if status != http.StatusUnauthorized && status != http.StatusForbidden {
		return nil, ErrNone
	}
	auth := readAuthenticate(header, t != nil)
	if lines := fieldLines(header, Header); lines != nil {
		return fromHeader(lines, auth, header, body)
	}
	switch {
	case auth.several:
		return nil, malformed(SourceHeader, "several demands in "+fieldAuthenticate, nil)
	case len(auth.carriers) > 0 && auth.carriers[0].Params[MemberError] == TransactionCode:
		return t.read(auth.carriers[0], thumbprint)
	case len(auth.carriers) > 0:
		return fromParameter(auth.carriers[0])
	case len(auth.stepUps) > 0 && !auth.demands && auth.foreign != "":
		return readStepUp(auth.stepUps[0])
	}
	c, err := fromBody(auth, header, body)
	if errors.Is(err, ErrNone) && len(auth.stepUps) > 0 {
		return readStepUp(auth.stepUps[0]) // without an error of its own
	}
	return c, err
}

// read reads a signed challenge.
func (t *Transactions) read(carrier AuthChallenge, thumbprint string) (*Challenge, error) {
	c, o, err := t.verify(carrier.Params[ParamTransaction], thumbprint)
	if err != nil {
		return nil, malformed(SourceHeader, ParamTransaction, err)
	}
	details, err := unique(c.Details)
	if err != nil {
		return nil, malformed(SourceHeader, ParamTransaction, err)
	}
	return &Challenge{
		Details: details, Error: TransactionCode, Reference: o.Text("txn"),
		Description: peer.Clean(o.Text("reason"), MaxDescription), Source: SourceParameter,
	}, nil
}

// verify returns the claims of a challenge that is good here and now.
func (t *Transactions) verify(text, thumbprint string) (c oauth.Claims, o oauth.Object, err error) {
	jwt, err := oauth.ParseSigned(text)
	if err != nil {
		return c, nil, err
	}
	if typ := strings.ToLower(jwt.Type); strings.TrimPrefix(typ, "application/") != typeTransaction {
		return c, nil, errors.New("typ is not " + typeTransaction)
	}
	payload, ok := t.Keys.Verify(jwt)
	if !ok {
		return c, nil, errors.New("no known key of the API signed it")
	}
	if o, err = oauth.Decode(payload); err == nil {
		c, err = oauth.ParseClaims(payload)
	}
	now := time.Now()
	switch {
	case err != nil:
	case t.Issuer == "" || c.Issuer != t.Issuer:
		err = errors.New("it is another API's")
	case t.Audience == "" || !slices.Contains(c.Audience, t.Audience):
		err = errors.New("it is for another authorization server")
	case c.ClientID != "" && c.ClientID != t.ClientID:
		err = errors.New("it is for another client")
	case o.Has("cnf") && (thumbprint == "" || o.Object("cnf").Text("jkt") != thumbprint):
		err = errors.New("it is bound to a key that the request did not prove")
	case c.ID == "" || o.Text("txn") == "" || len(o.Text("txn")) > MaxReference:
		err = errors.New("jti or txn is missing, or too long")
	case c.IssuedAt.IsZero() || c.IssuedAt.After(now.Add(leeway)) || c.NotBefore.After(now.Add(leeway)):
		err = errors.New("it is not valid yet")
	case !now.Before(c.ExpiresAt.Add(leeway)):
		err = errors.New("it has expired")
	case len(c.Details) == 0:
		err = errors.New("no " + MemberDetails)
	}
	return c, o, err
}
