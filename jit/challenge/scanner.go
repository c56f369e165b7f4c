package challenge

import (
	"errors"
	"strings"
)

var errNoComma = errors.New("a comma is expected")

// A scanner reads the tokens of RFC 9110, section 5.6, from the front of rest.
type scanner struct{ rest string }

// take cuts off the longest prefix whose bytes all satisfy is.
func (s *scanner) take(is func(byte) bool) string {
	n := 0
	for n < len(s.rest) && is(s.rest[n]) {
		n++
	}
	taken := s.rest[:n]
	s.rest = s.rest[n:]
	return taken
}

// skip takes one c, if it is next.
func (s *scanner) skip(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// skipSpace takes white space and reports whether there was any.
func (s *scanner) skipSpace() bool { return s.take(isSpace) != "" }

// skipCommas takes white space and commas: empty list elements are allowed.
func (s *scanner) skipCommas() {
	s.take(func(c byte) bool { return c == ',' || isSpace(c) })
}

func (s *scanner) token() string { return s.take(isTokenChar) }

// token68 takes token68 data if the rest of the list element is just that. It
// takes nothing otherwise: `realm=x` begins like token68 data.
func (s *scanner) token68() string {
	ahead := *s
	if ahead.take(isToken68Char) == "" {
		return ""
	}
	ahead.take(func(c byte) bool { return c == '=' })
	data := s.rest[:len(s.rest)-len(ahead.rest)]
	ahead.skipSpace()
	if ahead.rest != "" && ahead.rest[0] != ',' {
		return ""
	}
	*s = ahead
	return data
}

// value takes a token or a quoted string, and returns what it stands for.
func (s *scanner) value() (string, bool) {
	if !s.skip('"') {
		v := s.token()
		return v, v != ""
	}
	b := make([]byte, 0, 64)
	for s.rest != "" {
		c := s.rest[0]
		s.rest = s.rest[1:]
		switch {
		case c == '"':
			return string(b), true
		case c == '\\':
			if s.rest == "" || !isQuotable(s.rest[0]) {
				return "", false
			}
			c = s.rest[0]
			s.rest = s.rest[1:]
		case !isQuotable(c):
			return "", false
		}
		b = append(b, c)
	}
	return "", false // not closed
}

// endOfElement wants a comma or the end.
func (s *scanner) endOfElement() error {
	s.skipSpace()
	if s.rest != "" && s.rest[0] != ',' {
		return errNoComma
	}
	return nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// isTokenChar: tchar of RFC 9110, section 5.6.2.
func isTokenChar(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// isToken68Char: RFC 9110, section 11.2, without the equals signs at the end.
func isToken68Char(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("-._~+/", c) >= 0
}

// isQuotable: what a quoted string may hold, escaped or not (RFC 9110, section
// 5.6.4): all but controls, of which only the tab is allowed.
func isQuotable(c byte) bool { return c == '\t' || c >= ' ' && c != 0x7f }
