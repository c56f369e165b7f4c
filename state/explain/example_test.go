package explain_test

import (
	"encoding/json"
	"os"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/explain"
	"github.com/jitagent/jitagent/state/journal"
)

func ExampleBuild() {
	began := time.Date(2026, 11, 2, 14, 2, 3, 0, time.UTC)
	records := []journal.Record{
		{Seq: 1, Owner: "P", Entry: jit.Entry{Kind: jit.EntryTaskOpening, Run: "R", Time: began, Name: "quarterly numbers"}},
		{Seq: 2, Owner: "P", Entry: jit.Entry{Kind: jit.EntryTaskOpened, Run: "R", TaskID: "task_1", Time: began.Add(10 * time.Millisecond)}},
		{Seq: 3, Owner: "P", Entry: jit.Entry{Kind: jit.EntryCall, Run: "R", CallID: "call-1", Tool: "create_report", Args: json.RawMessage(`{"title":"Q4"}`), Time: began.Add(20 * time.Millisecond)}},
		{Seq: 4, Owner: "P", Entry: jit.Entry{Kind: jit.EntryCallSent, Run: "R", CallID: "call-1", Tool: "create_report", Method: "POST", URL: "https://api.acme-corp.example/reports", IdempotencyKey: "k1", Time: began.Add(30 * time.Millisecond)}},
	}
	story := explain.Build(records, explain.Options{Gone: map[string]bool{"R": true}})
	_ = story.WriteText(os.Stdout, time.UTC)
	// Output:
	// Task task_1: “quarterly numbers”
	//   state         open
	//   run           R
	//   began         Mon 2 Nov 2026 14:02:03 UTC
	//
	//   The model made 1 call: 1 cut off.
	//   1 request that may change something was sent to the API: 1 in doubt.
	//   The process died 30 ms into the task, or later. Nobody has recovered the task
	//   yet.
	//   The task is still open. No token was issued.
	//
	//   Call 1: create_report(title: "Q4") — cut off
	//     id            call-1
	//     may ask for   nothing
	//     14:02:03.020  The model called create_report(title: "Q4").
	//     14:02:03.030  Sent POST https://api.acme-corp.example/reports, with the
	//                   agent's own token. Idempotency-Key k1.
	//     14:02:03.030  Nothing more of this call is recorded: the process died. POST
	//                   https://api.acme-corp.example/reports (Idempotency-Key k1) was
	//                   sent and has no outcome: in doubt.
	//
	//   The task itself
	//     14:02:03.000  Asked the authorization server to open a task.
	//     14:02:03.010  The authorization server opened it as task task_1.
	//     14:02:03.030  The process died here or later: its last entry is of
	//                   14:02:03.030; the process is gone, and nobody has taken the
	//                   task over yet.
	//
	//   Requests that may change something
	//     in doubt        POST https://api.acme-corp.example/reports, Idempotency-Key
	//                     k1: sent once. It was sent, and the process died before an
	//                     answer was recorded: in doubt.
}
