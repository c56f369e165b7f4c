// Package doctor is analyst doctor: it checks all that a run needs.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/models"
	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/state/postgres"
	"github.com/jitagent/jitagent/state/recovery"
	"github.com/jitagent/jitagent/tools"
	"github.com/jitagent/jitagent/tools/mcp"
)

// Bounds of doctor's probes.
const (
	probeTimeout = 20 * time.Second
	maxSkew      = 30 * time.Second
)

// A finding is what doctor learned from one check.
type finding struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	// Unknown is what a check could not find out; it counts as OK.
	Unknown bool `json:"unknown,omitempty"`

	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// good is a check that found all well.
func good(check, format string, args ...any) finding {
	return finding{Check: check, OK: true, Detail: fmt.Sprintf(format, args...)}
}

// bad is one that did not.
func bad(check string, err error, fix string) finding {
	return finding{Check: check, Detail: cli.Say(err), Fix: fix}
}

// options are what doctor is asked for.
type options struct {
	cli.Target
	json    bool
	toolkit cli.Toolkit
}

// Command returns analyst doctor.
func Command(p *cli.Program, kit cli.Toolkit) *cobra.Command {
	o := options{toolkit: kit}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check all that a run needs: servers, credentials, model, journal",
		Long: `Check everything that a run needs, and name the fix for each failure. With
nothing configured the embedded servers are started and checked. The provider
of a model that is not embedded is asked for that model and for one small call
of a tool, without any document. What cannot be told is marked with "?".`,
		Example: `  analyst doctor
  analyst doctor --model gemini
  analyst doctor --json | jq '.[] | select(.ok | not)'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), p) },
	}
	o.AddFlags(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print the findings as a JSON array")
	return cmd
}

func (o options) run(ctx context.Context, p *cli.Program) error {
	findings, err := o.diagnose(ctx, p)
	if err != nil {
		return err
	}
	failed := 0
	for _, f := range findings {
		if !f.OK {
			failed++
		}
	}
	if err := printFindings(p, findings, o.json); err != nil {
		return err
	}
	if failed > 0 {
		return cli.Failf("", "%d of %d checks failed", failed, len(findings))
	}
	return nil
}

// diagnose runs the checks. Later ones are left out when an earlier failure makes
// them pointless.
func (o options) diagnose(ctx context.Context, p *cli.Program) (all []finding, err error) {
	s, err := o.Resolve(p.Getenv, o.toolkit)
	if err != nil {
		f := []finding{bad("configuration", err, "set or unset what is named; see analyst run --help")}
		return f, errors.Join(printFindings(p, f, o.json), cli.Endf(cli.Exit(err).Code, "", "the configuration is not usable"))
	}
	found := []finding{good("configuration", "%s", describe(s))}
	if s.Embedded {
		servers, err := cli.StartEmbedded(ctx, &s, p.StateDir(), nil)
		if err != nil { // or the journal has the same trouble, and says so
			servers, err = cli.StartEmbedded(ctx, &s, "", nil)
		}
		if err != nil {
			return append(found, bad("embedded servers", err, "see the message; --documents must be a readable directory")), nil
		}
		defer func() { _ = servers.Close() }()
	}
	state := checkState(ctx, p, s)
	defer func() { all = append(all, state()) }()
	a, err := p.Authority(s, nil, nil)
	if err != nil {
		return nil, err
	}
	if client, ok := a.(*lumoauth.Client); ok {
		server := checkServer(ctx, client, s)
		found = append(found, server...)
		if server[0].OK {
			found = append(found, checkCredentials(ctx, client))
		}
	} else {
		found = append(found, checkStandard(ctx, a)...)
	}
	found = append(found, o.checkAPI(ctx, s.API), checkModel(ctx, p, s))
	for _, server := range s.MCP {
		found = append(found, checkMCP(ctx, server, s.Policy))
	}
	return found, nil
}

// checkMCP asks an MCP server which tools it has, without authority.
func checkMCP(ctx context.Context, server mcp.Server, p *policy.Policy) finding {
	check, servers := "MCP server "+server.Name, []mcp.Server{server}
	if mcp.Demanding(servers, p) {
		return finding{Check: check, OK: true, Unknown: true, Detail: "it may demand authority for being connected to, which only a run asks for"}
	}
	set, err := mcp.Open(ctx, mcp.Config{Servers: servers, Policy: p})
	if err != nil {
		return bad(check, err, "see the message, and docs/mcp.md")
	}
	defer func() { _ = set.Close() }()
	silent := 0
	for _, t := range set.Tools() {
		if !p.Aims(t.Name()) {
			silent++
		}
	}
	return good(check, "%s; the policy file says nothing of %d, of which each call is asked about", plain.Count(len(set.Tools()), "tool"), silent)
}

func describe(s cli.Settings) string {
	text := ""
	if about := s.Policy.Tools(); len(about) > 0 {
		text = "; the policy widens " + strings.Join(about, ", ")
	}
	if s.Embedded {
		return "nothing set: embedded servers" + text
	}
	if s.OAuth != nil {
		return "a standard OAuth server, " + s.Server() + text
	}
	return fmt.Sprintf("LumoAuth %s, organization %s, client %s", s.LumoAuth.URL, s.LumoAuth.Org, s.LumoAuth.ClientID) + text
}

// checkState opens the journal and gives back what dead processes left, as every
// command does that talks to an authorization server. The function that it returns
// waits for that and must be called.
func checkState(ctx context.Context, p *cli.Program, s cli.Settings) func() finding {
	j, err := p.OpenState(ctx, false, nil)
	if err != nil {
		f := bad("journal", err, cmp.Or(cli.Exit(err).Hint, cli.RunHint))
		f.Unknown = errors.Is(err, postgres.ErrNoTenant) // the first run makes it
		f.OK = f.Unknown
		return func() finding { return f }
	}
	a, err := p.Authority(s, j, nil)
	if err != nil {
		_ = j.Close() // nothing was written
		return func() finding {
			return bad("vault", err, "see the message; "+cli.EnvVaultKey+" names a private file of at least 32 bytes")
		}
	}
	recovered := cli.SweepAside(ctx, recovery.Config{Journal: j, Spare: j.Spare, Authority: cli.AuthorityName(s), Completer: a})
	return func() finding {
		report, err := recovered()
		if err = errors.Join(err, j.Close()); err != nil {
			return bad("journal", err, j.Hint())
		}
		f := good("journal", "%s", j.Where())
		for _, text := range []string{cli.Done(report), cli.Leftover(report)} {
			if text != "" {
				f.Detail += "; " + text
			}
		}
		if report.Waiting > 0 {
			f.OK, f.Fix = false, cli.LeftHint(report)
		}
		return f
	}
}

// checkServer reads the authorization server's metadata and compares clocks.
func checkServer(ctx context.Context, c *lumoauth.Client, s cli.Settings) []finding {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	ping, err := c.Ping(ctx)
	if err != nil {
		return []finding{bad("authorization server", err,
			fmt.Sprintf("check %s (%s) and %s (%s), and that this machine reaches the host", cli.EnvURL, s.LumoAuth.URL, cli.EnvOrg, s.LumoAuth.Org))}
	}
	server := good("authorization server", "issuer %s, answered in %s", ping.Metadata.Issuer, ping.RoundTrip.Round(time.Millisecond))
	skew := good("clock", "differs from the server's by %s", ping.Skew.Round(time.Second))
	switch {
	case ping.ServerTime.IsZero():
		skew.Detail = "the server does not tell its time"
	case ping.Skew.Abs() > maxSkew:
		skew.OK, skew.Fix = false, "set this machine's clock: tokens would count as expired or not yet valid"
	}
	return []finding{server, skew}
}

// checkStandard logs in at a standard server, and says what it cannot promise.
func checkStandard(ctx context.Context, a cli.Authority) []finding {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	limits, err := cli.Limits(ctx, a)
	if err != nil {
		return []finding{bad("authorization server", err, "check "+cli.EnvIssuer+", and that this machine reaches the host")}
	}
	found := []finding{good("authorization server", "its metadata can be read")}
	for _, text := range limits {
		found = append(found, finding{Check: "no promise", OK: true, Unknown: true, Detail: text})
	}
	if _, err := a.AgentToken(ctx); err != nil {
		return append(found, bad("credentials", err, "check "+cli.EnvOAuthClient+", and "+cli.EnvOAuthSecret+" or "+cli.EnvOAuthKey))
	}
	return append(found, good("credentials", "the agent logs in"))
}

// checkCredentials logs in.
func checkCredentials(ctx context.Context, c *lumoauth.Client) finding {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	me, err := c.Me(ctx)
	switch {
	case errors.Is(err, lumoauth.ErrInvalidClient):
		return bad("credentials", err, "check "+cli.EnvClientID+" and "+cli.EnvSecret)
	case err != nil:
		return bad("credentials", err, "see the message; the login may have worked, but the agent's own record could not be read")
	}
	return good("credentials", "agent %s, capabilities %s", me.AgentID, strings.Join(me.Capabilities, ", "))
}

// probePath returns where the tools in use meet a protected endpoint; "" when that is
// not known of them.
func (o options) probePath(api *url.URL) (string, error) {
	kit, err := o.toolkit(api, tools.Options{})
	if err != nil {
		return "", err
	}
	for _, t := range kit {
		if t.Name() == "fetch_document" {
			return "v1/documents/doctor", nil
		}
	}
	return "", nil
}

// checkAPI calls the protected API without a token, which it must refuse.
func (o options) checkAPI(ctx context.Context, api *url.URL) finding {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	path, err := o.probePath(api)
	if err != nil {
		return bad("protected API", err, "see the message: the tools cannot be made for this API")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api.JoinPath(path).String(), nil)
	if err != nil {
		return bad("protected API", errors.New("the URL does not parse"), "check "+cli.EnvAPI)
	}
	client := &http.Client{Transport: &jit.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return bad("protected API", err, "check "+cli.EnvAPI+", and that this machine reaches the host")
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<16)
	_ = resp.Body.Close()
	f := good("protected API", "%s answers %d to a call without a token", api, resp.StatusCode)
	f.OK = resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden
	switch {
	case f.OK:
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		f.Fix = "the API redirects: set " + cli.EnvAPI + " to where it redirects to"
	case resp.StatusCode >= 500:
		f.Fix = "the API is up but failing: see its log"
	case path == "":
		f.OK, f.Unknown = true, true
		f.Detail += ": whether it protects what its tools call cannot be told from outside"
	default:
		f.Fix = "the API does not ask for a token there: check that " + cli.EnvAPI + " is its base URL and that it is protected"
	}
	return f
}

// checkModel opens the model and, where it is not embedded, asks its provider
// whether it is there. No document is sent.
func checkModel(ctx context.Context, p *cli.Program, s cli.Settings) finding {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	llm, err := models.Open(ctx, s.Model, models.Options{Getenv: p.Getenv, Settings: s.ModelSettings})
	if err == nil {
		err = models.Check(ctx, llm)
	}
	const fix = "see the message; --model offline needs no key"
	if err != nil && !errors.Is(err, provider.ErrCannotTell) {
		return bad("model", err, fix)
	}
	f := good("model", "%s: %s", s.Model, s.Data)
	if err != nil {
		f.Unknown = true
		f.Detail += "; " + cli.Say(err)
	}
	if s.Model == "offline" {
		return f
	}
	use, err := provider.ProbeTools(ctx, llm)
	switch {
	case err != nil:
		return bad("model", err, fix)
	case use == provider.ToolsDropped:
		return bad("model", errors.New(s.Model+": the server leaves tools out of the prompt, so no document is ever read"), "use a model whose chat template has a place for tools")
	case use == provider.ToolsCalled:
		f.Detail += "; it calls tools"
	default:
		f.Unknown = true
		f.Detail += "; it made no call of a tool when asked for one, so it cannot be told whether it does"
	}
	return f
}

func printFindings(p *cli.Program, found []finding, asJSON bool) error {
	if asJSON {
		return p.PrintJSON(found)
	}
	var items []cli.Item
	for _, f := range found {
		mark := "ok  "
		switch {
		case !f.OK:
			mark = "FAIL"
		case f.Unknown:
			mark = "?   "
		}
		items = append(items, cli.Item{Label: fmt.Sprintf("%s  %-20s", mark, f.Check), Text: plain.Line(f.Detail, 300)})
		if f.Fix != "" {
			items = append(items, cli.Item{Text: "fix: " + plain.Line(f.Fix, 300)})
		}
	}
	return p.PrintItems(items)
}
