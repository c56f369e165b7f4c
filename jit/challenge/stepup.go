package challenge

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/rar"
)

// The errors that no authorization details mend.
const (
	// ScopeCode: the token's scopes do not suffice (RFC 6750, section 3.1). Scopes that
	// are named with it are a [Challenge].
	ScopeCode = "insufficient_scope"
	// LoginCode: the user's login is too weak or too long ago (RFC 9470, section 3).
	LoginCode = "insufficient_user_authentication"

	paramScope   = "scope"
	paramClasses = "acr_values"
	paramAge     = "max_age"
)

// A StepUpError reports that an API wants what cannot be asked for: another login of the
// user, or scopes that it does not name.
type StepUpError struct {
	// Code is [ScopeCode] or [LoginCode].
	Code string
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
	if len(e.Classes) > 0 {
		text += ": " + strings.Join(e.Classes, " ")
	}
	if e.Code == LoginCode && e.MaxAge >= 0 {
		text += fmt.Sprintf(", at most %s ago", e.MaxAge)
	}
	return text
}

// readStepUp returns the scopes that are demanded, or a [*StepUpError], or a
// [*MalformedError].
func readStepUp(c AuthChallenge) (*Challenge, error) {
	e := &StepUpError{Code: c.Params[MemberError], MaxAge: -1, Description: peer.Clean(c.Params[MemberDescription], MaxDescription)}
	if e.Code != LoginCode {
		scopes, err := words(c.Params[paramScope], MaxHeader)
		if err == nil && scopes == nil {
			return nil, e
		}
		d := rar.Scopes(scopes...)
		if _, invalid := d.Check(); err == nil {
			err = invalid
		}
		if err != nil {
			return nil, malformed(SourceHeader, paramScope, err)
		}
		return &Challenge{Details: []rar.Detail{d}, Error: e.Code, Description: e.Description, Source: SourceParameter}, nil
	}
	var err error
	if e.Classes, err = words(c.Params[paramClasses], MaxDescription); err != nil {
		return nil, malformed(SourceHeader, paramClasses, err)
	}
	if age, said := c.Params[paramAge]; said {
		seconds, err := strconv.ParseUint(age, 10, 31)
		if err != nil {
			return nil, malformed(SourceHeader, paramAge, errors.New("not a number of seconds"))
		}
		e.MaxAge = time.Duration(seconds) * time.Second
	}
	return nil, e
}

// words splits a list of scopes or classes, which are of the characters of RFC 6749,
// section 3.3; nil for none.
func words(text string, most int) ([]string, error) {
	if len(text) > most {
		return nil, fmt.Errorf("over the limit of %d bytes", most)
	}
	if strings.IndexFunc(text, needsEscape) >= 0 {
		return nil, errors.New("a character that cannot stand in it")
	}
	if all := strings.Fields(text); len(all) > 0 {
		return all, nil
	}
	return nil, nil
}
