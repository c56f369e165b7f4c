package main

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
	"time"

	"github.com/jitagent/jitagent/lab/failpoint"
)

// longest is how long one analyst may take, whatever happens to it.
const longest = 2 * time.Minute

// An analyst is one process of the program.
type analyst struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	started        time.Time
	cancel         context.CancelFunc
}

// A setup is where analysts run: what they work with, and what of it is broken.
type setup struct {
	*bench
	env     []string
	dir     string // working directory
	state   string // state directory
	reports string // where the API keeps reports
	limit   int    // on the size of files, in blocks of 512 bytes; 0 for none

	// grants says of the tasks of a name how many grants were issued, as far as that is
	// watched, and how many of them are active.
	grants func(ctx context.Context, task string) (issued, active int, err error)
}

// setup returns what all analysts have in common.
func (b *bench) setup(dir, state, auth, org, id, secret, api string) setup {
	return setup{bench: b, dir: dir, state: state, reports: filepath.Join(dir, "reports"), env: []string{
		"HOME=" + dir, "ANALYST_STATE_DIR=" + state, "NO_COLOR=1", "LUMOAUTH_URL=" + auth, "LUMOAUTH_ORG_ID=" + org,
		"AGENT_CLIENT_ID=" + id, "AGENT_CLIENT_SECRET=" + secret, "ANALYST_API_URL=" + api,
	}}
}

// start starts an analyst that dies at a point; "" is none.
func (s setup) start(ctx context.Context, point string, args ...string) (*analyst, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	a := &analyst{cancel: cancel, started: time.Now()}
	a.cmd = exec.CommandContext(ctx, s.bin, args...)
	if s.limit > 0 {
		script := fmt.Sprintf(`ulimit -f %d && exec "$0" "$@"`, s.limit)
		a.cmd = exec.CommandContext(ctx, "sh", append([]string{"-c", script, s.bin}, args...)...)
	}
	a.cmd.Dir, a.cmd.Env = s.dir, s.env
	if point != "" {
		a.cmd.Env = append(a.cmd.Environ(), failpoint.Env+"="+point)
	}
	a.cmd.Stdout, a.cmd.Stderr = &a.stdout, &a.stderr
	a.cmd.SysProcAttr = diesWithUs()
	if err := a.cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	return a, nil
}

// wait waits for the end. killed means by signal 9.
func (a *analyst) wait() (code int, killed bool) {
	err := a.cmd.Wait()
	a.cancel()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return -1, status.Signal() == syscall.SIGKILL
		}
		return exit.ExitCode(), false
	}
	if err != nil {
		return -1, false
	}
	return 0, false
}

// kill is kill -9.
func (a *analyst) kill() { _ = a.cmd.Process.Kill() } // it may have ended by itself

// run runs an analyst to its end.
func (s setup) run(ctx context.Context, args ...string) (*analyst, int, error) {
	a, err := s.start(ctx, "", args...)
	if err != nil {
		return nil, 0, err
	}
	code, killed := a.wait()
	if killed {
		return a, code, fmt.Errorf("analyst %s was still running after %s", args[0], longest)
	}
	return a, code, ctx.Err()
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

// reports counts the files of reports with a title. The title is made of letters,
// digits and spaces.
func reports(dir, title string) (int, error) {
	slug := strings.ReplaceAll(strings.ToLower(title), " ", "-")
	files, err := filepath.Glob(filepath.Join(dir, slug+"-*.md"))
	if err != nil {
		return 0, err
	}
	n := 0
	for _, file := range files {
		// Ids are letters and digits: another title that begins alike has a dash more.
		if id := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), slug+"-"), ".md"); !strings.Contains(id, "-") {
			n++
		}
	}
	return n, nil
}

// sizeOf returns the size of a file in a state directory.
func sizeOf(state, name string) (int64, error) {
	info, err := os.Stat(filepath.Join(state, name))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
