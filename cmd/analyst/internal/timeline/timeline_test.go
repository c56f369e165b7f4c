package timeline_test

import (
	"bytes"
	"flag"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/cmd/analyst/internal/timeline"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestTimeline shows every event that there is, with hostile texts in them.
func TestTimeline(t *testing.T) {
	now := time.Now()
	read := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_1"}
	about := jit.About{Time: now, TaskID: "task_1", CallID: "call_1", Tool: "fetch_document"}
	var out bytes.Buffer
	timeline := timeline.New(&out, timeline.Style{})
	for _, e := range []runner.Event{
		runner.Started{Time: now, Session: "s", Agent: "a"},
		jit.TaskOpened{About: about},
		runner.ToolCalled{Time: now, CallID: "call_1", Tool: "fetch_document", Args: map[string]any{"b": "two\x1b[2J", "a": strings.Repeat("long ", 40)}},
		jit.Refused{About: about, Method: "GET", URL: "https://api.test/v1/documents/doc_1", StatusCode: 403, Demanded: []rar.Detail{read}},
		jit.Blocked{About: about, Demanded: read, Reason: "rar: outside the ceiling"},
		jit.Requested{About: about, Detail: read, Justification: "Read\ndocument \x1b]0;pwned\x07"},
		jit.Requested{About: about, Detail: read, Ahead: true},
		jit.Decided{About: about, Detail: read, RequestID: "jit_1", Status: jit.StatusPending, Risk: "high", DecideAt: "https://lumo.test/jit/approve/jit_1"},
		jit.Decided{About: about, Detail: read, RequestID: "jit_1", Status: jit.StatusApproved, Risk: "low", TTL: 5 * time.Minute},
		jit.Decided{About: about, Detail: read, RequestID: "jit_1", Status: jit.StatusDenied, Message: "not \u202etoday"},
		jit.Decided{About: about, Detail: read, RequestID: "jit_1", Status: jit.StatusApproved, DecidedBy: "ann\x1b[1m@acme.test"},
		jit.Granted{About: about, Detail: read, RequestID: "jit_1", Origin: "https://api.test", ExpiresAt: now.Add(5 * time.Minute)},
		jit.LeftInDoubt{About: about, Method: "POST", URL: "https://api.test/v1/reports", IdempotencyKey: "jit-1", Error: "the answer\nbroke off"},
		jit.Cleared{About: about, IdempotencyKey: "jit-1"},
		runner.HistoryCut{Time: now, Session: "s", Kept: 1000},
		jit.Granted{About: about, Detail: read, RequestID: "jit_1", ExpiresAt: now.Add(90 * time.Second)},
		runner.ToolReturned{Time: now, Tool: "fetch_document", Status: "ok", Result: map[string]any{"title": "T", "content": "four", "path": "t.md"}},
		runner.ToolReturned{Time: now, Tool: "fetch_document", Status: "pending", Error: "waiting"},
		runner.ToolReturned{Time: now, Tool: "fetch_document", Status: "denied", Error: "no"},
		jit.Completed{About: about, Revoked: 1},
		jit.Completed{About: about, Revoked: 2},
		jit.Completed{About: about, Error: "connection refused"},
		jit.Completed{},
		runner.Finished{Time: now, Outcome: runner.Done, ModelCalls: 3, ToolCalls: 1, Elapsed: 1400 * time.Millisecond},
		runner.Finished{Time: now, Outcome: runner.Failed, Elapsed: 14 * time.Millisecond},
	} {
		timeline.Show(e)
	}
	got := regexp.MustCompile(`(?m)^ *\d+\.\d+s`).ReplaceAllString(out.String(), "   0.000s")
	const golden = "testdata/timeline.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("timeline (-want +got):\n%s", diff)
	}
	if strings.ContainsAny(got, "\x1b\x07\u202e") {
		t.Error("a control character reached the terminal")
	}
}

func TestColourOnlyWhenAsked(t *testing.T) {
	for _, colour := range []bool{true, false} {
		var out bytes.Buffer
		timeline.New(&out, timeline.Style{Color: colour}).Show(jit.TaskOpened{})
		if got := strings.Contains(out.String(), "\x1b["); got != colour {
			t.Errorf("NewTimeline(colour %v) wrote %q", colour, out.String())
		}
	}
}

// TestTerminal: at a terminal no line is longer than it, what continues a line stands
// under its text, an address that has no room there is whole on a line of its own, and
// what is waited for leaves nothing behind.
func TestTerminal(t *testing.T) {
	var out bytes.Buffer
	shown := timeline.New(&out, timeline.Style{Width: 80})
	call := runner.ToolCalled{Tool: "create_report", Args: map[string]any{"title": "a < b & c", "content": strings.Repeat("word ", 30), "url": "https://api.test/" + strings.Repeat("x", 90)}}
	shown.Show(call)
	shown.Wait(call)
	shown.Show(runner.ToolReturned{Tool: "create_report", Status: "ok"})
	where := "https://lumo.test/orgs/acme/jit/approve/" + strings.Repeat("x", 30)
	shown.Show(jit.Decided{RequestID: "jit_1", Status: jit.StatusPending, DecideAt: where})
	text := out.String()
	if !strings.Contains(text, "\n"+where+"\n") {
		t.Errorf("the address is not on a line of its own:\n%s", text)
	}
	if !strings.Contains(text, `"a < b & c"`) {
		t.Errorf("arguments are escaped:\n%s", text)
	}
	head, rest, ok := strings.Cut(text, "the API is asked ...\r\x1b[K")
	if !ok {
		t.Fatalf("nothing is waited for, or it stays:\n%q", text)
	}
	lines := strings.Split(strings.TrimRight(head, " "), "\n")
	if len(lines) < 4 {
		t.Errorf("the line is not folded:\n%s", head)
	}
	for i, line := range lines {
		if line != "" && !strings.Contains(line, " ") {
			continue // the address
		}
		if len([]rune(line)) > 80 || i > 0 && i < len(lines)-1 && !strings.HasPrefix(line, strings.Repeat(" ", 19)) {
			t.Errorf("line %d: %q", i, line)
		}
	}
	if !strings.Contains(rest, "create_report: ok") {
		t.Errorf("afterwards: %q", rest)
	}
}

// TestAddresses: what is at the API is named without its address, and nothing else is.
func TestAddresses(t *testing.T) {
	u, err := url.Parse("https://api.test")
	if err != nil {
		t.Fatal(err)
	}
	api, err := jit.OriginOf(u)
	if err != nil {
		t.Fatal(err)
	}
	at := func(locations ...string) rar.Detail {
		return rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_1", Locations: locations}
	}
	for _, tt := range []struct {
		event runner.Event
		want  string
	}{
		{jit.Refused{Method: "GET", URL: "https://api.test/v1/documents/a%2Fb", StatusCode: 403, Demanded: []rar.Detail{at("https://api.test")}}, "403 GET /v1/documents/a%2Fb; it demands file_access read doc_1 at the API\n"},
		{jit.Refused{Method: "GET", URL: "https://api.test.example/v1", StatusCode: 403, Demanded: []rar.Detail{at("https://api.test:8443")}}, "403 GET https://api.test.example/v1; it demands file_access read doc_1 locations=https://api.test:8443\n"},
		{jit.Blocked{Demanded: at("https://api.test", "https://other.test"), Reason: "no"}, "locations=https://api.test,https://other.test: no\n"},
		{jit.Requested{Detail: at("the API")}, "locations=\"the API\", because"},
		{jit.Granted{Detail: at(), Origin: "https://api.test"}, "bound to the API\n"},
		{jit.Granted{Detail: at(), Origin: "https://other.test"}, "bound to https://other.test\n"},
		{jit.LeftInDoubt{Method: "POST", URL: "https://api.test/v1/reports"}, "POST /v1/reports may have"},
	} {
		var out bytes.Buffer
		timeline.New(&out, timeline.Style{API: api}).Show(tt.event)
		if !strings.Contains(out.String(), tt.want) {
			t.Errorf("%T is shown as %q, want %q in it", tt.event, out.String(), tt.want)
		}
	}
}
