package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	listen "github.com/jitagent/jitagent/internal/serve"
	"github.com/jitagent/jitagent/serve"
	"github.com/jitagent/jitagent/state/approval"
)

// known reports whether the server knows its users, and is no one-user server.
func (o *options) known() bool { return o.users != "" || o.issuer.URL != "" }

// secured reports whether tokens are kept from others on their way, and users are known.
func (o *options) secured() bool {
	return o.known() && (o.cert != "" || len(o.proxies) > 0 && o.url != "")
}

// check finds what is wrong with flags and settings.
func (o *options) check(ctx context.Context, p *cli.Program) error {
	var wrong cli.Problems
	wrong.Add(o.Shared.Check(ctx, p))
	wrong.If(o.drain <= 0, "--drain must be positive")
	wrong.If(o.notice < 0, "--notice must not be negative")
	wrong.If(o.Wait < 0, "--wait must not be negative")
	wrong.If(o.workers < 0, "--workers must not be negative")
	wrong.If(o.limits.Runs <= 0, "--max-runs must be positive")
	wrong.If(o.limits.RunsPerUser <= 0, "--max-runs-per-user must be positive")
	wrong.If(o.limits.OpenPerUser <= 0, "--max-open-per-user must be positive")
	wrong.If(o.limits.PerMinute <= 0, "--max-rate must be positive")
	o.checkAddresses(&wrong)
	o.checkUsers(&wrong)
	return wrong.Err()
}

// checkAddresses finds what is wrong with where the server is and who stands before it.
func (o *options) checkAddresses(wrong *cli.Problems) {
	wrong.If((o.cert == "") != (o.key == ""), "--cert and --key go together")
	if o.cert != "" && o.key != "" {
		if _, err := o.pair(); err != nil {
			wrong.Addf("--cert and --key: %w", err)
		}
	}
	o.trusted = nil
	for _, text := range o.proxies {
		p, err := netip.ParsePrefix(text)
		wrong.If(err != nil, "--trusted-proxy %q: want an address and the length of a prefix, such as 10.0.0.0/8", text)
		o.trusted = append(o.trusted, p)
	}
	origins := http.NewCrossOriginProtection()
	for _, text := range o.origins {
		wrong.If(origins.AddTrustedOrigin(text) != nil, "--origin %q: want https://host[:port]", text)
	}
	if o.url != "" {
		origin, err := listen.Origin(o.url)
		if o.Base, _ = url.Parse(origin); err != nil || o.Base.Scheme != "https" && len(o.proxies) > 0 {
			wrong.Addf("--url %q: want https://host[:port]", o.url)
		}
	}
	_, err := listen.Address(o.addr, o.secured())
	if errors.Is(err, listen.ErrRemote) {
		err = cli.Endf(cli.ExitUsage, "--token-file or --oidc-issuer says who; --cert and --key, or --trusted-proxy and --url, keep their tokens from others",
			"--listen %s is not loopback: there, the server must know its users, and speak TLS or stand behind a proxy that does", o.addr)
	} else if err != nil {
		err = fmt.Errorf("--listen: %w", err)
	}
	wrong.Add(err)
}

// checkUsers finds what is wrong with who may come in, and who decides.
func (o *options) checkUsers(wrong *cli.Problems) {
	wrong.If(o.users != "" && o.issuer.URL != "", "--token-file and --oidc-issuer exclude each other")
	wrong.If((o.issuer.URL == "") != (o.issuer.Audience == ""), "--oidc-issuer and --oidc-audience go together")
	o.rights.Allow = nil
	for _, text := range o.approvers {
		issuer, group, both := strings.Cut(text, " ")
		if !both {
			issuer, group = "", text
		}
		wrong.If(group == "", "--approvers %q: want GROUP, or ISSUER GROUP", text)
		o.rights.Allow = append(o.rights.Allow, approval.Group{Issuer: issuer, Name: group})
	}
	wrong.If(o.rights.Quorum < 1 || o.rights.Quorum > 2, "--quorum %d: it is 1 or 2", o.rights.Quorum)
	wrong.If(o.rights.Quorum == 2 && !o.known(), "--quorum 2: without --token-file or --oidc-issuer there is one user")
	wrong.If(o.rights.Quorum == 2 && len(o.approvers) == 0, "--quorum 2: --approvers names no group")
	if o.users == "" {
		return
	}
	users, err := serve.Users(o.users)
	if err != nil {
		wrong.Addf("--token-file: %w", err)
		return
	}
	approvers := map[string]bool{}
	for _, u := range users {
		if o.rights.May(approval.Approver(u)) {
			approvers[u.ID] = true
		}
	}
	wrong.If(o.rights.Quorum == 2 && len(approvers) < 2, "--quorum 2: --token-file has %s in the groups of --approvers", plain.Count(len(approvers), "user"))
}
