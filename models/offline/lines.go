package offline

import (
	"encoding/csv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jitagent/jitagent/internal/markdown"
)

// wrapWidth is the least width at which people wrap running text.
const wrapWidth = 60

// madeOfLines reports whether the lines of a paragraph stand by themselves, as in
// logs and minutes, and are not running text that was wrapped. They do if they begin
// alike with a number, or if most of them end where the next word had room and a
// new phrase begins.
func madeOfLines(s string) bool {
	if !strings.Contains(s, "\n") {
		return false
	}
	lines := strings.Split(strings.TrimSpace(s), "\n")
	width := wrapWidth
	for _, l := range lines {
		width = max(width, utf8.RuneCountInString(l))
	}
	alike, broken := 0, 0
	for i := 1; i < len(lines); i++ {
		before, line := strings.TrimSpace(lines[i-1]), strings.TrimSpace(lines[i])
		word, _, _ := strings.Cut(line, " ")
		if other, _, _ := strings.Cut(before, " "); strings.ContainsFunc(word, unicode.IsDigit) && shape(word) == shape(other) {
			alike++
		}
		first, _ := utf8.DecodeRuneInString(line)
		if utf8.RuneCountInString(before)+1+utf8.RuneCountInString(word) <= width && !unicode.IsLower(first) &&
			!strings.ContainsFunc(before+word, isUnspaced) {
			broken++
		}
	}
	more := len(lines) - 1
	return more > 0 && (alike == more || 2*broken > more)
}

// shape writes every digit as 0 and every letter as a.
func shape(word string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsDigit(r):
			return '0'
		case unicode.IsLetter(r):
			return 'a'
		}
		return r
	}, word)
}

// lines reads what may be running text or lines that stand by themselves.
func (r *reader) lines(s string) {
	if !madeOfLines(s) {
		r.prose(markdown.Join(s))
		return
	}
	for line := range strings.Lines(s) {
		r.add(tidy(line), lineUnit)
	}
}

// values reads a whole text of comma-separated values as a table, and reports
// whether it is one: three records of three fields at least, or prose with commas
// would count.
func (r *reader) values(body string) bool {
	const least = 3
	records, err := csv.NewReader(strings.NewReader(strings.TrimSpace(body))).ReadAll()
	if err != nil || len(records) < least || len(records[0]) < least {
		return false
	}
	for _, cells := range records[1:] {
		for i := range cells {
			cells[i] = tidy(cells[i])
		}
		r.add(rowText(records[0], cells), rowUnit)
	}
	return true
}
