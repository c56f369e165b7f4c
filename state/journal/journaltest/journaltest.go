// Package journaltest has what tests of journals share.
package journaltest

import (
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/journal"
)

// Add appends entries, one by one.
func Add(t testing.TB, j jit.Journal, entries ...jit.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := j.Append(t.Context(), e); err != nil {
			t.Fatalf("Append(%s) = %v", e.Kind, err)
		}
	}
}

// All returns the entries that a filter chooses.
func All(t testing.TB, j journal.Store, f journal.Filter) (list []journal.Record) {
	t.Helper()
	for r, err := range j.Query(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// Close closes a journal before its test is over.
func Close(t testing.TB, j journal.Store) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// Life is what one task writes, as far as its first grant.
func Life(run string) []jit.Entry {
	detail := rar.Detail{Type: "document", Actions: []string{"read"}, Identifier: "doc_9982"}
	now := time.Now()
	return []jit.Entry{
		{Kind: jit.EntryTaskOpening, Time: now, Run: run, Authority: "lumodev", Session: "s1", Name: "quarterly numbers"},
		{Kind: jit.EntryTaskOpened, Time: now, Run: run, TaskID: "task_" + run, ExpiresAt: now.Add(time.Hour)},
		{Kind: jit.EntryRequest, Time: now, Run: run, TaskID: "task_" + run, CallID: "call-1", Tool: "fetch_document",
			Detail: &detail, Justification: "the user asked for doc_9982"},
		{Kind: jit.EntryGrant, Time: now, Run: run, TaskID: "task_" + run, CallID: "call-1", RequestID: "jit_1",
			Detail: &detail, ExpiresAt: now.Add(5 * time.Minute), TokenHash: "0123456789abcdef"},
	}
}
