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
func plan(contents []*genai.Content, config *genai.GenerateContentConfig) step {
	turns := readTurns(contents)
	box := findTools(config)
	if len(turns) == 0 {
		return step{text: helpText(box)}
	}
	last := len(turns) - 1
	now := turns[last]
	id := callIDs(turns)
	if s, ok := direct(now, config, id); ok {
		return s
	}
	p := readPast(turns[:last], box)
	j := resolve(now.text, p, box)
	if q, ok := j.quest(); ok && box.search != nil {
		doc, s := box.search.find(q, now, id)
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
			return step{text: noFetchText(need)}
		}
		return step{calls: box.fetch.calls(need, id)}
	}
	w := work{job: j, box: box, report: report}
	w.gather(p, docs)
	if w.report == nil && w.wantsReport() && box.report != nil {
		return step{calls: []*genai.FunctionCall{w.reportCall(id)}}
	}
	return step{text: w.answer()}
}

func (t *fetchTool) calls(ids []string, id func(name string, args map[string]any) string) []*genai.FunctionCall {
	var out []*genai.FunctionCall
	for _, doc := range ids {
		args := map[string]any{t.id: doc}
		out = append(out, &genai.FunctionCall{ID: id(t.name, args), Name: t.name, Args: args})
	}
	return out
}

// callIDs returns a maker of call identifiers: equal for equal conversations, and
// different for each call of one, since no turn makes the same call twice. ADK
// strips identifiers that begin with "adk-".
func callIDs(turns []turn) func(name string, args map[string]any) string {
	h := sha256.New()
	for _, t := range turns {
		_, _ = fmt.Fprintf(h, "%d:%s", len(t.text), t.text)
	}
	prefix := h.Sum(nil)
	return func(name string, args map[string]any) string {
		text, err := json.Marshal(args)
		if err != nil { // strings and lists of strings always encode
			text = nil
		}
		sum := sha256.Sum256(fmt.Appendf(nil, "%x %d:%s %s", prefix, len(name), name, text))
		return "call_" + hex.EncodeToString(sum[:12])
	}
}

// work is a job with the documents it is about.
type work struct {
	job
	box    toolbox
	docs   []*document // that were read, in the order asked for
	failed []outcome   // that were not
	report *outcome    // of this turn's report; nil when none was tried
	anew   bool        // a document was read in this turn
}

// gather looks up every document of the job: this turn's outcome, or an earlier
// one.
func (w *work) gather(p past, docs map[string]outcome) {
	for _, id := range w.job.docs {
		o, now := docs[id]
		if !now {
			o = p.library.docs[id]
			o.id = id
		}
		if !o.ok {
			w.failed = append(w.failed, o)
			continue
		}
		w.anew = w.anew || now
		w.docs = append(w.docs, readDocument(o.id, o.title, o.text, o.partial, textLimit(len(w.job.docs))))
	}
}

// textLimit returns how many bytes are read of each of n documents.
func textLimit(n int) int { return min(maxText, maxTexts/n) }

// wantsReport reports whether a report is to be made: asked for, about something,
// and not made already when this is another try.
func (w *work) wantsReport() bool {
	return w.job.report && len(w.docs) > 0 && (!w.reported || w.anew)
}

// reportCall asks the tool to store the report.
func (w *work) reportCall(id func(string, map[string]any) string) *genai.FunctionCall {
	t := w.box.report
	args := map[string]any{t.title: w.reportTitle(), t.content: w.reportBody()}
	if t.sources != "" {
		var sources []any
		for _, d := range w.docs {
			sources = append(sources, d.id)
		}
		args[t.sources] = sources
	}
	return &genai.FunctionCall{ID: id(t.name, args), Name: t.name, Args: args}
}
