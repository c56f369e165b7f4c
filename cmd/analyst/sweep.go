package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
)

// Bounds of the round that other commands make for the tasks of dead processes.
const (
	asideTimeout = 10 * time.Second // of the whole round
	asideTry     = 5 * time.Second  // of one completion
	asideGrace   = 2 * time.Second  // that the command's own end waits for the round
)

func (p *program) sweepCommand() *cobra.Command {
	var t target
	var timeout time.Duration
	var asJSON, debug bool
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "Give back what dead processes left behind",
		Long: `Complete, at the authorization server, the tasks of processes that are gone, which
revokes every token under them. Tasks of living processes are not touched. What
fails is tried again, after growing pauses, until it is done or --timeout; what is
left then is tried again by the next command. A task is called expired, and not
completed, if nothing under it can be valid any more and nobody confirmed its end.

` + stateHelp + `

Exit codes: 0 nothing is left, 1 something is, 2 usage.`,
		Example: `  analyst sweep
  analyst sweep --timeout 30s
  analyst sweep --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return usageError("--timeout must be positive")
			}
			return p.sweep(cmd.Context(), t, timeout, asJSON, p.logger(debug))
		},
	}
	t.flags(cmd.Flags())
	hideRunFlags(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "how long to go on trying")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.Flags().BoolVar(&debug, "debug", false, "log to stderr what happens inside")
	return cmd
}

// hideRunFlags hides the flags that say what a run works with: they are accepted, so
// that the flags of a run point every command at the same servers.
func hideRunFlags(cmd *cobra.Command) {
	for _, name := range []string{"api-idempotent", "model", "model-option", "documents", "reports"} {
		if f := cmd.Flags().Lookup(name); f != nil {
			f.Hidden = true
		}
	}
}

func (p *program) sweep(ctx context.Context, t target, timeout time.Duration, asJSON bool, logger *slog.Logger) error {
	s, err := t.resolve(p.getenv)
	if err != nil {
		return err
	}
	j, err := p.openState(ctx, false, logger)
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }() // all changes were made, and told
	cfg, err := recoveryFor(s, j, logger)
	if err != nil {
		return err
	}
	progress := &sweepProgress{w: p.stderr}
	cfg.Progress = progress.show
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	report, err := recovery.Sweep(bounded, failRecovery(cfg))
	if err != nil {
		return stateError(err, "")
	}
	if err := p.printReport(report, asJSON); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return &exitError{code: exitInterrupted, err: errors.New("interrupted")}
	case report.Left() > 0:
		return &exitError{code: exitFailed, err: fmt.Errorf("not everything could be given back: %s", leftover(report)), hint: leftHint(report)}
	}
	return nil
}

// recoveryFor says how to recover tasks of the configured authorization server. The
// embedded ones end with their process: there is no server to ask.
func recoveryFor(s settings, j *journal.Journal, logger *slog.Logger) (recovery.Config, error) {
	cfg := recovery.Config{Journal: j, Authority: authorityName(s), Logger: logger}
	if s.embedded {
		return cfg, nil
	}
	s.lumoauth.Logger = logger
	client, err := lumoauth.New(s.lumoauth)
	if err != nil {
		return cfg, err
	}
	cfg.Completer = client
	return cfg, nil
}

// A sweepProgress tells a person how a sweep goes, at most once a second.
type sweepProgress struct {
	w    io.Writer
	last time.Time
}

func (s *sweepProgress) show(r recovery.Report) {
	now := time.Now()
	if r.Next.IsZero() && now.Sub(s.last) < time.Second {
		return
	}
	s.last = now
	line := fmt.Sprintf("analyst: sweep: %d done, %d to do", r.Done(), r.Waiting)
	if wait := r.Next.Sub(now); !r.Next.IsZero() && wait > 0 {
		line += fmt.Sprintf("; next try in %s", wait.Round(time.Second/10))
		if r.Failure != "" {
			line += ", after: " + plain.Line(r.Failure, 200)
		}
	}
	_, _ = fmt.Fprintln(s.w, line)
}

// printReport writes what a sweep did.
func (p *program) printReport(r recovery.Report, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(p.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			Completed   int      `json:"completed"`
			Expired     int      `json:"expired"`
			Unknown     int      `json:"unknown"`
			Waiting     int      `json:"waiting"`
			Foreign     int      `json:"foreign"`
			Busy        int      `json:"busy"`
			Tries       int      `json:"tries"`
			Failure     string   `json:"failure,omitempty"`
			Authorities []string `json:"authorities,omitempty"`
		}{r.Completed, r.Expired, r.Unknown, r.Waiting, r.Foreign, r.Busy, r.Tries, r.Failure, r.Authorities})
	}
	text := done(r)
	if text == "" {
		text = "nothing to give back"
	}
	_, err := fmt.Fprintln(p.stdout, text)
	return err
}

// done words what a sweep finished; empty when that is nothing.
func done(r recovery.Report) string {
	var parts []string
	if r.Completed > 0 {
		parts = append(parts, tasks(r.Completed)+" of dead processes given back")
	}
	if r.Expired > 0 {
		parts = append(parts, tasks(r.Expired)+" of dead processes expired: nothing under them is valid any more")
	}
	if r.Unknown > 0 {
		parts = append(parts, tasks(r.Unknown)+" ended with the embedded servers of dead processes")
	}
	return strings.Join(parts, "; ")
}

// leftover words what a sweep left.
func leftover(r recovery.Report) string {
	var parts []string
	if r.Waiting > 0 {
		text := tasks(r.Waiting) + " still to be given back"
		if r.Failure != "" {
			text += " (" + plain.Line(r.Failure, 200) + ")"
		}
		parts = append(parts, text)
	}
	if r.Busy > 0 {
		parts = append(parts, tasks(r.Busy)+" in the hands of another process")
	}
	if r.Foreign > 0 {
		parts = append(parts, tasks(r.Foreign)+" of "+plain.Line(strings.Join(r.Authorities, ", "), 300))
	}
	return strings.Join(parts, "; ")
}

func leftHint(r recovery.Report) string {
	if r.Waiting == 0 && r.Busy == 0 {
		return "configure that authorization server and agent (" + envURL + ", " + envOrg + ", " + envClientID + "), then run analyst sweep; see analyst tasks"
	}
	return "every analyst command tries again, or run analyst sweep; see analyst tasks"
}

func tasks(n int) string {
	if n == 1 {
		return "1 task"
	}
	return fmt.Sprintf("%d tasks", n)
}

// sweepAside makes one round for the tasks of dead processes while the command does
// its own work. The function that it returns must be called at the end: it gives the
// round a moment more, stops it, and returns what came of it.
func sweepAside(ctx context.Context, cfg recovery.Config) func() (recovery.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, asideTimeout)
	cfg.TryTimeout = cmp.Or(cfg.TryTimeout, asideTry)
	var report recovery.Report
	var err error
	over := make(chan struct{})
	go func() {
		defer close(over)
		report, err = recovery.Pass(ctx, failRecovery(cfg))
	}()
	return func() (recovery.Report, error) {
		grace := time.AfterFunc(asideGrace, cancel)
		<-over
		grace.Stop()
		cancel()
		return report, err
	}
}

// sayRecovered writes one line about a round, if there is something to say.
func sayRecovered(w io.Writer, r recovery.Report, err error) {
	parts := []string{done(r)}
	if r.Left() > 0 {
		parts = append(parts, leftover(r)+": see analyst tasks, and analyst sweep")
	}
	if err != nil {
		parts = append(parts, plain.Line(err.Error(), 300))
	}
	text := strings.TrimPrefix(strings.Join(parts, "; "), "; ")
	if text != "" {
		_, _ = fmt.Fprintln(w, "analyst: from earlier: "+text)
	}
}
