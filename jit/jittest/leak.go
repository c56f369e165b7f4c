package jittest

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/secret"
)

// maxOutput bounds what is read of an output that is a reader.
const maxOutput = 64 << 20

// NothingLeaked fails the test if one of the outputs holds a credential: a token of
// the agent or of the task, or the client secret, as [secret.Scrubber] finds them: in
// whatever spelling, and of a JWT its signature. An output is a string, a []byte, an [io.Reader], which is read to its end, or anything else, of
// which every form is searched that package fmt or encoding/json gives it.
//
// The log (see [World.Logger]), the events, and what another host received are
// searched always. It is a failure, too, when no token was issued yet, since then
// nothing was tested.
func (w *World) NothingLeaked(outputs ...any) {
	w.t.Helper()
	var known []credential
	var elsewhere []string
	w.record.read(func() {
		known = append(known, w.record.known...)
		elsewhere = append(elsewhere, w.record.elsewhere...)
	})
	tokens := 0
	for _, c := range known {
		if c.name == agentToken || isGranted(c.name) {
			tokens++
		}
	}
	if tokens == 0 {
		w.fail("no token was issued, so none can have leaked")
	}
	var found []string
	search := func(where string, v any) {
		forms, err := texts(v)
		if err != nil {
			w.fail("%s cannot be read: %v", where, err)
		}
		for _, c := range known {
			if holds(forms, c.value) {
				found = append(found, where+" holds "+c.name)
			}
		}
	}
	for i, v := range outputs {
		search(fmt.Sprintf("output %d (%T)", i+1, v), v)
	}
	search("the log", w.log.String())
	for _, e := range w.Events() {
		search("the event "+e.Kind(), e)
	}
	for _, text := range elsewhere {
		search("a call of another host", text)
	}
	if len(found) > 0 {
		w.fail("credentials leaked:\n%s", bullets(found))
	}
}

// texts returns the forms in which v may be printed.
func texts(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []byte:
		return []string{string(v)}, nil
	case io.Reader:
		b, err := strictjson.ReadAll(v, maxOutput)
		return []string{string(b)}, err
	}
	all := []string{fmt.Sprintf("%v", v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v), fmt.Sprintf("%q", v)}
	if b, err := json.Marshal(v); err == nil { // what cannot be encoded is not
		all = append(all, string(b))
	}
	return all, nil
}

// holds reports whether a text holds a credential in any spelling.
func holds(texts []string, value secret.String) bool {
	var s secret.Scrubber
	s.Add(value)
	return slices.ContainsFunc(texts, func(text string) bool { return s.Scrub(text) != text })
}
