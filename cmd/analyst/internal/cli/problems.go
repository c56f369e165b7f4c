package cli

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// Problems are all that is wrong with what was typed or set, so that it is said at once.
// The zero value is that nothing is.
type Problems []error

// If adds a problem where there is one.
func (p *Problems) If(wrong bool, format string, args ...any) {
	if wrong {
		p.Addf(format, args...)
	}
}

// Addf adds a problem.
func (p *Problems) Addf(format string, args ...any) { p.Add(fmt.Errorf(format, args...)) }

// Add adds what an error says, each by itself if it is of several; of nil, nothing.
func (p *Problems) Add(err error) {
	if several, ok := errors.AsType[Problems](err); ok {
		*p = append(*p, several...)
	} else if err != nil {
		*p = append(*p, err)
	}
}

// Err returns what ends a command with [ExitUsage], and the first hint that there is; nil
// when nothing is wrong.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	e := &ExitError{Code: ExitUsage, Err: p}
	for _, err := range p {
		e.Hint = cmp.Or(e.Hint, Exit(err).Hint)
	}
	return e
}

func (p Problems) Error() string {
	texts := make([]string, len(p))
	for i, err := range p {
		texts[i] = Say(err)
	}
	return strings.Join(texts, "; ")
}
