package jit

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jitagent/jitagent/secret"
)

// minScrub is the length from which a token is worth hiding: shorter ones would
// match by chance.
const minScrub = 8

// batch is how many tokens one replacer takes. Making a replacer costs as much as
// it holds, so a new token must not mean making one of all.
const batch = 64

// A scrubber hides known credentials in text. The zero scrubber knows none. It is
// safe for concurrent use.
type scrubber struct {
	replacers atomic.Pointer[[]*strings.Replacer]

	mu     sync.Mutex
	known  []secret.String
	sealed int                 // how many of known the replacers in full have
	full   []*strings.Replacer // those that take no more
}

func (s *scrubber) add(tok secret.String) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value := tok.Reveal()
	if len(value) < minScrub {
		return
	}
	for _, k := range s.known {
		if k.Equal(tok) {
			return
		}
		if have := k.Reveal(); strings.Contains(have, value) || strings.Contains(value, have) {
			s.sealed, s.full = 0, nil // the longer must be looked for first: all in one
		}
	}
	s.known = append(s.known, tok)
	all := append(slices.Clip(s.full), replacer(s.known[s.sealed:]))
	s.replacers.Store(&all)
	if len(s.known)-s.sealed >= batch {
		s.sealed, s.full = len(s.known), all
	}
}

func (s *scrubber) scrub(text string) string {
	if all := s.replacers.Load(); all != nil {
		for _, r := range *all {
			text = r.Replace(text)
		}
	}
	return text
}

// replacer hides every form of the tokens.
func replacer(tokens []secret.String) *strings.Replacer {
	var all []string
	for _, t := range tokens {
		all = append(all, t.Forms()...)
	}
	// At one place a replacer takes the first that matches: the longest must come
	// first, or a token that begins like another leaves its rest behind.
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	var pairs []string
	for _, form := range slices.Compact(all) {
		pairs = append(pairs, form, secret.Redacted)
	}
	return strings.NewReplacer(pairs...)
}
