package audit

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// ocsfRecords are entries with as much in them as an event takes up, and with as little.
func ocsfRecords() []journal.Record {
	at := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	full := jit.Entry{
		Time: at, Run: "run-1", Authority: "https://auth.example.com/acme/agent", Session: "session-1", OnBehalfOf: "alice", Trace: "4bf92f3577b34da6a3ce929d0e0e4736",
		CallID: "call_1", Tool: "create_report", RequestID: "req_1", Method: "POST", URL: "https://api.example.com/v1/reports", HTTPStatus: 201, Error: "it broke",
	}
	var records []journal.Record
	for _, kind := range []jit.EntryKind{
		jit.EntryTaskOpening, jit.EntryTaskOpened, jit.EntryCall, jit.EntryRefused, jit.EntryBlocked, jit.EntryRequest, jit.EntryDecision, jit.EntryGrant,
		jit.EntryUse, jit.EntryCallSent, jit.EntryCallReturned, jit.EntryCallEnded, jit.EntryTaskSuspended, jit.EntryTaskResumed,
		jit.EntryTaskCompleting, jit.EntryTaskCompleted, journal.EntryTaskAttempt, journal.EntryTaskExpired, journal.EntryTaskUnknown,
		journal.EntryPruned, journal.EntryLoss,
	} {
		e := full
		e.Kind = kind
		records = append(records, journal.Record{Entry: e, Owner: "owner-1"}, journal.Record{Entry: jit.Entry{Kind: kind, Time: at}})
	}
	for i := range records {
		records[i].Seq = int64(i + 1)
	}
	return records
}

func TestOCSF(t *testing.T) {
	for _, row := range []struct {
		entry                      jit.Entry
		activity, severity, status int
	}{
		{jit.Entry{Kind: jit.EntryTaskOpening}, 99, 1, 1},
		{jit.Entry{Kind: jit.EntryUse, Method: "GET"}, 2, 1, 1},
		{jit.Entry{Kind: jit.EntryCallSent, Method: "POST"}, 1, 1, 1},
		{jit.Entry{Kind: jit.EntryCallReturned, Method: "DELETE", Outcome: jit.OutcomeInDoubt}, 4, 3, 2},
		{jit.Entry{Kind: jit.EntryDecision, Status: jit.StatusApproved}, 99, 1, 1},
		{jit.Entry{Kind: jit.EntryDecision, Status: jit.StatusDenied}, 99, 2, 2},
		{jit.Entry{Kind: jit.EntryBlocked}, 99, 3, 2},
		{jit.Entry{Kind: journal.EntryTaskUnknown}, 99, 4, 2},
	} {
		line, err := ocsfLine(journal.Record{Entry: row.entry, Seq: 7})
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Activity int `json:"activity_id"`
			Type     int `json:"type_uid"`
			Severity int `json:"severity_id"`
			Status   int `json:"status_id"`
			Unmapped struct{ Entry struct{ Kind string } }
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		if got.Activity != row.activity || got.Type != 600300+row.activity || got.Severity != row.severity || got.Status != row.status || got.Unmapped.Entry.Kind != string(row.entry.Kind) {
			t.Errorf("%v makes %s", row.entry, line)
		}
	}
}

// TestOCSFSchema holds events of every kind to the published schema.
func TestOCSFSchema(t *testing.T) {
	python := os.Getenv("OCSF_PYTHON")
	if python == "" {
		t.Skip("OCSF_PYTHON names no Python with ocsf-json-schema and jsonschema")
	}
	check := func(events []byte) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), python, "testdata/ocsf.py") //nolint:gosec // as the environment says
		cmd.Stdin = bytes.NewReader(events)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	var events []byte
	for _, r := range ocsfRecords() {
		line, err := ocsfLine(r)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, line...)
	}
	if wrong := check(events); wrong != "" {
		t.Error(wrong)
	}
	first, _, _ := bytes.Cut(events, []byte("\n"))
	broken := bytes.Replace(first, []byte(`"severity_id":`), []byte(`"severity":`), 1)
	if wrong := check(broken); !strings.Contains(wrong, "severity_id") {
		t.Errorf("an event that does not fit passes: %q", wrong)
	}
}
