package offline

import "slices"

// A job is an ask with everything that earlier turns add to it.
type job struct {
	ask
	docs []string // what it is about, in order
	// explicit says that the documents were named, so that they are fetched when
	// they were not read before.
	explicit bool
	// help says that there is nothing to do but say what can be done.
	help bool
	// reported says that an earlier turn created the report already.
	reported bool
}

// past is what the turns before the current one come to.
type past struct {
	docs     map[string]outcome // the last good outcome of each document, or else the last one
	order    []string           // of the documents
	focus    []string           // documents of the last ask that had any
	last     ask                // the last ask with documents, or the last for a report
	reported bool               // its report was created
}

func readPast(turns []turn, box toolbox) past {
	p := past{docs: make(map[string]outcome)}
	for _, t := range turns {
		a := box.parse(t.text)
		if len(a.ids) > 0 || a.report {
			inherit(&a, p.last)
			p.last, p.reported = a, false
		}
		if len(a.ids) > 0 && a.effect == "" {
			p.focus = a.ids
		}
		docs, report := box.current(t)
		for _, x := range t.calls {
			id, ok := box.fetched(x)
			if !ok {
				continue
			}
			old, known := p.docs[id]
			if !known {
				p.order = append(p.order, id)
			}
			if !known || docs[id].ok || !old.ok {
				p.docs[id] = docs[id]
			}
			if box.search != nil && len(a.ids) == 0 && t.called(box.search.name) != nil {
				p.focus = []string{id}
			}
		}
		p.reported = p.reported || report != nil && report.ok
	}
	return p
}

// read returns which of ids were read.
func (p past) read(ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !p.docs[id].ok })
}

// parse reads a prompt, with the identifiers as the tool takes them.
func (b toolbox) parse(prompt string) ask {
	a := parse(prompt, b.reserved)
	for i, id := range a.ids {
		a.ids[i] = b.fetch.fit(id)
	}
	return a
}

// inherit completes an ask that only names documents, when the one before it asked
// for a report and named none.
func inherit(a *ask, before ask) {
	bare := !a.verbs && !a.summary && !a.report && a.question == nil && len(a.ids) > 0
	if bare && before.report && len(before.ids) == 0 {
		a.report, a.title = true, before.title
	}
}

// resolve says what the current turn is to do.
func resolve(prompt string, p past, box toolbox) job {
	j := job{ask: box.parse(prompt)}
	inherit(&j.ask, p.last)
	switch {
	case j.effect != "":
		j.help = true
	case len(j.ids) > 0:
		j.docs, j.explicit = j.ids, true
	case j.again && len(p.last.ids) > 0 && j.question == nil && !j.report:
		fresh := j.fresh && len(p.read(p.last.ids)) == len(p.last.ids)
		j.ask = p.last
		j.docs, j.explicit, j.reported = p.last.ids, true, p.reported
		j.fresh = fresh
	case len(p.focus) == 0:
		j.help = true
	default:
		j.followUp(p)
	}
	return j
}

// followUp fits an ask without identifiers to the documents of the conversation.
func (j *job) followUp(p past) {
	j.docs = p.focus
	if all := p.read(p.order); j.all && len(all) > 0 {
		j.docs = all[max(0, len(all)-maxIDs):]
	}
	if j.report || j.summary || len(j.question) > 0 || len(j.focus) > 0 {
		return
	}
	// "the churn rate, please" asks without the form of a question.
	if j.question = j.words.terms(); len(j.question) == 0 || len(j.question) > 12 {
		j.question, j.help = nil, true
	}
}

// fetched reports whether a call was one to fetch a document, and which. It also
// knows calls of tools that are no longer declared, by the form of their
// arguments.
func (b toolbox) fetched(x *exchange) (string, bool) {
	if b.fetch != nil && x.name == b.fetch.name {
		id, ok := x.args[b.fetch.id].(string)
		return id, ok
	}
	if len(x.args) != 1 || b.report != nil && x.name == b.report.name {
		return "", false
	}
	for name, value := range x.args {
		if id, ok := value.(string); ok && overlap(nameWords(name), idWord|documentWord) > 0 {
			return id, true
		}
	}
	return "", false
}

// current gathers what a turn's calls came to. No turn makes a call twice.
func (b toolbox) current(t turn) (docs map[string]outcome, report *outcome) {
	docs = make(map[string]outcome)
	for _, x := range t.calls {
		if id, ok := b.fetched(x); ok {
			if _, again := docs[id]; !again {
				docs[id] = readOutcome(id, x, true)
			}
		} else if b.report != nil && x.name == b.report.name && report == nil {
			o := readOutcome("", x, false)
			o.title, _ = x.args[b.report.title].(string)
			report = &o
		}
	}
	return docs, report
}

// missing returns the documents that have to be fetched now: named, not called for
// in this turn, and not read before unless a fresh copy is wanted.
func (j job) missing(p past, docs map[string]outcome) []string {
	if !j.explicit {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(j.docs), func(id string) bool {
		_, called := docs[id]
		return called || p.docs[id].ok && !j.fresh
	})
}
