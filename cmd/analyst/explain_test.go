package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/cmd/analyst/internal/audit"
	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/explain"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/sqlite"
)

// inState runs a command with a state directory of the test's own.
func inState(t *testing.T, dir string, args ...string) result {
	t.Helper()
	var stdout, stderr strings.Builder
	getenv := func(name string) string {
		if name == cli.EnvState {
			return dir
		}
		return ""
	}
	code := run(t.Context(), args, getenv, strings.NewReader(""), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// someTasks makes a state directory with three tasks in two sessions.
func someTasks(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i, session := range []string{"morning", "morning", "night"} {
		run, task := fmt.Sprintf("RUN%d", i+1), fmt.Sprintf("task_%d", i+1)
		for _, e := range []jit.Entry{
			{Kind: jit.EntryTaskOpening, Session: session, Name: "job " + run},
			{Kind: jit.EntryTaskOpened, TaskID: task},
			{Kind: jit.EntryCall, TaskID: task, CallID: "call-" + run, Tool: "fetch_document"},
			{Kind: jit.EntryCall, TaskID: task, CallID: "morn", Tool: "fetch_document"},
			{Kind: jit.EntryTaskCompleted, TaskID: task},
		} {
			e.Run = run
			if err := j.Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestExplainFindsWhatIsMeant(t *testing.T) {
	dir := someTasks(t)
	for _, tt := range []struct {
		id   string
		code int
		of   string   // in the story
		runs []string // told
		say  string   // on stderr
	}{
		{"nobody", cli.ExitFailed, "", nil, `no task, session or call is called "nobody"`},
		{"\x1b[2J", cli.ExitFailed, "", nil, "begins so; the newest tasks are task_3, task_2, task_1"},
		{"task_", cli.ExitFailed, "", nil, `"task_" is the beginning of several: task_1, task_2, task_3`},
		{"", cli.ExitDone, "task task_3", []string{"RUN3"}, ""},
		{"last", cli.ExitDone, "task task_3", []string{"RUN3"}, ""},
		{"task_2", cli.ExitDone, "task task_2", []string{"RUN2"}, ""},
		{"RUN1", cli.ExitDone, "task task_1", []string{"RUN1"}, ""},
		{"morning", cli.ExitDone, "session morning", []string{"RUN1", "RUN2"}, ""},
		{"nig", cli.ExitDone, "session night", []string{"RUN3"}, ""},
		{"call-RUN2", cli.ExitDone, "call call-RUN2", []string{"RUN2"}, ""},
		{"call-RUN", cli.ExitFailed, "", nil, "call call-RUN1, call call-RUN2, call call-RUN3"},
		{"morn", cli.ExitDone, "call morn", []string{"RUN1", "RUN2", "RUN3"}, ""}, // and the beginning of a session
		{"mor", cli.ExitFailed, "", nil, `"mor" is the beginning of several: session morning, call morn`},
	} {
		t.Run(tt.id, func(t *testing.T) {
			got := inState(t, dir, "explain", "--json", tt.id)
			if got.code != tt.code || !strings.Contains(got.stderr, tt.say) || (tt.say == "") != (got.stderr == "") {
				t.Fatalf("exit %d, stderr %q; want %d and %q", got.code, got.stderr, tt.code, tt.say)
			}
			if strings.ContainsRune(got.stderr, '\x1b') {
				t.Error("an escape went to the terminal")
			}
			if tt.code != cli.ExitDone {
				if got.stdout != "" || !strings.Contains(got.stderr, "hint: ") {
					t.Errorf("stdout %q, stderr %q; want nothing and a hint", got.stdout, got.stderr)
				}
				return
			}
			var s explain.Story
			if err := json.Unmarshal([]byte(got.stdout), &s); err != nil {
				t.Fatal(err)
			}
			var runs []string
			for _, task := range s.Tasks {
				runs = append(runs, task.Run)
			}
			if s.Of != tt.of || strings.Join(runs, " ") != strings.Join(tt.runs, " ") {
				t.Errorf("the story of %q with runs %v, want %q with %v", s.Of, runs, tt.of, tt.runs)
			}
			if call, ok := strings.CutPrefix(tt.of, "call "); ok && (len(s.Tasks[0].Calls) != 1 || s.Tasks[0].Calls[0].ID != call || s.Tasks[0].Omitted != 1) {
				t.Errorf("calls = %+v, want %s alone", s.Tasks[0].Calls, call)
			}
		})
	}
}

// What became of a grant has one answer, and a task is found by the same words,
// whoever is asked.
func TestTasksAndExplainAgree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, e := range []jit.Entry{
		{Kind: jit.EntryTaskOpening},
		{Kind: jit.EntryTaskOpened, TaskID: "task_1"},
		{Kind: jit.EntryGrant, TaskID: "task_1", RequestID: "jit_1", ExpiresAt: now.Add(-time.Minute), TokenHash: "0123456789abcdef"},
		{Kind: jit.EntryGrant, TaskID: "task_1", RequestID: "jit_2", ExpiresAt: now.Add(time.Hour), TokenHash: "fedcba9876543210"},
		{Kind: jit.EntryTaskCompleted, TaskID: "task_1", Issued: 2, Revoked: 2}, // an engine that counts otherwise
	} {
		e.Run = "RUN1"
		if err := j.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	var shown struct {
		Grants []struct{ State journal.GrantState }
	}
	if got := inState(t, dir, "tasks", "show", "--json", "task"); got.code != cli.ExitDone || json.Unmarshal([]byte(got.stdout), &shown) != nil {
		t.Fatalf("tasks show: %+v", got)
	}
	var told explain.Story
	if got := inState(t, dir, "explain", "--json", "task"); got.code != cli.ExitDone || json.Unmarshal([]byte(got.stdout), &told) != nil {
		t.Fatalf("explain: %+v", got)
	}
	for i, want := range []journal.GrantState{journal.GrantExpired, journal.GrantRevoked} {
		if shown.Grants[i].State != want || told.Tasks[0].Grants[i].End != want {
			t.Errorf("grant %d: tasks show says %q, explain %q, want %q", i, shown.Grants[i].State, told.Tasks[0].Grants[i].End, want)
		}
	}
	if told.Tasks[0].Issued != 2 || told.Tasks[0].Revoked != 1 {
		t.Errorf("explain counts %d issued and %d revoked, want 2 and 1", told.Tasks[0].Issued, told.Tasks[0].Revoked)
	}
}

func TestExplainWithoutAJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	for _, args := range [][]string{{"explain"}, {"audit", "verify"}, {"audit", "export"}} {
		got := inState(t, dir, args...)
		if got.code != cli.ExitFailed || got.stdout != "" || !strings.Contains(got.stderr, "hint: no run has kept a journal there yet") {
			t.Errorf("%v: %+v, want exit %d and a hint", args, got, cli.ExitFailed)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("reading made a state directory")
	}
	j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if got := inState(t, dir, "explain"); got.code != cli.ExitFailed || !strings.Contains(got.stderr, "the journal has no task yet") {
		t.Errorf("an empty journal: %+v", got)
	}
	if got := inState(t, dir, "audit", "verify"); got.code != cli.ExitDone || !strings.Contains(got.stdout, "whole: 0 entries, 0 tasks") {
		t.Errorf("an empty journal: %+v", got)
	}
}

// TestStoriesHoldNoCredential searches all that explain and audit let out, after
// runs against APIs that hand credentials around.
func TestStoriesHoldNoCredential(t *testing.T) {
	const job = "Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'."
	for _, tt := range []struct {
		name string
		api  func(*world) http.Handler
		args []string
		deny bool
	}{
		{"success", nil, []string{job}, false},
		{"denied", nil, []string{"--wait", "30s", "Summarize doc_7310"}, true},
		{"API fails and echoes", echoing(500), []string{job}, false},
		{"API refuses and echoes", echoing(403), []string{job}, false},
		{"API answers and echoes", echoing(200), []string{job}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.api)
			dir := filepath.Join(t.TempDir(), "state")
			w.env[cli.EnvState] = dir
			if tt.deny {
				w.hijack(w.denying)
			}
			w.run(append([]string{"run"}, tt.args...)...)
			if len(w.credentials()) < 2 {
				t.Fatal("no token was issued, so nothing was tested")
			}
			page := filepath.Join(t.TempDir(), "story.html")
			for _, args := range [][]string{{"explain"}, {"explain", "--json"}, {"explain", "--html", page}, {"audit", "export"}, {"audit", "verify"}} {
				got := w.run(args...)
				if got.code != cli.ExitDone || got.stdout == "" {
					t.Fatalf("%v: %+v", args, got)
				}
				if found := leaks(got.stdout+got.stderr, w.credentials()); len(found) > 0 {
					t.Errorf("%v lets out %v:\n%s", args, found, got.stdout)
				}
			}
			html, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			if found := leaks(string(html), w.credentials()); len(found) > 0 {
				t.Errorf("the page holds %v", found)
			}
			if !strings.Contains(string(html), "doc_") {
				t.Error("the page tells nothing")
			}
		})
	}
}

// TestExplainWritesThePageWhole has the page replace an earlier one, and what --force gives away, private.
func TestExplainWritesThePageWhole(t *testing.T) {
	dir, page := someTasks(t), filepath.Join(t.TempDir(), "story.html")
	if err := os.WriteFile(page, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := inState(t, dir, "explain", "--html", page, "task_1"); got.code != cli.ExitUsage || !strings.Contains(got.stderr, "--force") {
		t.Errorf("over somebody's file: %+v", got)
	}
	for _, args := range [][]string{{"--force"}, nil} { // the second one is over our own
		if got := inState(t, dir, append([]string{"explain", "--html", page, "task_1"}, args...)...); got.code != cli.ExitDone || !strings.Contains(got.stdout, page) {
			t.Errorf("%+v, want the path of the page", got)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "<!doctype html>") || !strings.HasSuffix(strings.TrimSpace(string(text)), "</html>") {
		t.Errorf("the page is %.100s", text)
	}
	if info, err := os.Stat(page); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the page is open to others: %v, %v", info.Mode(), err)
	}
	if got := inState(t, dir, "explain", "--html", filepath.Join(page, "no"), "task_1"); got.code != cli.ExitFailed || !strings.Contains(got.stderr, "write the page") {
		t.Errorf("a page that cannot be written: %+v", got)
	}
}

// TestReadingHelpExamplesRun runs the examples of the subcommands after a run.
func TestReadingHelpExamplesRun(t *testing.T) {
	t.Chdir(t.TempDir())
	dir := someTasks(t)
	p := &cli.Program{Getenv: func(string) string { return "" }}
	for _, name := range []string{"checkpoint", "export", "verify"} { // each may read what those before it wrote; the first makes a key
		cmd, _, err := audit.Command(p).Find([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(strings.ReplaceAll(cmd.Example, "\\\n", "")) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " | ")
			line, file, written := strings.Cut(line, " >")
			if before, rest, ok := strings.Cut(line, "$(cat "); ok {
				from, after, _ := strings.Cut(rest, ")")
				text, err := os.ReadFile(from)
				if err != nil {
					t.Fatal(err)
				}
				line = before + strings.TrimSpace(string(text)) + after
			}
			got := inState(t, dir, words(line)[1:]...)
			if got.code != cli.ExitDone {
				t.Errorf("%s: exit %d: %s", line, got.code, got.stderr)
			}
			if written {
				if err := os.WriteFile(file, []byte(got.stdout), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
