package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
)

// tamper changes a journal behind its back.
func tamper(t *testing.T, dir, query string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	done, err := db.ExecContext(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("nothing was changed: %v", err)
	}
}

func TestVerifyNamesTheFirstEntryThatDoesNotFit(t *testing.T) {
	const word = `UPDATE entries SET data = replace(data, 'job RUN', 'job ruN') WHERE seq = ?`
	for _, tt := range []struct {
		name  string
		query string
		seq   int
		entry int
	}{
		{"first entry changed", word, 1, 1},
		{"entry in the middle changed", word, 6, 6},
		{"entry taken out", `DELETE FROM entries WHERE seq = ?`, 7, 7},
		{"last entry taken out", `DELETE FROM entries WHERE seq = ?`, 15, 15},
		{"hash changed", `UPDATE entries SET hash = zeroblob(32) WHERE seq = ?`, 9, 9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := someTasks(t)
			if got := inState(t, dir, "audit", "verify"); got.code != cli.ExitDone || !strings.HasPrefix(got.stdout, "whole: 15 entries, 3 tasks\nhead:  15:") {
				t.Fatalf("before: %+v", got)
			}
			tamper(t, dir, tt.query, tt.seq)
			got := inState(t, dir, "audit", "verify")
			if want := fmt.Sprintf("entry %d does not fit", tt.entry); got.code != cli.ExitFailed || got.stdout != "" || !strings.Contains(got.stderr, want) {
				t.Errorf("%+v, want exit %d and %q", got, cli.ExitFailed, want)
			}
		})
	}
}

func TestVerifyAgainstAHeadKeptElsewhere(t *testing.T) {
	dir := someTasks(t)
	verify := func(args ...string) result { return inState(t, dir, append([]string{"audit", "verify"}, args...)...) }
	var report struct {
		Entries int64
		Tasks   int
		Head    string
	}
	if err := json.Unmarshal([]byte(verify("--json").stdout), &report); err != nil || report.Entries != 15 || report.Tasks != 3 {
		t.Fatalf("report %+v, %v", report, err)
	}
	head := regexp.MustCompile(`head: +(\S+)`).FindStringSubmatch(verify().stdout)
	if len(head) != 2 || head[1] != report.Head {
		t.Fatalf("head %v, want %s", head, report.Head)
	}
	other := strings.Replace(report.Head, "15:", "14:", 1)
	for _, tt := range []struct {
		args []string
		code int
		say  string
	}{
		{[]string{"--head", report.Head}, cli.ExitDone, ""},
		{[]string{"--head", report.Head, "--head", report.Head}, cli.ExitDone, ""},
		{[]string{"--head", other}, cli.ExitFailed, "entry 14 does not fit: it is not the one that was recorded elsewhere"},
		{[]string{"--head", report.Head, "--head", other}, cli.ExitFailed, "entry 14"},
		{[]string{"--head", strings.Replace(report.Head, "15:", "99:", 1)}, cli.ExitFailed, "entry 16 does not fit: it is missing"},
		{[]string{"--head", "15"}, cli.ExitUsage, "NUMBER:HASH"},
		{[]string{"--head", strings.ToUpper(report.Head)}, cli.ExitUsage, "NUMBER:HASH"},
		{[]string{"--head", ""}, cli.ExitUsage, "NUMBER:HASH"},
		{[]string{"more"}, cli.ExitUsage, "unknown command"},
	} {
		if got := verify(tt.args...); got.code != tt.code || !strings.Contains(got.stderr, tt.say) || (tt.code == cli.ExitDone) != (got.stdout != "") {
			t.Errorf("%v: %+v, want exit %d and %q", tt.args, got, tt.code, tt.say)
		}
	}
}

func TestExportChoosesEntries(t *testing.T) {
	dir := someTasks(t)
	all := inState(t, dir, "audit", "export")
	if all.code != cli.ExitDone || strings.Count(all.stdout, "\n") != 15 {
		t.Fatalf("%+v, want 15 lines", all)
	}
	for _, tt := range []struct {
		args []string
		code int
		runs string // of the lines, without repeats
		n    int
		say  string
	}{
		{[]string{"--task", "task_2"}, cli.ExitDone, "RUN2", 5, ""},
		{[]string{"--task", "last"}, cli.ExitDone, "RUN3", 5, ""},
		{[]string{"--task", "RUN1"}, cli.ExitDone, "RUN1", 5, ""},
		{[]string{"--session", "morning"}, cli.ExitDone, "RUN1 RUN2", 10, ""},
		{[]string{"--since", "1h"}, cli.ExitDone, "RUN1 RUN2 RUN3", 15, ""},
		{[]string{"--since", time.Now().Add(time.Hour).Format(time.RFC3339)}, cli.ExitDone, "", 0, ""},
		{[]string{"--since", "0s", "--session", "morning"}, cli.ExitDone, "", 0, ""},
		{[]string{"--since", "soon"}, cli.ExitUsage, "", 0, "--since"},
		{[]string{"--task", "morning"}, cli.ExitFailed, "", 0, "session morning is no task"},
		{[]string{"--session", "task_1"}, cli.ExitFailed, "", 0, "task_1 is no session"},
		{[]string{"--session", "nobody"}, cli.ExitFailed, "", 0, "nobody"},
		{[]string{"--task", "task_1", "--session", "morning"}, cli.ExitUsage, "", 0, "exclude each other"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			got := inState(t, dir, append([]string{"audit", "export"}, tt.args...)...)
			if got.code != tt.code || !strings.Contains(got.stderr, tt.say) {
				t.Fatalf("%+v, want exit %d and %q", got, tt.code, tt.say)
			}
			var runs []string
			last, n := 0, 0
			for line := range strings.Lines(got.stdout) {
				n++
				var l struct {
					Entry struct {
						Seq int
						Run string
					}
					Hash string
				}
				if err := json.Unmarshal([]byte(line), &l); err != nil || l.Hash == "" || l.Entry.Seq <= last {
					t.Errorf("line %q after entry %d: %v", line, last, err)
				}
				if !strings.Contains(all.stdout, line) {
					t.Errorf("the line is not as the journal has it: %q", line)
				}
				last = l.Entry.Seq
				if len(runs) == 0 || runs[len(runs)-1] != l.Entry.Run {
					runs = append(runs, l.Entry.Run)
				}
			}
			if n != tt.n || strings.Join(runs, " ") != tt.runs {
				t.Errorf("%d lines of %v, want %d of %s", n, runs, tt.n, tt.runs)
			}
		})
	}
}

// TestDamagedEntryStopsTheStory has explain and export say which entry cannot be
// read, and what tells more.
func TestDamagedEntryStopsTheStory(t *testing.T) {
	dir := someTasks(t)
	tamper(t, dir, `UPDATE entries SET data = '{}' WHERE seq = ?`, 12)
	for _, args := range [][]string{{"explain", "task_3"}, {"audit", "export"}} {
		got := inState(t, dir, args...)
		if got.code != cli.ExitFailed || !strings.Contains(got.stderr, "entry 12 does not fit") || !strings.Contains(got.stderr, "hint: analyst audit verify") {
			t.Errorf("%v: %+v, want entry 12 and a hint", args, got)
		}
	}
	if got := inState(t, dir, "explain", "task_1"); got.code != cli.ExitDone {
		t.Errorf("a task before it: %+v", got)
	}
}
