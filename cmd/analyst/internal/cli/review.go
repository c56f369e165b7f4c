package cli

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/approval"
)

// EnvReviewer names the file that holds a reviewer's token. The token itself is never in
// the environment, which tools and children inherit.
const EnvReviewer = "ANALYST_REVIEWER_TOKEN_FILE"

// AddReviewer adds the flag that names the file of a reviewer's token.
func AddReviewer(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "reviewer-token-file", "", "private `FILE` with the token of a person who may decide ("+EnvReviewer+")")
	Complete(cmd, "reviewer-token-file", Files)
}

// A Reviewer decides requests at the authorization server as a person. It reads the
// person's token each time, so that it is held no longer than it is used.
type Reviewer struct {
	Client *lumoauth.Client
	Token  func() (secret.String, error)

	UseWithin time.Duration // in which what is approved must be used; 0 where the server does not say

	agent bool // Client has the agent's login, too
}

var _ approval.Decider = (*Reviewer)(nil)

// ReviewerFrom returns a reviewer by the file that the flag or [EnvReviewer] names; nil
// when neither does.
func (p *Program) ReviewerFrom(file string, client *lumoauth.Client) *Reviewer {
	name := "--reviewer-token-file"
	if file == "" {
		file, name = strings.TrimSpace(p.Getenv(EnvReviewer)), EnvReviewer
	}
	if file == "" {
		return nil
	}
	return &Reviewer{Client: client, Token: func() (secret.String, error) {
		token, err := secretFrom(name, file, true)
		if err != nil {
			return token, Usagef("%w", err)
		}
		return token, nil
	}}
}

// Pending implements [approval.Decider].
func (r *Reviewer) Pending(ctx context.Context) (_ []approval.Request, more bool, err error) {
	token, err := r.Token()
	if err != nil {
		return nil, false, err
	}
	list, err := r.Client.Pending(ctx, token)
	if err != nil {
		return nil, false, err
	}
	out := make([]approval.Request, len(list.Requests))
	for i, p := range list.Requests {
		agent := p.AgentID
		if p.AgentName != "" {
			agent = p.AgentName + " (" + p.AgentID + ")"
		}
		q := approval.Request{
			ID: p.RequestID, TaskID: p.TaskID, TaskName: p.TaskName, Details: p.Details,
			Tool: p.For.Tool, CallID: p.For.CallID, Args: p.For.Args, Origin: p.For.Origin,
			Agent: agent, OnBehalfOf: p.OnBehalfOf, Risk: p.Risk, Justification: p.Justification,
			TTL: p.TTL, ExpiresAt: p.ExpiresAt, OnlyWhole: !p.AcceptsLess,
		}
		for _, b := range p.Before {
			q.Before = append(q.Before, approval.Earlier(b))
		}
		if p.Problem != nil {
			q.Problem = p.Problem.Error()
		}
		out[i] = q
	}
	return out, list.More, nil
}

// Became returns what became of a request; "" where that is not known. Only the agent is
// told, so it is known at the embedded servers alone.
func (r *Reviewer) Became(ctx context.Context, id string) string {
	if !r.agent || id == "" {
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

// Decide implements [approval.Decider].
func (r *Reviewer) Decide(ctx context.Context, id string, d approval.Decision) error {
	token, err := r.Token()
	if err != nil {
		return err
	}
	if d.Approve {
		_, err = r.Client.Approve(ctx, token, id, lumoauth.Approval{TTL: d.TTL, Notes: d.Reason, Message: d.Message, Less: d.Less, Digest: d.Digest})
	} else {
		_, err = r.Client.Deny(ctx, token, id, lumoauth.Denial{Reason: d.Reason, Message: d.Message, Digest: d.Digest})
	}
	if e, ok := errors.AsType[*lumoauth.Error](err); ok {
		switch {
		case e.StatusCode == http.StatusConflict:
			return approval.ErrOtherRequest
		case e.StatusCode == http.StatusNotFound, e.StatusCode == http.StatusBadRequest && e.Code == "invalid_state":
			return approval.ErrDecided
		}
	}
	return err
}

// notTheAgent stands for what only the agent has: a person decides without it, and it is
// sent nowhere.
var notTheAgent = map[string]string{EnvClientID: "reviewer", EnvSecret: "none", EnvAPI: "https://api.invalid"}

// OpenReviewer returns where the requests of the configured server are decided. The
// caller calls end.
func (p *Program) OpenReviewer(ctx context.Context, t *Target, file string) (_ *Reviewer, end func(), err error) {
	s, err := t.Resolve(func(name string) string {
		said := p.Getenv(name)
		if said == "" && (t.url != "" || p.Getenv(EnvURL) != "") {
			said = notTheAgent[name]
		}
		return said
	}, nil)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case s.Embedded:
		return p.embeddedReviewer(ctx, s)
	case s.OAuth != nil:
		return nil, nil, Failf("look at the device of the user", "%s asks the user, and takes no decision from here", s.OAuth.Issuer)
	}
	client, err := lumoauth.New(s.LumoAuth)
	if err != nil {
		return nil, nil, err
	}
	r := p.ReviewerFrom(file, client)
	if r == nil {
		return nil, nil, Endf(ExitUsage, "name the file that holds it: --reviewer-token-file or "+EnvReviewer, "deciding needs the token of a person who may")
	}
	return r, func() {}, nil
}

// embeddedReviewer decides at the embedded servers, whose state it opens. While another
// command has them, its terminal and its page are where to decide: no token of a
// reviewer lies on disk.
func (p *Program) embeddedReviewer(ctx context.Context, s Settings) (*Reviewer, func(), error) {
	servers, err := StartEmbedded(ctx, &s, p.StateDir(), nil)
	if err != nil {
		return nil, nil, err
	}
	if s.Kept {
		client, err := lumoauth.New(s.LumoAuth)
		if err != nil {
			return nil, nil, errors.Join(err, servers.Close())
		}
		return EmbeddedReviewer(servers, client), func() { _ = servers.Close() }, nil // what was decided is on disk
	}
	_ = servers.Close() // they did nothing
	return nil, nil, Failf("decide at its terminal or its page, or when it has ended", "another analyst command has the embedded servers")
}

// EmbeddedReviewer is the person at this machine, who decides at servers that it started.
func EmbeddedReviewer(servers *dev.Servers, client *lumoauth.Client) *Reviewer {
	return &Reviewer{
		Client: client, UseWithin: servers.Auth.Config().RedemptionWindow, agent: true,
		Token: func() (secret.String, error) { return servers.Auth.UserToken(lumodev.DefaultReviewerEmail) },
	}
}
