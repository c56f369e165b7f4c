package main

import (
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
)

// all calls visit with each command of analyst, and the words that name it.
func all(cmd *cobra.Command, words []string, visit func(*cobra.Command, []string)) {
	visit(cmd, words)
	for _, sub := range cmd.Commands() {
		all(sub, append(words[:len(words):len(words)], sub.Name()), visit)
	}
}

// fits fails the test for each line that is wider than a usual terminal, unless it is one
// word, which stays whole so that it can be copied.
func fits(t *testing.T, what, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if n := uniseg.StringWidth(line); n > cli.Columns && len(strings.Fields(line)) > 1 {
			t.Errorf("%s: %d columns: %s", what, n, line)
		}
	}
}

// TestLinesFit reads every help text, and what the commands print, at 80 columns.
func TestLinesFit(t *testing.T) {
	dir := t.TempDir() // whose name is longer on one machine than on another
	t.Chdir(dir)
	getenv := private(t, map[string]string{cli.EnvState: "state"})
	said := func(args ...string) {
		t.Helper()
		var stdout strings.Builder
		run(t.Context(), args, getenv, strings.NewReader(""), &stdout, io.Discard)
		if stdout.Len() == 0 {
			t.Errorf("%q says nothing", args)
		}
		fits(t, strings.Join(args, " "), strings.ReplaceAll(stdout.String(), dir, "/home/ada"))
	}
	all(command(&cli.Program{Getenv: getenv}), nil, func(_ *cobra.Command, words []string) {
		if len(words) < 2 || words[0] != "completion" { // cobra's own
			said(append(words, "--help")...)
		}
	})
	run(t.Context(), []string{"run", job}, getenv, strings.NewReader(""), io.Discard, io.Discard)
	for _, line := range []string{"models", "doctor", "tasks", "tasks show last", "explain", "audit verify", "version", "sweep"} {
		said(strings.Fields(line)...)
	}
}

// TestManual: the page has every command and flag, and no line of a text is taken for a
// request to the formatter.
func TestManual(t *testing.T) {
	root := command(&cli.Program{Getenv: private(t, nil)})
	text := page(root)
	all(root, nil, func(cmd *cobra.Command, words []string) {
		if len(words) > 0 && words[0] != "completion" && words[0] != "help" && !strings.Contains(text, ".SS "+roff(cmd.UseLine())+"\n") {
			t.Errorf("%q is not in the page", words)
		}
	})
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, ".") && !regexp.MustCompile(`^\.(TH|SH|SS|PP|nf|fi)\b`).MatchString(line) || strings.HasPrefix(line, "'") {
			t.Errorf("a line is a request: %s", line)
		}
	}
	if got, want := roff("a\\b\n.c\n'd --e"), "a\\eb\n\\&.c\n\\&'d \\-\\-e"; got != want {
		t.Errorf("roff() = %q, want %q", got, want)
	}
}

// TestReadmeNamesEveryFlag compares the table of flags in the README with the program.
func TestReadmeNamesEveryFlag(t *testing.T) {
	flags := regexp.MustCompile("--[a-z-]+")
	named := map[string]string{} // its rows
	for line := range strings.Lines(readme(t)) {
		if strings.HasPrefix(line, "|") {
			for _, flag := range flags.FindAllString(line, -1) {
				named[flag] += line
			}
		}
	}
	all(command(&cli.Program{Getenv: private(t, nil)}), nil, func(cmd *cobra.Command, words []string) {
		if len(words) != 1 || words[0] != "run" && words[0] != "dev" {
			return
		}
		for line := range strings.Lines(cmd.LocalFlags().FlagUsages()) {
			flag := flags.FindString(line)
			if _, ok := named[flag]; !ok && flag != "--help" && flag != "" {
				t.Errorf("%s %s is in no table of the README", words[0], flag)
			}
			for _, variable := range regexp.MustCompile("[A-Z]+_[A-Z_]+").FindAllString(line, -1) {
				if !strings.Contains(named[flag], variable) {
					t.Errorf("%s reads %s, and the README does not say so", flag, variable)
				}
			}
		}
	})
}

// TestCompletion asks for words as a shell does.
func TestCompletion(t *testing.T) {
	getenv := private(t, nil)
	run(t.Context(), []string{"run", "Summarize doc_9982"}, getenv, strings.NewReader(""), io.Discard, io.Discard)
	const noFiles, files, dirs = ":4", ":0", ":16"
	for line, want := range map[string]string{
		"run --model |":                               "offline\ngemini/",
		"run --model gemini --model-option |":         "temperature=",
		"run --model anthropic/x --model-option max|": "max_tokens=",
		"run --documents |":                           dirs,
		"run --policy |":                              files,
		"run |":                                       noFiles,
		"dev --state |":                               dirs,
		"dev --env-file |":                            files,
		"tasks --state |":                             "suspended",
		"tasks show |":                                "last\tthe newest\ntask_",
		"tasks complete |":                            "last\tthe newest\ntask_",
		"explain |":                                   "completed: analyst: Summarize doc_9982",
		"explain last |":                              noFiles,
		"audit export --task |":                       "task_",
		"new-tool |":                                  noFiles,
		"help ta|":                                    "tasks",
	} {
		words := strings.Fields(line)
		last := len(words) - 1
		words[last] = strings.TrimSuffix(words[last], "|")
		var stdout strings.Builder
		code := run(t.Context(), append([]string{cobra.ShellCompRequestCmd}, words...), getenv, strings.NewReader(""), &stdout, io.Discard)
		if code != cli.ExitDone || !strings.Contains(stdout.String(), want) {
			t.Errorf("%s: exit %d, offers\n%swant %q", line, code, stdout.String(), want)
		}
		if strings.HasPrefix(want, ":") && strings.Split(stdout.String(), "\n")[0] != want {
			t.Errorf("%s: offers\n%swant %q alone", line, stdout.String(), want)
		}
	}
}
