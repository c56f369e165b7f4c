package approvals

import (
	"context"
	"time"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
)

// A reviewer is the person who decides.
type reviewer struct {
	lumoauth.Reviewer

	// useWithin is in which time what is approved must be used. It is known of the embedded
	// servers, whose client has the agent's login, too; 0 of others.
	useWithin time.Duration
}

// became returns what became of a request; "" where that is not known. Only the agent is
// told, so it is known at the embedded servers alone.
func (r reviewer) became(ctx context.Context, id string) string {
	if r.useWithin == 0 || id == "" {
		return ""
	}
	d, err := r.Client.Status(ctx, id)
	if err != nil || d.Status == jit.StatusPending || d.Status == jit.StatusUnknown {
		return ""
	}
	said := "was " + d.Status.String()
	switch {
	case d.Status != jit.StatusExpired:
	case d.DecidedBy == "":
		return "ran out, or its run ended, before somebody decided"
	default:
		said = "was not used in time or before its run ended, and approved"
	}
	return said + plain.Between(" by ", plain.Line(d.DecidedBy, 80), "") + plain.Between(": ", plain.Line(d.Message, 200), "")
}

// open returns who decides at the configured server, or at the embedded ones, whose state
// it opens: no token of a reviewer lies on disk. The caller calls end.
func (o options) open(ctx context.Context, p *cli.Program) (r reviewer, end func(), err error) {
	s, err := o.ResolvePerson(p.Getenv)
	if err != nil {
		return r, nil, err
	}
	end = func() {}
	switch {
	case s.OAuth != nil:
		return r, nil, cli.Failf("look at the device of the user", "%s asks the user, and takes no decision from here", s.OAuth.Issuer)
	case s.Embedded:
		servers, err := cli.StartEmbedded(ctx, &s, p.StateDir(), nil)
		if err != nil {
			return r, nil, err
		}
		end = func() { _ = servers.Close() } // what was decided is on disk
		if !s.Kept {
			end() // they did nothing
			return r, nil, cli.Failf("decide at its terminal or its page, or when it has ended", "another analyst command has the embedded servers")
		}
		r.Token, r.useWithin = servers.Auth.Reviewer, servers.Auth.Config().RedemptionWindow
	default:
		if r.Token = p.ReviewerToken(o.reviewer); r.Token == nil {
			return r, nil, cli.Endf(cli.ExitUsage, "name the file that holds it: --reviewer-token-file or "+cli.EnvReviewer, "deciding needs the token of a person who may")
		}
	}
	if r.Client, err = lumoauth.New(s.LumoAuth); err != nil {
		end()
	}
	return r, end, err
}
