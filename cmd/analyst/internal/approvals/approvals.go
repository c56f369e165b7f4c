// Package approvals is analyst approvals: what waits for a person, and deciding it.
package approvals

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/state/approval"
)

type options struct {
	cli.Target
	reviewer string
	id       string
	json     bool
	approve  bool
	less     []string
	ttl      time.Duration
	reason   string
	message  string
}

// Command returns analyst approvals.
func Command(p *cli.Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "approvals",
		Short: "List, show, approve and deny what waits for a person",
		Long: `List, show, approve and deny the requests that wait for a person. Deciding needs
the token of a person who may, in a file that only its owner can read:
--reviewer-token-file or ` + cli.EnvReviewer + `.
With nothing configured the requests are those of the embedded servers, whose
state is beside the journal.

Requests that ask the same for several tasks of one user are listed, and
decided, as one, 50 at a time; with an ID the one request is, and with --json
each is listed.`,
		Example: `  analyst approvals list
  analyst approvals approve last`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var o options
	sub := func(use, short, example string, do func(options, context.Context, *cli.Program, reviewer) error) *cobra.Command {
		args := cobra.MaximumNArgs(1)
		if !strings.Contains(use, " ") {
			args = cobra.NoArgs
		}
		c := &cobra.Command{Use: use, Short: short, Example: example, Args: cli.Args(args), RunE: func(cmd *cobra.Command, args []string) error {
			o.id = strings.Join(args, "")
			if cmd.Flags().Changed("ttl") && (o.ttl < time.Second || o.ttl%time.Second != 0) {
				return cli.Usagef("--ttl is a whole number of seconds, at least 1s")
			}
			d, end, err := o.open(cmd.Context(), p)
			if err != nil {
				return err
			}
			defer end()
			return do(o, cmd.Context(), p, d)
		}}
		o.AddServerFlags(c)
		cli.AddReviewer(c, &o.reviewer)
		cmd.AddCommand(c)
		return c
	}
	list := sub("list", "List what waits for a person", "  analyst approvals list --json", options.list)
	show := sub("show [ID]", "Show a request, as whoever decides must see it", "  analyst approvals show last", options.show)
	for _, c := range []*cobra.Command{list, show} {
		c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	}
	approve := sub("approve [ID]", "Approve a request, or less of it", `  analyst approvals approve last
  analyst approvals approve jitr_1 --less actions=delete --ttl 1m`, func(o options, ctx context.Context, p *cli.Program, d reviewer) error {
		o.approve = true
		return o.decide(ctx, p, d)
	})
	approve.Flags().StringArrayVar(&o.less, "less", nil, "take this away, as `MEMBER=VALUE`: an action, location, datatype or privilege; may be given again")
	approve.Flags().DurationVar(&o.ttl, "ttl", 0, "for how `LONG` it is granted at most (default: as was asked)")
	deny := sub("deny [ID]", "Deny a request, for the rest of its task", "  analyst approvals deny last --message 'ask legal first'", options.decide)
	for _, c := range []*cobra.Command{approve, deny} {
		c.Long = c.Short + `.

Whoever holds the reviewer's token is the reviewer. Who may decide, and how many
must agree (--approvers, --approve-own, --quorum), are rules of analyst serve
for those who decide there: this command knows of none, and the server that
the token is for says what its holder may.`
		c.Flags().StringVar(&o.reason, "reason", "", "`WHY`, for the organization")
		c.Flags().StringVar(&o.message, "message", "", "`WORDS` for the agent")
	}
	return cmd
}

func (o options) list(ctx context.Context, p *cli.Program, d reviewer) error {
	list, more, err := d.Pending(ctx)
	if err != nil {
		return err
	}
	if more {
		p.Note("more requests wait than can be listed: the newest are missing here")
	}
	if o.json {
		shown := make([]any, len(list))
		for i, r := range list {
			shown[i] = withDigest(r)
		}
		return p.PrintJSON(shown)
	}
	if len(list) == 0 {
		p.Note("nothing waits for a person")
		return nil
	}
	var rows [][]string
	for _, r := range approval.Together(list) {
		wants := r.Wants()
		left := "-"
		if !r.ExpiresAt.IsZero() {
			left = max(0, time.Until(r.ExpiresAt)).Round(time.Second).String()
		}
		rows = append(rows, []string{plain.Line(r.ID, 60), plain.Line(r.Risk, 10), left, plain.Line(r.Tool, 24), wants[0]})
		for _, more := range wants[1:] {
			rows = append(rows, []string{"", "", "", "", more})
		}
	}
	return p.PrintTable([]string{"REQUEST", "RISK", "LEFT", "TOOL", "WANTS"}, rows)
}

// withDigest is a request with what --digest of other programs binds a decision to.
func withDigest(r approval.Request) any {
	return struct {
		approval.Request
		Digest string `json:"digest"`
	}{r, r.Digest()}
}

// find returns what is meant: a request by its id or the beginning of one, or the only
// or the latest question, with all that ask it.
func (o options) find(ctx context.Context, d reviewer) (approval.Request, error) {
	list, more, err := d.Pending(ctx)
	if err != nil {
		return approval.Request{}, err
	}
	hint := "analyst approvals list shows what waits; what was decided or ran out no longer does"
	if more {
		hint = "more requests wait than can be listed: decide some of the " + plain.Count(len(list), "request") + " that are, and ask again"
	}
	if o.id == "" || o.id == cli.Last { // not a request, but a question
		list = approval.Together(list)
	}
	if !slices.ContainsFunc(list, func(r approval.Request) bool { return strings.HasPrefix(r.ID, o.id) }) {
		if became := d.became(ctx, o.id); became != "" {
			return approval.Request{}, cli.Failf("the first decision counts", "request %s waits no longer: it %s", plain.Line(o.id, 60), became)
		}
	}
	switch {
	case len(list) == 0:
		return approval.Request{}, cli.Failf("", "nothing waits for a person")
	case more && o.id == cli.Last:
		return approval.Request{}, cli.Failf(hint, "the latest request is not known")
	case len(list) > 1 && o.id == "":
		return approval.Request{}, cli.Usagef("%s wait: name one", plain.Count(len(list), "request"))
	}
	slices.Reverse(list) // they come in the order in which they were made
	return cli.Pick(list, func(r approval.Request) string { return r.ID }, o.id, "waiting request", hint)
}

func (o options) show(ctx context.Context, p *cli.Program, d reviewer) error {
	r, err := o.find(ctx, d)
	if err != nil {
		return err
	}
	if o.json {
		return p.PrintJSON(withDigest(r))
	}
	_, err = io.WriteString(p.Stdout, r.Text())
	return err
}

// decide shows what is decided, and decides exactly that.
func (o options) decide(ctx context.Context, p *cli.Program, d reviewer) error {
	r, err := o.find(ctx, d)
	if err != nil {
		return err
	}
	how := approval.Decision{Approve: o.approve, TTL: o.ttl, Reason: o.reason, Message: o.message}
	word := "denied"
	if o.approve {
		if how.Less, err = r.Less(o.less); err != nil {
			return cli.Usagef("--less: %w", err)
		}
		if r.Problem != "" {
			return cli.Failf("deny it", "what is asked cannot be read: %s", plain.Line(r.Problem, 200))
		}
		if r.TTL > 0 && o.ttl > r.TTL {
			return cli.Usagef("--ttl %s is longer than was asked", o.ttl)
		}
		word = "approved"
	}
	done, failed := r.Decide(ctx, d, how)
	if done == 0 {
		return failed
	}
	if failed != nil {
		word = fmt.Sprintf("%d of %d are %s", done, len(r.Also)+1, word)
	}
	text := r.Text()
	for _, l := range how.Less {
		text += "granted only: " + plain.Escape(l.String(), 600) + "\n"
	}
	if o.approve && d.useWithin > 0 {
		word += ", to be used until " + time.Now().Add(d.useWithin).Format(time.DateTime) + ": analyst resume"
	}
	_, err = fmt.Fprintf(p.Stdout, "%s%s\n", text, word)
	return cmp.Or(err, failed)
}
