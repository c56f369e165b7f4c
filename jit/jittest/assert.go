package jittest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/rar"
)

// fail reports a failure with the story of what happened.
func (w *World) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("jittest: %s\nWhat happened:\n%s", w.scrub(fmt.Sprintf(format, args...)), w.Story())
}

// fatal is fail, and ends the test.
func (w *World) fatal(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("jittest: %s\nWhat happened:\n%s", w.scrub(fmt.Sprintf(format, args...)), w.Story())
}

// AskedExactly fails the test unless authority was asked for each of the details
// once, in any order, and for nothing else.
func (w *World) AskedExactly(details ...rar.Detail) {
	w.t.Helper()
	if diff := cmp.Diff(lines(details), lines(w.asked())); diff != "" {
		w.fail("authority was asked for something else (-want +got):\n%s", diff)
	}
}

// AskedNothing fails the test if any authority was asked for.
func (w *World) AskedNothing() {
	w.t.Helper()
	if got := w.asked(); len(got) > 0 {
		w.fail("authority was asked for, and should not have been:\n%s", bullets(lines(got)))
	}
}

// AskedWithin fails the test if authority was asked for that lies within none of
// the details.
func (w *World) AskedWithin(ceiling ...rar.Detail) {
	w.t.Helper()
	var outside []string
	for _, d := range w.asked() {
		if _, err := rar.WithinAny(d, ceiling); err != nil {
			outside = append(outside, line(d)+": "+err.Error())
		}
	}
	if len(outside) > 0 {
		w.fail("authority was asked for outside of what was allowed:\n%s", bullets(outside))
	}
}

func (w *World) asked() (all []rar.Detail) {
	for _, a := range w.Asked() {
		all = append(all, a.Detail)
	}
	return all
}

// Calls fails the test unless the API received n calls, refused ones among them.
func (w *World) Calls(n int) {
	w.t.Helper()
	if got := len(w.received()); got != n {
		w.fail("the API received %d calls, want %d", got, n)
	}
}

// Used fails the test unless n calls of the API carried a granted token.
func (w *World) Used(n int) {
	w.t.Helper()
	got := 0
	for _, e := range w.received() {
		if isGranted(e.credential) {
			got++
		}
	}
	if got != n {
		w.fail("%d calls of the API carried a granted token, want %d", got, n)
	}
}

// OneKey fails the test unless the API received calls that may change something,
// and all of them carried one and the same Idempotency-Key.
func (w *World) OneKey() {
	w.t.Helper()
	var got []string
	keys := map[string]bool{}
	for _, e := range w.received() {
		if safe(e.method) {
			continue
		}
		keys[e.key] = true
		got = append(got, fmt.Sprintf("%s %s with the key %q -> %d", e.method, e.path, e.key, e.status))
	}
	switch {
	case len(got) == 0:
		w.fail("the API received no call that may change something, so there was no key")
	case len(keys) > 1 || keys[""]:
		w.fail("the calls that may change something did not carry one Idempotency-Key:\n%s", bullets(got))
	}
}

// safe reports whether a method is safe (RFC 9110, section 9.2.1).
func safe(method string) bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace}, method)
}

// NothingLeft completes the world's task, if it was opened, and fails the test if
// any token is alive or any task open, be it one that somebody else opened.
func (w *World) NothingLeft() {
	w.t.Helper()
	w.finish()
	var left []string
	snapshot := w.auth.Snapshot()
	if snapshot.LiveTokens > 0 {
		left = append(left, fmt.Sprintf("tokens: %d", snapshot.LiveTokens))
	}
	for _, task := range snapshot.Tasks {
		if task.State == "active" {
			left = append(left, fmt.Sprintf("task %s (%s)", task.ID, task.Name))
		}
	}
	if len(left) > 0 {
		w.fail("something is left that was not given back:\n%s", bullets(left))
	}
}

// finish completes the world's task if there is one.
func (w *World) finish() {
	w.t.Helper()
	if w.record.task() != nil {
		w.Complete()
	}
}

// line names a detail in full.
func line(d rar.Detail) string {
	text, err := d.Canonical()
	if err != nil {
		return "(not valid) " + d.String()
	}
	return string(text)
}

// lines returns the details' names in order, so that two lists compare as sets
// that count.
func lines(details []rar.Detail) []string {
	all := make([]string, 0, len(details))
	for _, d := range details {
		all = append(all, line(d))
	}
	slices.Sort(all)
	return all
}

func bullets(list []string) string { return "  - " + strings.Join(list, "\n  - ") }
