package offline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"google.golang.org/genai"
)

// A step is what the model says next: calls, or a text.
type step struct {
	calls []*genai.FunctionCall
	text  string
	// refused says that the request is beyond this model, so that nothing was done.
	refused bool
}

// plan decides the next step from the history and the declared tools alone.
// Nothing that a tool returned is read as a request: results only end up in what
// is quoted.
func plan(contents []*genai.Content, config *genai.GenerateContentConfig, shelf *shelf) step {
	turns := readTurns(contents)
	box := findTools(config)
	if len(turns) == 0 {
		return step{text: helpText(box)}
	}
	last := len(turns) - 1
	now, call := turns[last], newCaller(turns)
	if s, ok := direct(now, config, call); ok {
		return s
	}
	p := readPast(turns[:last], box)
	j := resolve(now.text, p, box)
	if q, ok := j.quest(); ok && box.search != nil {
		doc, s := box.search.find(q, now, call)
		if doc == "" {
			return s
		}
		j.docs, j.explicit, j.help = []string{doc}, true, false
	}
	if j.help {
		return step{text: declineText(j, box), refused: j.effect != ""}
	}
	docs, report := box.current(now)
	if need := j.missing(p, docs); len(need) > 0 {
		if box.fetch == nil {
			return step{text: fmt.Sprintf("I have no tool here that fetches a document, so I could not read %s, and I did nothing.", join(need))}
		}
		var s step
		for _, id := range need {
			s.calls = append(s.calls, call(box.fetch.name, map[string]any{box.fetch.id: id}))
		}
		return s
	}
	w := work{job: j, report: report}
	w.gather(p, docs, shelf)
	if w.report == nil && w.wantsReport() && box.report != nil {
		return step{calls: []*genai.FunctionCall{call(box.report.name, w.reportArgs(box.report))}}
	}
	return step{text: w.answer()}
}

// A caller makes calls.
type caller func(name string, args map[string]any) *genai.FunctionCall

// newCaller returns a caller whose identifiers are equal for equal conversations, and
// different for each call of one, since no turn makes the same call twice. ADK
// strips identifiers that begin with "adk-".
func newCaller(turns []turn) caller {
	h := sha256.New()
	for _, t := range turns {
		_, _ = fmt.Fprintf(h, "%d:%s", len(t.text), t.text)
	}
	prefix := h.Sum(nil)
	return func(name string, args map[string]any) *genai.FunctionCall {
		text, err := json.Marshal(args)
		if err != nil { // strings and lists of strings always encode
			text = nil
		}
		sum := sha256.Sum256(fmt.Appendf(nil, "%x %d:%s %s", prefix, len(name), name, text))
		return &genai.FunctionCall{ID: "call_" + hex.EncodeToString(sum[:12]), Name: name, Args: args}
	}
}

// work is a job with the documents it is about.
type work struct {
	job
	docs   []*document // that were read, in the order asked for
	failed []outcome   // that were not
	report *outcome    // of this turn's report; nil when none was tried
	anew   bool        // a document was read in this turn
}

// gather looks up every document of the job: this turn's outcome, or an earlier
// one.
func (w *work) gather(p past, docs map[string]outcome, s *shelf) {
	for _, id := range w.job.docs {
		o, now := docs[id]
		if !now {
			o = p.docs[id]
			o.id = id
		}
		if !o.ok {
			w.failed = append(w.failed, o)
			continue
		}
		w.anew = w.anew || now
		w.docs = append(w.docs, s.read(o, textLimit(len(w.job.docs))))
	}
}

// textLimit returns how many bytes are read of each of n documents.
func textLimit(n int) int { return min(maxText, maxTexts/n) }

// wantsReport reports whether a report is to be made: asked for, about something,
// and not made already when this is another try.
func (w *work) wantsReport() bool {
	return w.job.report && len(w.docs) > 0 && (!w.reported || w.anew)
}

// reportArgs are what a tool is asked to store.
func (w *work) reportArgs(t *reportTool) map[string]any {
	args := map[string]any{t.title: w.reportTitle(), t.content: w.reportBody()}
	if t.sources != "" {
		var sources []any
		for _, d := range w.docs {
			sources = append(sources, d.id)
		}
		args[t.sources] = sources
	}
	return args
}
