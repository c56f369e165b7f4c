// Package challenge decodes the refusal of a protected API that says which
// authority the call lacks, and writes it for API owners.
//
// APIs word their demand in several dialects, in a header of its own, in
// WWW-Authenticate or in the body. [Parse] reads them into one [Challenge], and
// [Transactions] those that an API signs; docs/challenges.md has a row for each. What an API wants that cannot be asked for,
// such as another login, is a [*StepUpError].
//
// Invariants:
//
//   - A challenge is what a peer demands, not what it may have. Nothing here
//     decides whether to ask for it.
//   - Reading fails closed. A demand that cannot be read in full, and in one way
//     only, is a [*MalformedError], never a smaller or a guessed demand. One
//     carrier decides: the header where there is one, else the body. What two
//     carriers say is never added up.
//   - Everything is bounded before it is decoded.
//
// The package does no I/O of its own and follows no link that a refusal names.
package challenge

import (
	"errors"
	"net/http"

	"github.com/jitagent/jitagent/rar"
)

// The wire names of the dialect that LumoAuth speaks.
const (
	// Header is the header field that carries the demand: base64 of the JSON of
	// one authorization details object, or of an array of them.
	Header = "Insufficient-Authorization-Details"
	// ErrorCode is the value of error, in WWW-Authenticate and in the body.
	ErrorCode = "insufficient_authorization_details"
	// Scheme is the authentication scheme of the challenge in WWW-Authenticate.
	Scheme = "Bearer"
	// The members of the JSON body, and parameters of WWW-Authenticate.
	MemberError       = "error"
	MemberDescription = "error_description"
	MemberHint        = "authorization_details_hint" // in the body only
)

// Limits of what [Parse] reads, in bytes. The number of details is bounded by
// [rar.MaxDetails].
const (
	MaxHeader      = 16 << 10 // of all lines of one header field together
	MaxBody        = 64 << 10 // of a body that is looked at
	MaxDescription = 512      // of a description; longer ones are cut
	MaxReference   = 512      // of a reference
)

// ErrNone reports a response that demands nothing: not a 401 or 403 at all, or an
// ordinary refusal, or one in a dialect that is not known here.
var ErrNone = errors.New("challenge: the response demands no authorization details")

// Source says which carrier a demand was read from.
type Source string

// The carriers of a demand.
const (
	SourceHeader    Source = "header"    // [Header]
	SourceParameter Source = "parameter" // of WWW-Authenticate
	SourceBody      Source = "body"      // [MemberHint] or [MemberDetails]
)

// A Challenge is a demand for authority.
type Challenge struct {
	// Details is what the API says is missing: at least one, at most
	// [rar.MaxDetails], no two equal, each valid. It comes from the peer and is
	// not to be trusted. Scopes are one detail, see [rar.Scopes].
	Details []rar.Detail
	// Error is the error code: [ErrorCode], [RemediationCode], [ScopeCode] or [TransactionCode]; "" where
	// scopes are named without one. A 401 without one answers a request that had no
	// token (RFC 6750, section 3): to whoever sent one it says that the token is void.
	Error string
	// Reference names Details at this API, "" when the API gives none. It is opaque.
	// An API that refuses with it again, after a token for Details was fetched, will
	// do so for ever.
	Reference string
	// Description is what the API says to people, "" when it says nothing: at
	// most [MaxDescription] bytes, on one line, without control or invisible
	// characters. It is the peer's text. Nothing may be decided by it.
	Description string
	// Source is the carrier of Details.
	Source Source
}

// A MalformedError reports a demand that is there and cannot be read. Treat it as
// a refusal. Its text quotes neither headers nor bodies.
type MalformedError struct {
	// Source is where the fault is: [SourceHeader] for any header field and its
	// parameters, [SourceBody] when a body is needed and is missing or cannot be read.
	Source Source
	// Reason says what is wrong, for people.
	Reason string

	cause error
}

// Error returns the source and the reason.
func (e *MalformedError) Error() string {
	msg := "challenge: malformed " + string(e.Source) + ": " + e.Reason
	if e.cause != nil {
		msg += ": " + e.cause.Error()
	}
	return msg
}

// Unwrap returns the decoder's error, or nil.
func (e *MalformedError) Unwrap() error { return e.cause }

func malformed(source Source, reason string, cause error) error {
	return &MalformedError{Source: source, Reason: reason, cause: cause}
}

// Parse reads the demand of a response. Body is what the caller read of the
// response's body, bounded by the caller and decoded of any transfer coding; it
// may be nil. Parse keeps neither header nor body.
//
// The header [Header] counts when there is one, and the body's hint then does
// not: neither when the two differ nor when the header cannot be read. Every
// client of the dialect reads the header, while bodies are rewritten on their way
// (error pages, templates, translation). And where one carrier decides, two can
// never make up a demand that neither of them states.
//
// Without that header, a parameter of WWW-Authenticate counts, [ParamRemediation]
// or [MemberDetails]. Where there is none either, `WWW-Authenticate: Bearer
// error="insufficient_authorization_details"` makes the hint or the details in the
// body required, and a JSON body whose error is the same code is a demand by itself.
// A WWW-Authenticate that cannot be read takes nothing from the header [Header],
// which says all by itself, but it spoils the body. One whose only error is
// another, such as invalid_token, contradicts either.
//
// Where no details are announced there, the wish for another login counts, and so do
// scopes: with the error insufficient_scope, or without one where the body demands no
// details either. Two demands in WWW-Authenticate are malformed, unless a DPoP challenge
// repeats what a Bearer challenge says.
//
// The error is [ErrNone] when nothing is demanded, a [*StepUpError] when something
// is that cannot be asked for, else a [*MalformedError]. A caller that would rather
// not read the body first passes nil: a challenge that has an Error does not change with
// the body, but for its description, and of the errors only [ErrNone] and a fault in
// [SourceBody] do.
func Parse(status int, header http.Header, body []byte) (*Challenge, error) {
	return (*Transactions)(nil).Parse(status, header, body, "")
}
