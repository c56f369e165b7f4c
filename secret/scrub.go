package secret

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	// minScrub is the length from which a token is worth hiding: shorter ones would
	// match by chance. It is also the length of a [block].
	minScrub = 8
	// minRun is how many characters a text may share with a token's signature, less
	// one. What is left of a shorter run cannot be guessed into a token.
	minRun = 16
)

// A Scrubber hides known credentials in text, in whatever spelling: it looks at the
// letters and digits of base64url alone, with escapes (URL, JSON, HTML) undone and all
// else left out, and hides every run that the text shares with a token, or with its
// reverse, its base64 or its hex. The zero Scrubber knows none. It is safe for
// concurrent use.
//
// Of the blocks of minScrub characters that a token is indexed by, a run of minRun
// characters holds one whole, wherever it begins. So a text is read once, block by block, however many tokens are
// known, as they are late in a long task. Only the end of a signed token counts, its
// signature: the rest is no secret by itself, and is shared with others.
type Scrubber struct {
	mu    sync.RWMutex
	known *blocks // a pointer, at which fmt stops; nil when nothing is known
}

// Add makes a credential known, if it has 8 characters: a shorter one would match by
// chance. It is indexed with the first text that is scrubbed afterwards.
func (s *Scrubber) Add(tok String) {
	if len(tok.Reveal()) < minScrub {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = &blocks{first: make([]entry, 1<<8), shift: 64 - 8, hash: rand.Uint64() | 1, also: map[block][]int{}}
	}
	s.known.add(tok)
}

// Scrub returns text with [Redacted] in place of each run of 16 characters, or of all of
// a shorter credential, that it shares with one that is known.
func (s *Scrubber) Scrub(text string) string {
	if len(text) < minScrub {
		return text
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.known == nil {
		return text
	}
	if s.known.indexed < len(s.known.tokens) {
		s.mu.RUnlock()
		s.mu.Lock()
		s.known.index()
		s.mu.Unlock()
		s.mu.RLock()
	}
	for _, tok := range s.known.odd {
		v := tok.Reveal()
		forms := append([]string{v, url.QueryEscape(v), url.PathEscape(v)}, encodings(v, base64.RawURLEncoding)...)
		for _, form := range append(forms, encodings(v, base64.RawStdEncoding)...) {
			text = strings.ReplaceAll(text, form, Redacted)
		}
	}
	// What looks like an escape may be a token's own letters behind a stray mark.
	var spans []span
	for _, read := range []reading{unescaped, literally} {
		if s.known.touches(text, read) {
			spans = append(spans, s.known.runs(text, read)...)
		}
		if !strings.ContainsAny(text, "%\\&") {
			break // they are one
		}
	}
	return redact(text, spans)
}

// A reading returns the character that text has at i, as it counts, and how many bytes
// it is written in. It is 0 for what does not count.
type reading func(text string, i int) (c byte, n int)

// A block is minScrub characters of a text.
type block uint64

// then is the block that ends with one more character.
func (b block) then(c byte) block { return b<<8 | block(c) }

func blockOf(chars string) (b block) {
	for i := range minScrub {
		b = b.then(chars[i])
	}
	return b
}

// blocks are known tokens, by the blocks of their signatures' forms: as numbers in a
// table without pointers, which costs nothing to keep, since a task may have thousands.
type blocks struct {
	tokens  []String
	indexed int             // of tokens: the others have their first block in the table, and no more
	first   []entry         // of each block, where its hash says, or in the next free place; half of them free at least
	used    int             // of first
	shift   int             // leaves so many bits of a hash as first has places for
	hash    uint64          // what blocks are multiplied with: one of our own, so that nobody makes tokens whose blocks collide
	also    map[block][]int // of further tokens: nearly every block is one token's
	odd     []String        // tokens made of other characters, which are found as they are
}

// An entry is a block and the index of a token that has it. No block is 0.
type entry struct {
	block
	token int
}

// at returns the entry of b, or the free one where it belongs.
func (x *blocks) at(b block) *entry {
	for i := uint64(b) * x.hash >> x.shift; ; i++ { // the highest bits of a product depend on all of b
		if e := &x.first[i&uint64(len(x.first)-1)]; e.block == b || e.block == 0 { //nolint:gosec // a length
			return e
		}
	}
}

// has reports whether b is a block of any token.
func (x *blocks) has(b block) bool { return x.at(b).block != 0 }

// with returns the tokens that have b, which some do, by their index.
func (x *blocks) with(b block) []int { return append([]int{x.at(b).token}, x.also[b]...) }

// put enters b as a block of a token.
func (x *blocks) put(b block, token int) {
	switch e := x.at(b); {
	case e.block == 0:
		*e = entry{b, token}
		x.used++
	case e.token != token:
		x.also[b] = append(x.also[b], token)
	}
	if 2*x.used > len(x.first) {
		old := x.first
		x.first, x.shift = make([]entry, 2*len(old)), x.shift-1
		for _, e := range old {
			if e.block != 0 {
				*x.at(e.block) = e
			}
		}
	}
}

func (x *blocks) add(tok String) {
	v, end := tok.Reveal(), tok.end()
	chars := significant(v[len(v)-end:])
	if len(chars) < minScrub {
		if !slices.ContainsFunc(x.odd, tok.Equal) {
			x.odd = append(x.odd, tok)
		}
		return
	}
	known := func(i int) bool { return x.tokens[i].Reveal() == v }
	b := blockOf(chars)
	if x.has(b) && slices.ContainsFunc(x.with(b), known) {
		return // the base token comes with every call
	}
	x.put(b, len(x.tokens))
	x.tokens = append(x.tokens, tok)
}

// index enters all blocks of the tokens that were added since the last time.
func (x *blocks) index() {
	for ; x.indexed < len(x.tokens); x.indexed++ {
		v, end := x.tokens[x.indexed].Reveal(), x.tokens[x.indexed].end()
		// What stands before the end is not looked for. A multiple of three bytes is left
		// out, which base64 has as characters of their own.
		for _, form := range formsOf(v[(len(v)-end)/3*3:], end) {
			for b := range form.blocks {
				x.put(b, x.indexed)
			}
		}
	}
}

// A form is a token in one spelling, as [unescaped] reads it.
type form struct {
	chars    string
	from, to int // the signature in it
}

// blocks yields blocks of the signature and where they start, no further apart than a run
// leaves room for. The last one ends with it.
func (f form) blocks(yield func(block, int) bool) {
	for start := f.from; yield(blockOf(f.chars[start:]), start) && start < f.to-minScrub; {
		start = min(start+minRun-minScrub+1, f.to-minScrub)
	}
}

// least is how long a run of the form must be to be hidden.
func (f form) least() int { return min(minRun, f.to-f.from) }

// end is how many bytes at the end of a token are looked for: the signature, or all of
// one without.
func (s String) end() int {
	v := s.Reveal()
	if strings.HasPrefix(v, "eyJ") { // a JWT, whose header is a JSON object
		if signature := v[strings.LastIndexByte(v, '.')+1:]; len(significant(signature)) >= minScrub {
			return len(signature)
		}
	}
	return len(v)
}

// formsOf returns the spellings of a token of which the last bytes are looked for: as it
// is, reversed, and in hex and base64.
func formsOf(v string, end int) []form {
	plain := form{chars: significant(v)}
	plain.to = len(plain.chars)
	plain.from = plain.to - len(significant(v[len(v)-end:]))
	reversed := []byte(plain.chars)
	slices.Reverse(reversed)
	forms := append(make([]form, 0, 7), plain, form{string(reversed), 0, plain.to - plain.from})
	for i, chars := range encodings(v, base64.RawURLEncoding) {
		length := 2 * end // in hex
		if i > 1 {
			length = end * 4 / 3
		}
		from := min(len(chars)-length, len(chars)-minScrub)
		forms = append(forms, form{chars, max(from, 0), len(chars)})
	}
	return forms
}

// encodings returns a token in hex, and in base64 at each of the three alignments within
// a longer text: what encodes the token and nothing else.
func encodings(v string, enc *base64.Encoding) []string {
	digits := hex.EncodeToString([]byte(v))
	all := append(make([]string, 0, 5), digits, strings.ToUpper(digits))
	shifted := append(make([]byte, 2, 2+len(v)), v...)
	for shift := range 3 {
		text := enc.EncodeToString(shifted[2-shift:])
		if shift > 0 {
			text = text[shift+1:] // these characters mix in what stands before it
		}
		if (shift+len(v))%3 != 0 {
			text = text[:len(text)-1] // this one mixes in what follows
		}
		all = append(all, text)
	}
	return all
}

// significant returns the characters of a text that count.
func significant(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for i := 0; i < len(text); {
		c, n := unescaped(text, i)
		if c != 0 {
			b.WriteByte(c)
		}
		i += n
	}
	return b.String()
}

// literally reads escapes as what they are written with.
func literally(text string, i int) (c byte, n int) { return countsAs[text[i]], 1 }

// unescaped reads escapes as what they stand for: %2D, \u002d, \x2d, &#45; and &#x2d;.
func unescaped(text string, i int) (c byte, n int) {
	switch c := text[i]; c {
	case '%':
		return escaped(text, i, 1, 2, 16)
	case '\\':
		if i+1 < len(text) {
			switch text[i+1] {
			case 'u':
				return escaped(text, i, 2, 4, 16)
			case 'x':
				return escaped(text, i, 2, 2, 16)
			case 'n', 'r', 't':
				return 0, 2 // white space, not a letter
			}
		}
	case '&':
		if rest, ok := strings.CutPrefix(text[i:], "&#"); ok {
			if end := strings.IndexByte(rest[:min(len(rest), 8)], ';'); end > 0 {
				if digits, hex := strings.CutPrefix(strings.ToLower(rest[:end]), "x"); hex {
					return escaped(text, i, 3, len(digits), 16)
				}
				return escaped(text, i, 2, end, 10)
			}
		}
	default:
		return countsAs[c], 1
	}
	return 0, 1
}

// escaped reads the digits of an escape: so many, behind its first skip bytes. What is
// none is a byte that does not count.
func escaped(text string, i, skip, digits, base int) (c byte, n int) {
	if i+skip+digits > len(text) || strings.Trim(text[i+skip:i+skip+digits], "0123456789abcdefABCDEF") != "" {
		return 0, 1
	}
	v, err := strconv.ParseUint(text[i+skip:i+skip+digits], base, 32)
	if err != nil {
		return 0, 1
	}
	if v >= 0x80 {
		v = 0
	}
	return countsAs[v], skip + digits
}

// countsAs maps characters to base64url, and what does not count to 0.
var countsAs = func() (as [256]byte) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		as[c] = c
	}
	as['+'], as['/'] = '-', '_'
	return as
}()

// touches reports whether text has a block of any token, which nearly none does.
func (x *blocks) touches(text string, read reading) bool {
	var last block
	for i := 0; i < len(text); {
		c, n := countsAs[text[i]], 1
		if c == 0 && isMark(text[i]) {
			c, n = read(text, i)
		}
		i += n
		if c == 0 {
			continue
		}
		last = last.then(c)
		if x.has(last) {
			return true
		}
	}
	return false
}

// isMark reports a character that begins escapes.
func isMark(c byte) bool { return c == '%' || c == '\\' || c == '&' }

// A span is a part of a text: from the byte at start to the one before end.
type span struct{ start, end int }

// runs returns what text shares with tokens.
func (x *blocks) runs(text string, read reading) (spans []span) {
	chars := make([]byte, 0, len(text))
	where := make([]span, 0, len(text)) // of each of chars
	for i := 0; i < len(text); {
		c, n := read(text, i)
		if c != 0 {
			chars, where = append(chars, c), append(where, span{i, i + n})
		}
		i += n
	}
	// What is found is looked up in full, once.
	type part struct {
		form  *form
		start int // of a block in it
	}
	parts, found := map[block][]part{}, map[int]bool{}
	until := map[*form]int{} // how far a form was followed, so that nothing is followed twice
	var last block
	for i, c := range chars {
		if last = last.then(c); i+1 < minScrub || !x.has(last) {
			continue
		}
		for _, t := range x.with(last) {
			if found[t] {
				continue
			}
			found[t] = true
			for _, form := range formsOf(x.tokens[t].Reveal(), x.tokens[t].end()) {
				for b, start := range form.blocks {
					parts[b] = append(parts[b], part{&form, start})
				}
			}
		}
		for _, p := range parts[last] {
			if i < until[p.form] {
				continue
			} else if a, b := run(chars, i+1-minScrub, *p.form, p.start); b-a >= p.form.least() {
				until[p.form] = b
				spans = append(spans, span{where[a].start, where[b-1].end})
			}
		}
	}
	return spans
}

// run returns how far chars are those of f around a block that both have.
func run(chars []byte, at int, f form, start int) (from, to int) {
	from, to = at, at+minScrub
	for from > 0 && start > 0 && chars[from-1] == f.chars[start-1] {
		from, start = from-1, start-1
	}
	for at := start + to - from; to < len(chars) && at < len(f.chars) && chars[to] == f.chars[at]; at++ {
		to++
	}
	return from, to
}

// redact hides spans of a text; those that overlap are one.
func redact(text string, spans []span) string {
	if spans == nil {
		return text
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	var b strings.Builder
	from := 0
	for i := 0; i < len(spans); {
		s := spans[i]
		for i++; i < len(spans) && spans[i].start < s.end; i++ {
			s.end = max(s.end, spans[i].end)
		}
		b.WriteString(text[from:s.start])
		b.WriteString(Redacted)
		from = s.end
	}
	b.WriteString(text[from:])
	return b.String()
}
