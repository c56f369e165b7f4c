package offline

import (
	"cmp"
	"math"
	"slices"
)

// maxAnswers bounds what is quoted from one document for one question.
const maxAnswers = 4

// search returns what d says about the terms of a question, in the document's
// order, nothing when it does not speak of them.
func search(d *document, question []string) []string {
	wanted := distinct(question)
	headings := make([][]string, len(d.sections))
	for i, h := range d.sections {
		headings[i] = distinct(terms(h))
	}
	weight, total := weights(d, headings, wanted)
	if total == 0 {
		return nil
	}
	// Of a long question more must be met: "contract" and "end" are not yet "when
	// does the Dublin contract end".
	least := total * 0.5
	if len(wanted) > 2 {
		least = total * 0.7
	}
	scores, best := make([]float64, len(d.units)), 0.0
	for i, u := range d.units {
		// What stands under a fitting heading answers without repeating its words.
		own, heading := match(u.words, wanted, weight), match(headings[u.section], wanted, weight)
		scores[i] = max(own, heading) + min(own, heading)/4
		best = max(best, scores[i])
	}
	least = max(least, best*0.6)
	hits := ranked(scores, func(i int) bool { return scores[i] >= least })
	hits = hits[:min(len(hits), maxAnswers)]
	slices.Sort(hits)
	var out []string
	for i, at := range hits {
		text, next := d.units[at].text, at+1
		if next < len(d.units) && d.units[next].leans && (i+1 == len(hits) || hits[i+1] != next) {
			text = joinSentences([]string{text, d.units[next].text})
		}
		out = append(out, clip(text, maxQuote))
	}
	return out
}

// weights returns how telling each wanted term is in d: the rarer, the more. A
// term that d does not hold weighs as much as the rarest, so that a question is
// not answered from its commonest word alone. The total is 0 if d holds none.
func weights(d *document, headings [][]string, wanted []string) (weight map[string]float64, total float64) {
	weight = make(map[string]float64)
	known := false
	for _, w := range wanted {
		n := 0
		for i := range d.units {
			if holds(d.units[i].words, w) {
				n++
			}
		}
		for _, h := range headings {
			if holds(h, w) {
				n++
			}
		}
		known = known || n > 0
		weight[w] = math.Log2(1 + float64(len(d.units)+len(headings))/float64(max(1, n)))
		total += weight[w]
	}
	if !known {
		return nil, 0
	}
	return weight, total
}

// match returns the weight of the wanted terms that are in have, which is sorted.
func match(have, wanted []string, weight map[string]float64) float64 {
	var sum float64
	for _, w := range wanted {
		if holds(have, w) {
			sum += weight[w]
		}
	}
	return sum
}

// ranked returns the indexes that ok allows, the best score first.
func ranked(scores []float64, ok func(i int) bool) []int {
	var out []int
	for i := range scores {
		if ok(i) {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	return out
}
