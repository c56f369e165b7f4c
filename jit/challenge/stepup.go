package challenge

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/peer"
)

// The errors that no authorization details mend.
const (
	// ScopeCode: the token's scopes do not suffice (RFC 6750, section 3.1).
	ScopeCode = "insufficient_scope"
	// LoginCode: the user's login is too weak or too long ago (RFC 9470, section 3).
	LoginCode = "insufficient_user_authentication"
)

// A StepUpError reports that an API wants scopes or another login of the user, and no
// authorization details. It is the peer's word, and nothing is to be asked for on it.
type StepUpError struct {
	// Code is [ScopeCode] or [LoginCode].
	Code string
	// Scopes are those that the API names, with [ScopeCode]; perhaps none.
	Scopes []string
	// Classes are the authentication context classes that would do, the preferred one
	// first, with [LoginCode]; perhaps none.
	Classes []string
	// MaxAge is how long ago the login may be, with [LoginCode]; negative when the API
	// does not say.
	MaxAge time.Duration
	// Description is as in [Challenge].
	Description string
}

// Error returns the code, and what the API names.
func (e *StepUpError) Error() string {
	text := e.Code
	if names := slices.Concat(e.Scopes, e.Classes); len(names) > 0 {
		text += ": " + strings.Join(names, " ")
	}
	if e.Code == LoginCode && e.MaxAge >= 0 {
		text += fmt.Sprintf(", at most %s ago", e.MaxAge)
	}
	return text
}

// stepUp returns the challenge that wants scopes or a login. A 403 that names scopes
// and no error wants them too: servers of the MCP Go SDK answer so.
func (a authenticate) stepUp(status int) *AuthChallenge {
	for i, c := range a.bearer {
		switch code := c.Params[MemberError]; {
		case code == ScopeCode, code == LoginCode,
			code == "" && a.foreign == "" && status == http.StatusForbidden && c.Params["scope"] != "":
			return &a.bearer[i]
		}
	}
	return nil
}

// readStepUp returns a [*StepUpError], or a [*MalformedError].
func readStepUp(c *AuthChallenge) error {
	e := &StepUpError{Code: LoginCode, MaxAge: -1, Description: peer.Clean(c.Params[MemberDescription], MaxDescription)}
	var err error
	if c.Params[MemberError] != LoginCode {
		e.Code = ScopeCode
		if e.Scopes, err = words(c.Params["scope"]); err != nil {
			return malformed(SourceHeader, "scope", err)
		}
		return e
	}
	if e.Classes, err = words(c.Params["acr_values"]); err != nil {
		return malformed(SourceHeader, "acr_values", err)
	}
	if age, said := c.Params["max_age"]; said {
		seconds, err := strconv.ParseUint(age, 10, 31)
		if err != nil {
			return malformed(SourceHeader, "max_age", errors.New("not a number of seconds"))
		}
		e.MaxAge = time.Duration(seconds) * time.Second
	}
	return e
}

// words splits a list of scopes or classes, which are of the characters of RFC 6749,
// section 3.3.
func words(text string) ([]string, error) {
	if len(text) > MaxDescription {
		return nil, fmt.Errorf("over the limit of %d bytes", MaxDescription)
	}
	if strings.IndexFunc(text, needsEscape) >= 0 {
		return nil, errors.New("a character that cannot stand in it")
	}
	return strings.Fields(text), nil
}
