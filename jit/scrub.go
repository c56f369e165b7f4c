package jit

import (
	"strings"
	"sync"

	"github.com/jitagent/jitagent/secret"
)

// minScrub is the length from which a token is worth hiding: shorter ones would
// match by chance. No form of a token is shorter than the token.
const minScrub = 8

// A scrubber hides known credentials in text. The zero scrubber knows none. It is
// safe for concurrent use.
//
// It finds a form of a credential by its last bytes, which in a signed token are
// what it shares with no other. So neither a new token nor a text costs more when
// many tokens are known, as they are late in a long task.
type scrubber struct {
	mu    sync.RWMutex
	known *endings // a pointer, at which fmt stops; nil when nothing is known
}

func (s *scrubber) add(tok secret.String) {
	if len(tok.Reveal()) < minScrub {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = &endings{tokens: map[ending][]secret.String{}}
	}
	s.known.add(tok)
}

func (s *scrubber) scrub(text string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.known == nil || len(text) < minScrub {
		return text
	}
	return redact(text, s.known.find(text))
}

// An ending is the last minScrub bytes of a text.
type ending uint64

// then is the ending of a text that goes on with one more byte.
func (e ending) then(b byte) ending { return e<<8 | ending(b) }

func endingOf(text string) (e ending) {
	for _, b := range []byte(text[len(text)-minScrub:]) {
		e = e.then(b)
	}
	return e
}

// endings are tokens by the endings of their forms.
type endings struct {
	tokens map[ending][]secret.String
	filter [1 << 10]uint64 // one bit for each hash of an ending that is in tokens
}

// bit is the place of an ending in the filter.
func (e ending) bit() (word, mask uint64) {
	hash := uint64(e) * 0x9e3779b97f4a7c15 >> 48 // Fibonacci hashing, 16 bits
	return hash / 64, 1 << (hash % 64)
}

func (x *endings) add(tok secret.String) {
	if x.has(endingOf(tok.Reveal()), tok) {
		return // its first form is there, so all are
	}
	// An ending is made of few bytes, so the token's own end has the same: each form
	// writes byte by byte, or three bytes at a time at each of the three alignments.
	value := tok.Reveal()
	for _, form := range secret.New(value[max(0, len(value)-3*minScrub):]).Forms() {
		end := endingOf(form)
		if x.has(end, tok) {
			continue
		}
		x.tokens[end] = append(x.tokens[end], tok)
		word, mask := end.bit()
		x.filter[word] |= mask
	}
}

func (x *endings) has(end ending, tok secret.String) bool {
	for _, have := range x.tokens[end] {
		if have.Equal(tok) {
			return true
		}
	}
	return false
}

// A span is a part of a text: from the byte at start to the one before end.
type span struct{ start, end int }

// find returns where text holds a form of a token, in the order of their ends.
// Spans that overlap are one: a token that begins, ends or contains another leaves
// nothing of either.
func (x *endings) find(text string) (spans []span) {
	forms := map[ending][]string{} // of this text's matches
	var last ending
	for i := range len(text) {
		last = last.then(text[i])
		word, mask := last.bit()
		if x.filter[word]&mask == 0 || i+1 < minScrub {
			continue
		}
		tokens := x.tokens[last]
		if len(tokens) == 0 {
			continue
		}
		candidates, known := forms[last]
		if !known {
			candidates = formsWith(last, tokens)
			forms[last] = candidates
		}
		for _, form := range candidates {
			if strings.HasSuffix(text[:i+1], form) {
				spans = merge(spans, span{i + 1 - len(form), i + 1})
			}
		}
	}
	return spans
}

// formsWith returns the forms of tokens that have this ending.
func formsWith(end ending, tokens []secret.String) (forms []string) {
	for _, tok := range tokens {
		for _, form := range tok.Forms() {
			if endingOf(form) == end {
				forms = append(forms, form)
			}
		}
	}
	return forms
}

// merge adds a span that ends after all of spans, or with the last of them.
func merge(spans []span, s span) []span {
	for len(spans) > 0 && spans[len(spans)-1].end > s.start {
		s.start = min(s.start, spans[len(spans)-1].start)
		spans = spans[:len(spans)-1]
	}
	return append(spans, s)
}

func redact(text string, spans []span) string {
	if len(spans) == 0 {
		return text
	}
	var b strings.Builder
	from := 0
	for _, s := range spans {
		b.WriteString(text[from:s.start])
		b.WriteString(secret.Redacted)
		from = s.end
	}
	b.WriteString(text[from:])
	return b.String()
}
