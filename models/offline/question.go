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
	if len(wanted) == 0 {
		return nil
	}
	weight, total := weights(d, wanted)
	if total == 0 {
		return nil
	}
	// Of a long question more must be met: "contract" and "end" are not yet "when
	// does the Dublin contract end".
	need := 0.5
	if len(wanted) > 2 {
		need = 0.7
	}
	headings := make([]float64, len(d.sections))
	for i, h := range d.sections {
		headings[i] = match(distinct(terms(h)), wanted, weight)
	}
	type hit struct {
		at    int
		score float64
	}
	var hits []hit
	for i, u := range d.units {
		own := match(u.words, wanted, weight)
		// What stands under a fitting heading answers without repeating its words.
		heading := headings[u.section]
		score := max(own, heading) + min(own, heading)/4
		if score < total*need {
			continue
		}
		hits = append(hits, hit{i, score})
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(b.score, a.score) })
	if len(hits) > 0 {
		best := hits[0].score
		hits = slices.DeleteFunc(hits, func(h hit) bool { return h.score < best*0.6 })
	}
	hits = hits[:min(len(hits), maxAnswers)]
	slices.SortFunc(hits, func(a, b hit) int { return a.at - b.at })
	var out []string
	for i, h := range hits {
		text := d.units[h.at].text
		if next := h.at + 1; next < len(d.units) && d.units[next].leans && (i+1 == len(hits) || hits[i+1].at != next) {
			text = joinSentences([]string{text, d.units[next].text})
		}
		out = append(out, clip(text, maxQuote))
	}
	return out
}

// weights returns how telling each wanted term is in d: the rarer, the more. A
// term that d does not hold weighs as much as the rarest, so that a question is
// not answered from its commonest word alone.
func weights(d *document, wanted []string) (weight map[string]float64, total float64) {
	frequency := make(map[string]int)
	count := func(words []string) {
		for _, w := range words {
			frequency[w]++
		}
	}
	for i := range d.units {
		count(d.units[i].words)
	}
	for _, h := range d.sections {
		count(distinct(terms(h)))
	}
	n := float64(len(d.units) + len(d.sections))
	weight = make(map[string]float64)
	known := false
	for _, w := range wanted {
		known = known || frequency[w] > 0
		weight[w] = math.Log2(1 + n/float64(max(1, frequency[w])))
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
