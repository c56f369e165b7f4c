package runner_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The JSON of events is an interface for programs: it only gains fields.
func TestEventsAsJSON(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 5e6, time.UTC)
	later := at.Add(5 * time.Minute)
	about := jit.About{Time: at, TaskID: "task_1", CallID: "call_1", Tool: "fetch_document"}
	d := rar.Detail{Type: "file_access", Locations: []string{"https://api.example.com"}, Actions: []string{"read"}, Identifier: "doc_1"}
	events := []runner.Event{
		runner.Started{Time: at, Session: "s", Agent: "analyst"},
		runner.Text{Time: at, Text: "Churn <rose>\nby 4.2 %"},
		runner.Text{Time: at, Text: "Ch", Partial: true},
		runner.Text{Time: at, Text: "Churn", Final: true},
		runner.ToolCalled{Time: at, CallID: "call_1", Tool: "fetch_document", Args: map[string]any{"document_id": "doc_1"}},
		runner.ToolReturned{Time: at, CallID: "call_1", Tool: "fetch_document", Status: "ok", Result: map[string]any{"id": "doc_1"}},
		runner.ToolReturned{Time: at, CallID: "call_1", Tool: "fetch_document", Status: "pending", Error: "waiting", RequestID: "req_1", Result: map[string]any{"error": "waiting"}},
		runner.Finished{Time: at, Outcome: runner.Done, Answer: "Churn rose.", ModelCalls: 2, ToolCalls: 1, Elapsed: time.Second, Usage: runner.Usage{Prompt: 1, Candidates: 2, Total: 3}},
		runner.Finished{Time: at, Outcome: runner.Failed, Error: "runner: the model gave no answer"},
		jit.TaskOpened{About: jit.About{Time: at, TaskID: "task_1"}, ExpiresAt: later},
		jit.Refused{About: about, Method: "GET", URL: "https://api.example.com/v1/documents/doc_1", StatusCode: 403, Demanded: []rar.Detail{d}},
		jit.Blocked{About: about, Demanded: d, Reason: "actions: \"write\" is outside"},
		jit.Requested{About: about, Detail: d, Justification: "Read document doc_1", Ahead: true},
		jit.Decided{About: about, Detail: d, RequestID: "req_1", Status: jit.StatusPending, Risk: "high", ExpiresAt: later, DecideAt: "https://auth.example.com/jit", Waited: time.Second},
		jit.Decided{About: about, Detail: d, RequestID: "req_1", Status: jit.StatusApproved, Risk: "low", TTL: time.Minute, Message: "go on"},
		jit.Granted{About: about, Detail: d, RequestID: "req_1", Origin: "https://api.example.com", ExpiresAt: later},
		jit.Completed{About: jit.About{Time: at, TaskID: "task_1"}, Revoked: 1, Issued: 2},
		jit.Completed{About: jit.About{Time: at, TaskID: "task_1"}, Error: "jit: complete task task_1: 503"},
		bare{},
	}
	var got bytes.Buffer
	for _, e := range events {
		line, err := runner.MarshalEvent(e)
		if err != nil {
			t.Fatalf("MarshalEvent(%T) = %v", e, err)
		}
		got.Write(append(line, '\n'))
	}
	golden := filepath.Join("testdata", "events.jsonl")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("run with -update if this is meant (-want +got):\n%s", diff)
	}
}

// bare is an event without fields.
type bare struct{}

func (bare) Kind() string { return "bare" }

// odd events cannot be written.
type odd struct{ err error }

func (odd) Kind() string                   { return "odd" }
func (o odd) MarshalJSON() ([]byte, error) { return nil, o.err }

type list []int

func (list) Kind() string { return "list" }

func TestEventsThatAreNoObjects(t *testing.T) {
	if line, err := runner.MarshalEvent(odd{errDisk}); !errors.Is(err, errDisk) {
		t.Errorf("MarshalEvent() = %s, %v, want the encoder's error", line, err)
	}
	for _, e := range []runner.Event{list{1, 2}, (*runner.Text)(nil), nil} {
		if line, err := runner.MarshalEvent(e); err == nil {
			t.Errorf("MarshalEvent(%T) = %s, want an error", e, line)
		}
	}
}
