package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jitagent/jitagent/lab/failpoint"
	"github.com/jitagent/jitagent/state/sqlite"
)

// longest is how long one analyst may take, whatever happens to it.
const longest = 2 * time.Minute

// Exit codes of the analyst.
const (
	exitDone    = 0
	exitPending = 8
	exitInDoubt = 9
)

// An analyst is one process of the program.
type analyst struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

// A setup is where analysts run: what they work with, and what of it is broken.
type setup struct {
	*lab
	env     []string
	dir     string // working directory
	state   string // state directory
	reports string // where the API keeps reports
	limit   int    // on the size of files, in blocks of 512 bytes; 0 for none

	// grants says of the tasks of a name how many grants were issued, as far as that is
	// watched, and how many of them are active.
	grants func(t *testing.T, task string) (issued, active int)
}

// setup returns what all analysts have in common.
func (l *lab) setup(dir, state, auth, org, id, secret, api string) setup {
	return setup{lab: l, dir: dir, state: state, reports: filepath.Join(dir, "reports"), env: []string{
		"HOME=" + dir, "ANALYST_STATE_DIR=" + state, "NO_COLOR=1", "LUMOAUTH_URL=" + auth, "LUMOAUTH_ORG_ID=" + org,
		"AGENT_CLIENT_ID=" + id, "AGENT_CLIENT_SECRET=" + secret, "ANALYST_API_URL=" + api,
	}}
}

// start starts an analyst that dies at a point; "" is none. It does not outlive t.
func (s setup) start(t *testing.T, point string, args ...string) *analyst {
	ctx, cancel := context.WithTimeout(s.ctx, longest)
	t.Cleanup(cancel)
	a := &analyst{Cmd: exec.CommandContext(ctx, s.bin, args...)}
	if s.limit > 0 {
		script := fmt.Sprintf(`ulimit -f %d && exec "$0" "$@"`, s.limit)
		a.Cmd = exec.CommandContext(ctx, "sh", append([]string{"-c", script, s.bin}, args...)...)
	}
	a.Dir, a.Env = s.dir, s.env
	if point != "" {
		a.Env = append(a.Environ(), failpoint.Env+"="+point)
	}
	a.Stdout, a.Stderr, a.SysProcAttr = &a.stdout, &a.stderr, diesWithUs()
	check(t, a.Start())
	return a
}

// wait waits for the end. killed means by signal 9.
func (a *analyst) wait() (code int, killed bool) {
	err := a.Wait()
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return 0, false
	case !ok:
		return -1, false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return exit.ExitCode(), ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// run runs an analyst to its end.
func (s setup) run(t *testing.T, args ...string) (*analyst, int) {
	t.Helper()
	a := s.start(t, "", args...)
	code, killed := a.wait()
	if killed {
		t.Fatalf("analyst %s was still running after %s: %v", args[0], longest, s.ctx.Err())
	}
	return a, code
}

// undisturbed lets a run live, and says how long one takes.
func (s setup) undisturbed(t *testing.T) time.Duration {
	start := time.Now()
	if a, code := s.run(t, "run", job("Undisturbed")); code != exitDone {
		t.Fatalf("a run that nobody disturbs: exit %d: %s", code, a.said())
	}
	return time.Since(start)
}

// journal reads the journal of a state directory.
func (s setup) journal(t *testing.T, read func(*sqlite.Journal)) {
	j := must(sqlite.Open(s.ctx, sqlite.Options{Dir: s.state, ReadOnly: true}))(t)
	defer func() { _ = j.Close() }() // it wrote nothing
	read(j)
}

// verify checks the journal as a whole.
func (s setup) verify(t *testing.T, r *row, what string) {
	s.journal(t, func(j *sqlite.Journal) {
		if _, err := j.Verify(s.ctx); err != nil {
			r.wrong(t, &r.Other, "%s: the journal: %v", what, err)
		}
	})
}

// said returns the end of what a process wrote to standard error.
func (a *analyst) said() string {
	text := strings.TrimSpace(a.stderr.String())
	if len(text) > 600 {
		text = "..." + text[len(text)-600:]
	}
	return strings.ReplaceAll(text, "\n", " | ")
}

var message = regexp.MustCompile(`(?m)^analyst: \S.{10,}`)

// clear reports whether a process that failed said why, and did not fall over.
func (a *analyst) clear() bool {
	text := a.stderr.String()
	return message.MatchString(text) && !strings.Contains(text, "goroutine ") && !strings.Contains(text, "panic:")
}

// job is the prompt that makes one report, and taskName what its task is called.
func job(title string) string {
	return fmt.Sprintf("Create a report titled '%s' about document doc_9982", title)
}

func taskName(prompt string) string { return "analyst: " + prompt }

// made counts the files of reports with a title, which is made of letters, digits and
// spaces.
func (s setup) made(t *testing.T, title string) (n int) {
	slug := strings.ReplaceAll(strings.ToLower(title), " ", "-")
	for _, file := range must(filepath.Glob(filepath.Join(s.reports, slug+"-*.md")))(t) {
		// Ids are letters and digits: another title that begins alike has a dash more.
		if id := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), slug+"-"), ".md"); !strings.Contains(id, "-") {
			n++
		}
	}
	return n
}

// leaks searches the files of the state directory for secrets, and returns the files
// that hold one.
func (s setup) leaks(t *testing.T, secrets [][]byte) (found []string) {
	check(t, filepath.WalkDir(s.state, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, secret := range secrets {
			if bytes.Contains(data, secret) {
				found = append(found, path)
				break
			}
		}
		return err
	}))
	return found
}
