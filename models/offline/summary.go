package offline

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strings"
)

// A summary is what is quoted from a document, every line word for word.
type summary struct {
	lead    []string // one or two sentences
	points  []string
	figures []string
}

// lengths says how long a summary is to be. The zero value leaves it to the
// document's length.
type lengths struct {
	points    int  // exactly so many points, and nothing else
	sentences int  // exactly so many sentences, and nothing else
	brief     bool // the shortest that makes sense
}

// maxQuote bounds one quoted line, in bytes.
const maxQuote = 600

// summarize picks from d. focus holds terms that the reader cares about; nil for
// none.
func summarize(d *document, focus []string, want lengths) summary {
	s := picker{doc: d, scores: scores(d, focus), used: make([]bool, len(d.units))}
	switch {
	case want.sentences > 0:
		return summary{lead: s.pick(want.sentences, want.sentences, notRow)}
	case want.points > 0:
		return summary{points: s.pick(want.points, want.points, anyUnit)}
	case want.brief:
		return summary{lead: s.pick(2, 2, notRow)}
	}
	n := pointCount(len(d.units))
	var out summary
	out.lead = s.lead()
	out.points = s.pick(n, 1+n/max(1, len(d.sections)-1), notRow)
	out.figures = s.figures()
	return out
}

// pointCount grows with the document: 3 points for a page, 8 for a book.
func pointCount(units int) int {
	if units < 4 {
		return units
	}
	return min(8, 1+int(math.Log2(float64(units))))
}

// scores rates every unit: by how much of what the document keeps speaking of it
// holds, for its length, and by where it stands. What scores 0 is never quoted in a
// summary.
func scores(d *document, focus []string) []float64 {
	frequency := make(map[string]int)
	for i := range d.units {
		for _, t := range d.units[i].words {
			frequency[t]++
		}
	}
	heavy := make([]bool, len(d.sections))
	for i, heading := range d.sections {
		heavy[i] = headed(heading, weighty)
	}
	wanted := distinct(focus)
	out := make([]float64, len(d.units))
	for i, u := range d.units {
		var sum, hits float64
		for _, t := range u.words { // floats: order matters for identical output
			sum += math.Log2(1 + float64(frequency[t]))
			if holds(wanted, t) {
				hits++
			}
		}
		score := sum / (6 + float64(len(u.words)))
		score *= placeFactor(u, i, heavy[u.section])
		if u.leans {
			score *= 0.7
		}
		if d.addressed[u.block] {
			score = 0
		}
		if len(wanted) > 0 {
			score *= 1 + 3*hits/float64(len(wanted))
		}
		out[i] = score
	}
	return out
}

func placeFactor(u unit, at int, heavy bool) float64 {
	f := 1.0
	times := func(when bool, by float64) {
		if when {
			f *= by
		}
	}
	times(at == 0, 1.3)
	times(u.first, 1.15)
	times(heavy, 1.3)
	times(u.figures, 1.2)
	switch {
	case strings.HasSuffix(u.text, ":"), strings.HasSuffix(u.text, "："):
		f *= 0.3
	case u.kind == factUnit:
		f *= 0.5
	case u.kind == lineUnit && alarm.MatchString(u.text):
		f *= 4 // what a log is read for
	case strings.HasSuffix(u.text, "?"), strings.HasSuffix(u.text, "？"):
		f *= 0.6
	}
	times(len(u.terms) < 3, 0.5)
	return f
}

// alarm matches the levels of log lines that tell of something wrong.
var alarm = regexp.MustCompile(`\b(ERROR|FATAL|CRITICAL|PANIC|ALERT|SEVERE|WARN|WARNING)\b`)

// headed reports whether a heading, or one of its words, is of a class.
func headed(heading string, c class) bool {
	lower := strings.ToLower(heading)
	return c.is(lower) || slices.ContainsFunc(strings.Fields(lower), func(w string) bool { return c.is(strings.Trim(w, ".,:;()0123456789")) })
}

// distinct returns the words sorted, each once.
func distinct(words []string) []string {
	out := slices.Clone(words)
	slices.Sort(out)
	return slices.Compact(out)
}

// holds reports whether w is among the words, which are sorted.
func holds(words []string, w string) bool {
	_, found := slices.BinarySearch(words, w)
	return found
}

// inCommon counts the words that two sorted lists share.
func inCommon(a, b []string) int {
	n := 0
	for len(a) > 0 && len(b) > 0 {
		switch order := cmp.Compare(a[0], b[0]); {
		case order < 0:
			a = a[1:]
		case order > 0:
			b = b[1:]
		default:
			a, b = a[1:], b[1:]
			n++
		}
	}
	return n
}

// picker takes units out of a document, none twice and none like another.
type picker struct {
	doc    *document
	scores []float64
	used   []bool
	taken  []int
}

func anyUnit(unit) bool  { return true }
func notRow(u unit) bool { return u.kind != rowUnit }

// abstracts marks the sections that stand for the whole.
// lead is a sentence that can stand for the whole: the first of a section that is
// called a summary, or the best of the first few. A longer document gets the best
// of the rest besides.
func (p *picker) lead() []string {
	best, seen := -1, 0
	for i, u := range p.doc.units {
		if u.kind != sentenceUnit {
			continue
		}
		if headed(p.doc.sections[u.section], abstract) {
			best = i
			break
		}
		if seen++; seen <= 3 && (best < 0 || p.scores[i] > p.scores[best]) {
			best = i
		}
	}
	if best < 0 {
		return p.pick(1, 1, anyUnit)
	}
	out := []string{p.take(best)}
	if len(p.doc.units) > 6 {
		out = append(out, p.pick(1, 1, func(u unit) bool { return u.kind == sentenceUnit })...)
	}
	return out
}

// pick returns the n best units that ok allows, at most perSection from one
// section while others have some, in the document's order.
func (p *picker) pick(n, perSection int, ok func(unit) bool) []string {
	order := ranked(p.scores, func(i int) bool { return !p.used[i] && ok(p.doc.units[i]) && p.scores[i] > 0 })
	var chosen []int
	count := make(map[int]int) // of each section
	for _, limit := range []int{perSection, n} {
		for _, i := range order {
			section := p.doc.units[i].section
			if len(chosen) < n && !p.used[i] && count[section] < limit && !p.repeats(i) {
				p.take(i)
				count[section]++
				chosen = append(chosen, i)
			}
		}
	}
	slices.Sort(chosen)
	var out []string
	for _, i := range chosen {
		out = append(out, p.take(i))
	}
	return out
}

// take marks a unit as quoted and returns the quotation.
func (p *picker) take(i int) string {
	if !p.used[i] {
		p.used[i] = true
		p.taken = append(p.taken, i)
	}
	return clip(p.doc.units[i].text, maxQuote)
}

// repeats reports whether a unit says mostly what a taken one says. At most a few
// dozen are ever taken.
func (p *picker) repeats(i int) bool {
	words := p.doc.units[i].words
	return slices.ContainsFunc(p.taken, func(j int) bool {
		other := p.doc.units[j].words
		common := inCommon(words, other)
		all := len(words) + len(other) - common
		return all > 0 && common*5 > all*3
	})
}

const (
	maxRows    = 6 // of one table
	maxFigures = 8
)

// figures returns table rows, and then sentences with numbers that are not quoted
// yet.
func (p *picker) figures() []string {
	var out []string
	units := p.doc.units
	for start, end := 0, 0; start < len(units); start = max(end, start+1) {
		for end = start; end < len(units) && units[end].kind == rowUnit && units[end].section == units[start].section; {
			end++
		}
		totals := 0 // after the first rows
		for i := start; i < end; i++ {
			if i >= start+maxRows-2 && total(units[i]) {
				totals++
			}
			// All of a short table; of a long one the first rows, the first total, and the last row.
			quoted := end-start <= maxRows || i < start+maxRows-2 || i == end-1 || totals == 1 && total(units[i])
			if quoted && len(out) < maxFigures && !p.used[i] {
				out = append(out, p.take(i))
			}
		}
	}
	if room := maxFigures/2 - len(out); room > 0 {
		out = append(out, p.pick(room, room, func(u unit) bool { return u.figures && !u.leans && len(u.text) <= 240 && len(u.terms) > 2 })...)
	}
	return out
}

func total(row unit) bool {
	label := strings.ToLower(row.text)
	return strings.HasPrefix(label, "total") || strings.HasPrefix(label, "sum")
}
