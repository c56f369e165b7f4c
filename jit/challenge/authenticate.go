package challenge

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/jitagent/jitagent/internal/peer"
)

// Limits of what [WWWAuthenticate] reads, beside [MaxHeader].
const (
	MaxChallenges = 32 // over all lines
	MaxParams     = 32 // of one challenge
)

// fieldAuthenticate is the field that [WWWAuthenticate] reads.
const fieldAuthenticate = "WWW-Authenticate"

// An AuthChallenge is one challenge of WWW-Authenticate (RFC 9110, section 11.3).
// It has a Token68 or Params or neither, never both.
type AuthChallenge struct {
	// Scheme is the name of the scheme as it was sent. Its case means nothing.
	Scheme string
	// Token68 is the data of a scheme such as Negotiate, "" when there is none.
	Token68 string
	// Params holds the parameters by their names in lower case, nil when there are
	// none. Values are unquoted; they may hold bytes that are not UTF-8.
	Params map[string]string
}

// WWWAuthenticate reads all challenges of all WWW-Authenticate lines, in order
// (RFC 9110, section 11.6.1). Lines are read as the one list that they are: a
// line may go on with the parameters of the challenge before it. A parameter that
// comes twice in one challenge, whatever its case, is an error, and so is
// anything that the grammar does not allow. No line at all is no error.
func WWWAuthenticate(h http.Header) ([]AuthChallenge, error) {
	all, err := readChallenges(fieldLines(h, fieldAuthenticate))
	if err != nil {
		return nil, fmt.Errorf("challenge: %s: %w", fieldAuthenticate, err)
	}
	return all, nil
}

func readChallenges(lines []string) (all []AuthChallenge, err error) {
	if err := checkSize(lines); err != nil {
		return nil, err
	}
	for _, line := range lines {
		if all, err = appendChallenges(all, line); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// appendChallenges reads one line and appends to what earlier lines held.
func appendChallenges(all []AuthChallenge, line string) ([]AuthChallenge, error) {
	s := scanner{rest: line}
	for {
		s.skipCommas()
		if s.rest == "" {
			return all, nil
		}
		name := s.token()
		if name == "" {
			return nil, errors.New("a scheme or parameter is expected")
		}
		spaced := s.skipSpace()
		if s.skip('=') { // a further parameter of the last challenge
			if len(all) == 0 {
				return nil, errors.New("a parameter before any scheme")
			}
			if err := s.param(&all[len(all)-1], name); err != nil {
				return nil, err
			}
			continue
		}
		if len(all) == MaxChallenges {
			return nil, fmt.Errorf("more than %d challenges", MaxChallenges)
		}
		c := AuthChallenge{Scheme: name}
		if spaced && s.rest != "" && s.rest[0] != ',' {
			if c.Token68 = s.token68(); c.Token68 == "" {
				if err := s.firstParam(&c); err != nil {
					return nil, err
				}
			}
		}
		all = append(all, c)
		if err := s.endOfElement(); err != nil {
			return nil, err
		}
	}
}

// firstParam reads the parameter that follows a scheme.
func (s *scanner) firstParam(c *AuthChallenge) error {
	name := s.token()
	if name == "" {
		return errors.New("a parameter is expected")
	}
	s.skipSpace()
	if !s.skip('=') {
		return errors.New("a parameter has no value")
	}
	return s.param(c, name)
}

// param reads the value of the parameter name, from behind the equals sign.
func (s *scanner) param(c *AuthChallenge, name string) error {
	if c.Token68 != "" {
		return errors.New("a parameter beside token68 data")
	}
	s.skipSpace()
	value, ok := s.value()
	if !ok {
		return errors.New("a parameter's value is neither a token nor a quoted string")
	}
	name = strings.ToLower(name) // a token is ASCII
	if _, twice := c.Params[name]; twice {
		return errors.New("a parameter comes twice")
	}
	if len(c.Params) == MaxParams {
		return fmt.Errorf("more than %d parameters", MaxParams)
	}
	if c.Params == nil {
		c.Params = make(map[string]string)
	}
	c.Params[name] = value
	return s.endOfElement()
}

// authenticate is what WWW-Authenticate says about a demand.
type authenticate struct {
	demands     bool   // a Bearer challenge has our error code
	foreign     string // the first other error of a Bearer challenge, if any
	description string // beside our error code
	err         error  // the field cannot be read
	suspect     bool   // and it may well have held a demand
}

// readAuthenticate reads the field. One that cannot be read is suspect when it
// mentions the error code, or is too long to look.
func readAuthenticate(h http.Header) authenticate {
	lines := fieldLines(h, fieldAuthenticate)
	challenges, err := readChallenges(lines)
	if err != nil {
		tooLong := checkSize(lines) != nil
		return authenticate{err: err, suspect: tooLong || mentions(strings.Join(lines, "\n"))}
	}
	var a authenticate
	for _, c := range challenges {
		if !strings.EqualFold(c.Scheme, Scheme) {
			continue
		}
		switch code := c.Params[MemberError]; {
		case code == ErrorCode && !a.demands:
			a.demands = true
			a.description = peer.Clean(c.Params[MemberDescription], MaxDescription)
		case code != ErrorCode && code != "" && a.foreign == "":
			a.foreign = code
		}
	}
	return a
}

// mentions reports whether text names the error code, in any case.
func mentions(text string) bool {
	return strings.Contains(strings.ToLower(text), ErrorCode)
}
