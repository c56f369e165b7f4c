package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/explain"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/sqlite"
)

// manyRuns is how many runs the large journal has. A run has about the entries of one
// that reads a document and makes a report.
const manyRuns = 100_000

// explainInLarge tells the last run of a large journal.
func explainInLarge() measure {
	return measure{
		name: "explain the last of 100 000 runs", floor: "of 10", goal: goal{ratio: 1.5},
		open: func(t *testing.T) pair {
			among := func(runs int) (*sqlite.Journal, side) {
				j := newJournal(t)
				fill(t, j, runs)
				return j, does(func() error { return explainLast(t.Context(), j) })
			}
			j, ours := among(manyRuns)
			_, floor := among(10)
			return pair{ours: ours, floor: floor, notes: func(row) []string {
				return []string{fmt.Sprintf("%.1f kB a run on disk", float64(must(os.Stat(j.Path()))(t).Size())/manyRuns/1000)}
			}}
		},
	}
}

// fill writes the entries of runs, in order.
func fill(t *testing.T, j *sqlite.Journal, runs int) {
	for i := range runs {
		run := strings.ToUpper(fmt.Sprintf("%026x", uint64(i)*0x9e3779b97f4a7c15))
		detail := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: fmt.Sprint("doc_", i), Locations: []string{"https://api.example.com"}}
		now := time.Now()
		note := func(kind jit.EntryKind, more jit.Entry) {
			more.Kind, more.Run, more.TaskID, more.CallID, more.Tool, more.Time = kind, run, "task_"+run[6:], "call-"+run[:8], "fetch_document", now
			j.Note(more)
		}
		note(jit.EntryTaskOpening, jit.Entry{Authority: "https://lumoauth.example.com/acme/analyst", Session: run, Name: "analyst: Summarize it, and create a report"})
		note(jit.EntryTaskOpened, jit.Entry{ExpiresAt: now.Add(time.Hour)})
		for n := range 2 {
			key := fmt.Sprintf("%032x", uint64(2*i+n)*0xd1342543de82ef95)
			at := jit.Entry{Method: "POST", URL: "https://api.example.com/v1/documents/" + detail.Identifier, IdempotencyKey: key}
			granted := jit.Entry{Detail: &detail, RequestID: "jit_" + key[:20], ExpiresAt: now.Add(5 * time.Minute)}
			hashed := granted
			hashed.TokenHash = key
			note(jit.EntryCall, jit.Entry{Ceiling: []rar.Detail{detail, detail}, Args: []byte(`{"document_id":"` + detail.Identifier + `"}`)})
			note(jit.EntryCallSent, at)
			note(jit.EntryRefused, jit.Entry{Demanded: []rar.Detail{detail}, Method: at.Method, URL: at.URL, HTTPStatus: 403})
			note(jit.EntryRequest, jit.Entry{Detail: &detail, Justification: "Read document " + detail.Identifier})
			note(jit.EntryDecision, granted)
			note(jit.EntryGrant, hashed)
			note(jit.EntryCallSent, at)
			note(jit.EntryCallReturned, at)
			note(jit.EntryCallEnded, jit.Entry{Result: "ok"})
		}
		if i%100 == 99 || i == runs-1 {
			check(t, j.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskCompleting, Run: run}))
		}
		note(jit.EntryTaskCompleted, jit.Entry{Issued: 2, Revoked: 2})
	}
}

// explainLast does what analyst explain does.
func explainLast(ctx context.Context, j *sqlite.Journal) error {
	tasks, err := j.Tasks(ctx, journal.TaskFilter{Newest: 1})
	if err != nil {
		return err
	}
	var records []journal.Record
	for _, f := range []journal.Filter{
		{Run: tasks[0].Run}, {Kinds: []jit.EntryKind{journal.EntryPruned, journal.EntryLoss}, After: tasks[0].FirstSeq - 1},
	} {
		for r, err := range j.Query(ctx, f) {
			if err != nil {
				return err
			}
			records = append(records, r)
		}
	}
	if len(records) < 20 {
		return fmt.Errorf("%d entries of the last run", len(records))
	}
	return explain.Build(records, explain.Options{}).WriteText(io.Discard, time.UTC)
}
