package cli

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/jitagent/jitagent/cmd/analyst/internal/failpoints"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/state/recovery"
)

// Bounds of the round that other commands make for the tasks of dead processes.
const (
	asideTimeout = 10 * time.Second // of the whole round
	asideTry     = 5 * time.Second  // of one completion
	asideGrace   = 2 * time.Second  // that the command's own end waits for the round
)

// OpenRecovery opens the journal, and says how to recover tasks of the authorization
// server that is meant, or of the embedded one whose state is beside the journal. The
// caller calls end.
func (t *Target) OpenRecovery(ctx context.Context, p *Program, logger *slog.Logger) (j *State, cfg recovery.Config, end func(), err error) {
	s, err := t.Resolve(p.Getenv, nil)
	if err != nil {
		return nil, cfg, nil, err
	}
	s.Kept = s.Embedded
	cfg = recovery.Config{Authority: AuthorityName(s), Logger: logger}
	unseen, err := p.Observe(ctx, Seen{})
	if err != nil {
		return nil, cfg, nil, err
	}
	if j, err = p.OpenState(ctx, false, logger); err != nil {
		unseen()
		return nil, cfg, nil, err
	}
	cfg.Journal, cfg.Spare = j, j.Spare
	kept := &keptServer{settings: s, state: j.Dir(), log: logger}
	end = func() {
		kept.close()
		_ = j.Close() // all changes were made, and told
		unseen()
	}
	cfg.Completer = kept
	if !s.Embedded {
		a, err := p.Authority(s, j, logger)
		if err != nil {
			end()
			return nil, cfg, nil, err
		}
		cfg.Completer = p.Traced(a)
	}
	return j, cfg, end, nil
}

// Done words what a sweep finished; empty when that is nothing.
func Done(r recovery.Report) string {
	var parts []string
	if r.Completed > 0 {
		parts = append(parts, plain.Count(r.Completed, "task")+" of dead processes given back")
	}
	if r.Expired > 0 {
		parts = append(parts, plain.Count(r.Expired, "task")+" of dead processes expired: nothing under them is valid any more")
	}
	if r.Unknown > 0 {
		parts = append(parts, plain.Count(r.Unknown, "task")+" ended with the embedded servers of dead processes")
	}
	return strings.Join(parts, "; ")
}

// Leftover words what a sweep left.
func Leftover(r recovery.Report) string {
	var parts []string
	if r.Waiting > 0 {
		parts = append(parts, plain.Count(r.Waiting, "task")+" still to be given back"+plain.Between(" (", plain.Line(r.Failure, 200), ")"))
	}
	if r.Busy > 0 {
		parts = append(parts, plain.Count(r.Busy, "task")+" in the hands of another process")
	}
	if r.Foreign > 0 {
		parts = append(parts, plain.Count(r.Foreign, "task")+" of "+plain.Line(strings.Join(r.Authorities, ", "), 300))
	}
	return strings.Join(parts, "; ")
}

// LeftHint is what to do about what a sweep left.
func LeftHint(r recovery.Report) string {
	if r.Waiting == 0 && r.Busy == 0 {
		return "configure that authorization server and agent (" + EnvURL + ", " + EnvOrg + ", " + EnvClientID + "), then run analyst sweep; see analyst tasks"
	}
	return "every analyst command tries again, or run analyst sweep; see analyst tasks"
}

// SweepAside makes one round for the tasks of dead processes while the command does
// its own work. The function that it returns must be called at the end: it gives the
// round a moment more, stops it, and returns what came of it.
func SweepAside(ctx context.Context, cfg recovery.Config) func() (recovery.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, asideTimeout)
	cfg.TryTimeout = cmp.Or(cfg.TryTimeout, asideTry)
	var report recovery.Report
	var err error
	over := make(chan struct{})
	go func() {
		defer close(over)
		report, err = recovery.Pass(ctx, failpoints.Recovery(cfg))
	}()
	return func() (recovery.Report, error) {
		grace := time.AfterFunc(asideGrace, cancel)
		<-over
		grace.Stop()
		cancel()
		return report, err
	}
}

// NoteRecovered tells of a round, if there is something to tell.
func (p *Program) NoteRecovered(r recovery.Report, err error) {
	parts := []string{Done(r)}
	if r.Left() > 0 {
		parts = append(parts, Leftover(r)+": see analyst tasks, and analyst sweep")
	}
	if err != nil {
		parts = append(parts, plain.Line(err.Error(), 300))
	}
	text := strings.TrimPrefix(strings.Join(parts, "; "), "; ")
	if text != "" {
		p.Note("from earlier: %s", text)
	}
}
