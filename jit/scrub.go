package jit

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jitagent/jitagent/secret"
)

// minScrub is the length from which a token is worth hiding: shorter ones would
// match by chance.
const minScrub = 8

// A scrubber hides known credentials in text. The zero scrubber knows none. It is
// safe for concurrent use.
type scrubber struct {
	mu       sync.Mutex
	known    []secret.String
	replacer atomic.Pointer[strings.Replacer]
}

func (s *scrubber) add(tok secret.String) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.known {
		if k.Equal(tok) {
			return
		}
	}
	if len(tok.Reveal()) < minScrub {
		return
	}
	s.known = append(s.known, tok)
	var pairs []string
	for _, k := range s.known {
		for _, form := range forms(k.Reveal()) {
			pairs = append(pairs, form, secret.Redacted)
		}
	}
	s.replacer.Store(strings.NewReplacer(pairs...))
}

func (s *scrubber) scrub(text string) string {
	if r := s.replacer.Load(); r != nil {
		return r.Replace(text)
	}
	return text
}

// forms returns v as it may stand in a text: as it is, URL-escaped, in hex, and in
// base64 at each of the three alignments within a longer encoded text.
func forms(v string) []string {
	set := []string{v, url.QueryEscape(v), url.PathEscape(v), hex.EncodeToString([]byte(v)), strings.ToUpper(hex.EncodeToString([]byte(v)))}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			set = append(set, base64Core(enc, v, shift))
		}
	}
	return set
}

// base64Core returns the characters that encode v, and nothing but v, when v
// starts shift bytes into a group of three.
func base64Core(enc *base64.Encoding, v string, shift int) string {
	text := enc.EncodeToString([]byte(strings.Repeat("\x00", shift) + v))
	if shift > 0 {
		text = text[shift+1:] // these characters mix in what stands before v
	}
	if (shift+len(v))%3 != 0 {
		text = text[:len(text)-1] // this one mixes in what follows
	}
	return text
}
