package challenge

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/dpop"
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
// anything that the grammar does not allow: so are the characters that RFC 9110,
// section 5.5, calls dangerous, but for a line that is folded (RFC 9112, section
// 5.2), which is read with a space in place of the fold. No line at all is no error.
func WWWAuthenticate(h http.Header) ([]AuthChallenge, error) {
	all, err := readChallenges(fieldLines(h, fieldAuthenticate))
	if err != nil {
		return nil, fmt.Errorf("challenge: %s: %w", fieldAuthenticate, err)
	}
	return all, nil
}

func readChallenges(lines []string) ([]AuthChallenge, error) {
	if err := checkSize(lines); err != nil {
		return nil, err
	}
	var l challengeList
	for _, line := range lines {
		if strings.Contains(line, "\n") {
			line = fold.ReplaceAllString(line, " ")
		}
		if err := l.read(line); err != nil {
			return nil, err
		}
	}
	return l.all, nil
}

// fold is obs-fold (RFC 9112, section 5.2); a bare LF counts as a line's end.
var fold = regexp.MustCompile(`[ \t]*\r?\n[ \t]+`)

// A challengeList is what the lines so far hold.
type challengeList struct {
	all    []AuthChallenge
	closed bool // the last one is a scheme without a space behind it, which has no parameters
}

// read reads one line more.
func (l *challengeList) read(line string) error {
	s := scanner{rest: line}
	for {
		s.skipCommas()
		if s.rest == "" {
			return nil
		}
		name := s.token()
		if name == "" {
			return errors.New("a scheme or parameter is expected")
		}
		spaced := s.skipSpace()
		if s.skip('=') { // a further parameter of the last challenge
			if len(l.all) == 0 || l.closed {
				return errors.New("a parameter without a scheme")
			}
			if err := s.param(&l.all[len(l.all)-1], name); err != nil {
				return err
			}
			continue
		}
		if len(l.all) == MaxChallenges {
			return fmt.Errorf("more than %d challenges", MaxChallenges)
		}
		c := AuthChallenge{Scheme: name}
		if spaced && s.rest != "" && s.rest[0] != ',' {
			if c.Token68 = s.token68(); c.Token68 == "" {
				if err := s.firstParam(&c); err != nil {
					return err
				}
			}
		}
		l.all, l.closed = append(l.all, c), !spaced
		if err := s.endOfElement(); err != nil {
			return err
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

// wants has the parameters in which a challenge of an error code says what it demands.
var wants = map[string][]string{
	ErrorCode: {MemberDetails}, RemediationCode: {ParamRemediation}, TransactionCode: {ParamTransaction},
	ScopeCode: {paramScope}, LoginCode: {paramClasses, paramAge},
}

// authenticate is what WWW-Authenticate says about a demand.
type authenticate struct {
	demands     bool            // one has the error code [ErrorCode]
	foreign     string          // the first other error, if any
	description string          // beside [ErrorCode]
	carriers    []AuthChallenge // those whose parameters are to hold details
	stepUps     []AuthChallenge // those that want scopes or a login
	several     bool            // more is demanded than one of them says
	err         error           // the field cannot be read
	suspect     bool            // and it may well have held a demand
}

// readAuthenticate reads the field, and in it challenges that are signed if they count.
// One that cannot be read is suspect when it mentions an error code that demands
// something, or is too long to look.
func readAuthenticate(h http.Header, signed bool) authenticate {
	lines := fieldLines(h, fieldAuthenticate)
	challenges, err := readChallenges(lines)
	if err != nil {
		suspect, text := checkSize(lines) != nil, strings.Join(lines, "\n")
		for code := range wants {
			suspect = suspect || mentions(text, code) && (signed || code != TransactionCode)
		}
		return authenticate{err: err, suspect: suspect}
	}
	bearer, bound := ofScheme(challenges, Scheme), ofScheme(challenges, dpop.Scheme)
	says := func(c AuthChallenge) bool { return c.Params[MemberError]+c.Params[paramScope] != "" }
	if !slices.ContainsFunc(bearer, says) { // it is said to those whose tokens are bound to a key
		bearer, bound = append(bearer, bound...), nil
	}
	var a authenticate
	for _, c := range bearer {
		code := c.Params[MemberError]
		if _, inside := c.Params[MemberDetails]; inside && code == ErrorCode || code == RemediationCode || signed && code == TransactionCode {
			a.carriers = append(a.carriers, c)
		}
		switch {
		case code == ErrorCode && !a.demands:
			a.demands = true
			a.description = peer.Clean(c.Params[MemberDescription], MaxDescription)
		case code != ErrorCode && code != "" && a.foreign == "":
			a.foreign = code
		}
	}
	for _, c := range bearer {
		switch code := c.Params[MemberError]; {
		case code == ScopeCode, code == LoginCode,
			code == "" && a.foreign == "" && !a.demands && c.Params[paramScope] != "": // as servers of the MCP Go SDK answer
			a.stepUps = append(a.stepUps, c)
		}
	}
	switch {
	case len(a.carriers) > 0:
		a.several = len(a.carriers)+len(a.stepUps) > 1 || a.carriers[0].Params[MemberError] != ErrorCode && a.demands
	case !a.demands:
		a.several = len(a.stepUps) > 1
	}
	if a.demands || len(a.carriers)+len(a.stepUps) > 0 {
		a.several = a.several || slices.ContainsFunc(bound, func(c AuthChallenge) bool {
			return !slices.ContainsFunc(bearer, func(b AuthChallenge) bool { return repeats(c, b) })
		})
	}
	return a
}

func ofScheme(all []AuthChallenge, scheme string) (found []AuthChallenge) {
	for _, c := range all {
		if strings.EqualFold(c.Scheme, scheme) {
			found = append(found, c)
		}
	}
	return found
}

// repeats reports whether c, of another scheme than b, demands nothing or what b demands.
func repeats(c, b AuthChallenge) bool {
	code := c.Params[MemberError]
	for _, name := range wants[code] {
		if b.Params[MemberError] != code || b.Params[name] != c.Params[name] {
			return false
		}
	}
	return true
}

// mentions reports whether text names the error code, in any case. [RemediationCode]
// is the beginning of [ErrorCode].
func mentions(text, code string) bool {
	return strings.Contains(strings.ToLower(text), code)
}
