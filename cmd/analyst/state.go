package main

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"

	"github.com/spf13/pflag"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
)

// envState names the directory of the journal, which journal.Dir reads.
const envState = "ANALYST_STATE_DIR"

// stateHelp says in help texts where the journal is.
const stateHelp = `The journal is in ` + envState + `, else in $XDG_STATE_HOME/analyst, else in
~/.local/state/analyst.`

// ephemeralFlag adds --ephemeral to a command that makes grants.
func ephemeralFlag(f *pflag.FlagSet, ephemeral *bool) {
	f.BoolVar(ephemeral, "ephemeral", false, "keep the journal in memory: after a crash nothing is given back before it expires")
}

// openState opens the journal of the state directory; the caller closes it. To read
// it nothing is created or changed, and a directory without a journal is an error
// that wraps [journal.ErrNotFound]. Every error says what to do.
func (p *program) openState(ctx context.Context, readOnly bool, logger *slog.Logger) (*journal.Journal, error) {
	dir, err := journal.Dir(p.getenv)
	if err != nil {
		return nil, stateError(err, "")
	}
	j, err := journal.Open(ctx, journal.Options{Dir: dir, ReadOnly: readOnly, Logger: logger})
	if err != nil {
		return nil, stateError(err, "")
	}
	return j, nil
}

const (
	stateHint = "set " + envState + " to a directory of your own on a local disk"
	runHint   = stateHint + ", or use --ephemeral to keep no journal, which gives up recovery after a crash"
)

// stateError words a journal that cannot be used, with a hint; "" means the usual.
func stateError(err error, hint string) error {
	if err == nil {
		return nil
	}
	switch {
	case hint != "":
	case errors.Is(err, journal.ErrNotFound):
		hint = "no run has kept a journal there yet; " + envState + " says where to look"
	default:
		hint = stateHint
	}
	return &exitError{code: exitFailed, err: err, hint: hint}
}

// checkState opens the journal and gives back what dead processes left, as every
// command does that talks to an authorization server. The function that it returns
// waits for that and must be called.
func (p *program) checkState(ctx context.Context, authority string, c recovery.Completer) func() finding {
	f := finding{Check: "journal"}
	j, err := p.openState(ctx, false, nil)
	if err != nil {
		f.Detail, f.Fix = err.Error(), runHint
		return func() finding { return f }
	}
	recovered := sweepAside(ctx, recovery.Config{Journal: j, Authority: authority, Completer: c})
	return func() finding {
		report, err := recovered()
		if err = errors.Join(err, j.Close()); err != nil {
			f.Detail, f.Fix = err.Error(), stateHint
			return f
		}
		f.OK, f.Detail = true, j.Path()
		for _, text := range []string{done(report), leftover(report)} {
			if text != "" {
				f.Detail += "; " + text
			}
		}
		if report.Waiting > 0 {
			f.OK, f.Fix = false, leftHint(report)
		}
		return f
	}
}

// unrecorded reports whether err comes from a journal that takes no entries.
func unrecorded(err error) bool {
	return errors.Is(err, journal.ErrUnwritable) || errors.Is(err, journal.ErrMoved) || errors.Is(err, journal.ErrDamaged)
}

// authorityName says which authorization server and agent a journal's tasks belong
// to. The older paths of LumoAuth lead to the same tasks.
func authorityName(s settings) string {
	if s.embedded {
		return recovery.Embedded
	}
	return clientName(s.lumoauth)
}

func clientName(cfg lumoauth.Config) string {
	origin := strings.TrimSuffix(cfg.URL, "/")
	if u, err := url.Parse(cfg.URL); err == nil {
		if o, err := jit.OriginOf(u); err == nil {
			origin = o.String()
		}
	}
	return origin + "/" + url.PathEscape(cfg.Org) + "/" + url.PathEscape(cfg.ClientID)
}
