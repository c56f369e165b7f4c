// Package serve is analyst serve: the analyst for many users, over HTTP.
package serve

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/adk/v2/plugin"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/service"
	"github.com/jitagent/jitagent/internal/disk"
	listen "github.com/jitagent/jitagent/internal/serve"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/serve"
	"github.com/jitagent/jitagent/serve/a2a"
	"github.com/jitagent/jitagent/state/approval"
	"github.com/jitagent/jitagent/state/journal"
)

// options are what serve is asked for.
type options struct {
	service.Shared
	addr, url     string
	users         string // the file of their tokens
	issuer        serve.Issuer
	cert, key     string // files
	proxies       []string
	origins       []string
	approvers     []string // groups
	rights        approval.Rights
	drain, notice time.Duration
	workers       int
	limits        serve.Limits

	trusted []netip.Prefix
}

// Command returns analyst serve.
func Command(p *cli.Program, kit cli.Toolkit) *cobra.Command {
	o := options{Shared: service.Shared{Options: service.Options{Toolkit: kit}}}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the analyst to many users over HTTP",
		Long: `Serve the analyst over ADK's REST API with server-sent events, below /api, and
over A2A, at /a2a, until interrupted. Each user has sessions of their own, each
message a task of its own, and a call that waits for a person ends the answer
and holds nothing.

Users come with a token: one of --token-file, or an access token of
--oidc-issuer. Without either one user may come in, with a token that is made
for this process and printed to stderr. Addresses that are not loopback need one
of both, and either a certificate or a proxy that has one (see docs/serve.md).

When it is told to end, /readyz says so first, for --notice; what is under way
then has --drain, and what it was granted is given back. Told again, it stops
what is under way at once.`,
		Example: `  analyst serve
  analyst serve --listen 127.0.0.1:8080 --token-file users.txt
  analyst serve --listen :8443 --url https://analyst.example.com \
    --cert tls.crt --key tls.key \
    --oidc-issuer https://id.example.com --oidc-audience analyst
  analyst serve --listen :8080 --url https://analyst.example.com \
    --trusted-proxy 10.0.0.0/8 --token-file users.txt`,
		Args:    cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error { return o.check(cmd.Context(), p) },
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), p) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.addr, "listen", "127.0.0.1:8080", "`HOST:PORT` to listen on; port 0 is a free one")
	flags.StringVar(&o.url, "url", "", "`URL` by which browsers, clients and LumoAuth reach the server, where that is not the address it listens on")
	flags.StringVar(&o.users, "token-file", "", "`FILE` of lines with the SHA-256 of a token, its user and the user's groups")
	flags.StringVar(&o.issuer.URL, "oidc-issuer", "", "`URL` of the server whose access tokens users come with")
	flags.StringVar(&o.issuer.Audience, "oidc-audience", "", "`NAME` that such tokens have in aud if they are for this server")
	flags.StringVar(&o.issuer.Groups, "oidc-groups", "groups", "`CLAIM` with the user's groups")
	flags.StringVar(&o.cert, "cert", "", "`FILE` with the server's certificate and those that stand behind it; it is read again when it changes")
	flags.StringVar(&o.key, "key", "", "private `FILE` with the key of --cert")
	flags.StringArrayVar(&o.proxies, "trusted-proxy", nil, "`CIDR` of a proxy that speaks TLS to clients, and which alone is answered; may be given again")
	flags.StringArrayVar(&o.origins, "origin", nil, "`ORIGIN` of another site whose pages may use the API, such as https://app.example.com; may be given again")
	flags.StringArrayVar(&o.approvers, "approvers", []string{"approvers"}, "`GROUP` of users who decide what waits, at /approvals, or ISSUER GROUP; may be given again")
	flags.IntVar(&o.rights.Quorum, "quorum", 1, "how `MANY` of them must approve the same, 1 or 2")
	flags.BoolVar(&o.rights.Own, "approve-own", false, "let users approve what is asked on their own behalf")
	cli.AddReviewer(cmd, &o.Reviewer)
	flags.DurationVar(&o.Wait, "wait", 0, "how `LONG` a call waits for a person before the answer ends")
	flags.DurationVar(&o.notice, "notice", 5*time.Second, "how `LONG` /readyz says that the server ends before it takes no more requests; an interrupt at the terminal skips it")
	flags.DurationVar(&o.drain, "drain", 30*time.Second, "how `LONG` what is under way may take when the server is told to end")
	flags.IntVar(&o.limits.Runs, "max-runs", 64, "how `MANY` messages are answered at once")
	flags.IntVar(&o.limits.RunsPerUser, "max-runs-per-user", 4, "the same, of one user")
	flags.IntVar(&o.limits.OpenPerUser, "max-open-per-user", 32, "how `MANY` requests of a user, streams among them, may be open at once")
	flags.IntVar(&o.limits.PerMinute, "max-rate", 240, "how `MANY` requests a user may make in a minute")
	flags.IntVar(&o.workers, "workers", 4, "how `MANY` runs that waited, or whose process died, are gone on with at once; 0 leaves them to analyst worker")
	o.AddFlags(cmd)
	for _, name := range []string{"token-file", "cert", "key"} {
		cli.Complete(cmd, name, cli.Files)
	}
	cli.Configurable(flags)
	return cmd
}

// open listens as it was asked for, and returns how clients reach the server.
func (o *options) open() (l net.Listener, base *url.URL, err error) {
	if l, err = listen.Listen(o.addr, o.secured()); err != nil {
		return nil, nil, cli.Usagef("--listen: %w", err)
	}
	if base = o.Base; base == nil {
		base = listen.BaseURL(l)
		if o.cert != "" {
			base.Scheme = "https"
		}
	}
	return l, base, nil
}

// who returns who may come in, and the token of the one user where it is only one.
func (o *options) who(ctx context.Context) (users serve.Authenticator, token secret.String, err error) {
	switch {
	case o.users != "":
		users, err = serve.TokenFile(o.users)
	case o.issuer.URL != "":
		users, err = serve.Issued(ctx, o.issuer)
	default:
		token = secret.New(rand.Text())
		user := serve.Principal{ID: cli.User}
		for i, g := range o.rights.Allow {
			user.Groups, o.rights.Allow[i].Issuer = append(user.Groups, g.Name), ""
		}
		o.rights.Own = true // there is nobody else
		users = serve.Token(token, user)
	}
	if err != nil {
		return nil, token, cli.Usagef("%w", err)
	}
	return users, token, nil
}

// run serves until ctx ends.
func (o *options) run(ctx context.Context, p *cli.Program) (err error) {
	l, base, err := o.open()
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // a server has closed it, unless none was begun
	users, token, err := o.who(ctx)
	if err != nil {
		return err
	}
	o.DecideAt, o.Base = base.JoinPath("approvals"), base
	o.OnBehalfOf = func(ctx context.Context) string {
		user, _ := serve.User(ctx)
		return user.Email
	}
	svc, err := o.Shared.Open(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = svc.Close(err) }()
	var ending atomic.Bool
	tasks, err := a2a.New(a2a.Config{
		Agent: svc.Agents.RootAgent(), Tools: svc.Tools, Version: cli.Build(), URL: base, Suspensions: svc.Sessions, Runs: svc.Runs,
	})
	if err != nil {
		return err
	}
	now, end := context.WithCancel(ctx)
	end()
	defer tasks.Close(now) // what is left then is stopped
	state := &cli.Readiness{State: svc.State}
	handler, err := o.handler(svc, users, base, tasks, func() error {
		if ending.Load() {
			return errors.New("the server ends")
		}
		return state.Why(context.WithoutCancel(ctx)) // an answer that is for others, too
	})
	if err != nil {
		return cli.Usagef("%s", cli.Say(err))
	}
	work, end := context.WithCancel(context.WithoutCancel(ctx))
	worked := make(chan error, 1)
	var working sync.WaitGroup
	defer working.Wait()
	defer end()
	if o.workers > 0 {
		working.Go(func() { worked <- svc.Work(work, o.workers) })
	}
	server := listen.New(handler, l, base.String(), svc.Log)
	runs, stop := context.WithCancelCause(context.WithoutCancel(ctx)) // what is under way outlives the signal, for a while
	defer stop(nil)
	server.BaseContext = func(net.Listener) context.Context { return runs }
	failed := make(chan error, 1)
	go func() { failed <- o.serve(server, l) }()
	if !o.known() {
		p.Note("sign in at %s with the token %s (of this process)", base.JoinPath("login"), token.Reveal())
	}
	p.Note("serving at %s; press Ctrl-C to stop", base)
	var lost error
	select {
	case err := <-failed:
		return err
	case <-svc.State.Lost(): // nothing more is recorded, so nothing more is done: whoever asked is told
		lost = cli.Failf("start it again", "the server ends: %w", journal.ErrLost)
	case lost = <-worked: // the same
	case <-ctx.Done():
	}
	ending.Store(true)
	end()
	if lost != nil {
		stop(lost)
	}
	patient, notice := cli.Patience(ctx), o.notice
	if s, ok := errors.AsType[cli.Signal](context.Cause(ctx)); lost == nil && (!ok || s.Signal == os.Interrupt) {
		notice = 0
	}
	if lost == nil {
		p.Note("ending: what is under way has %s; what is left then is stopped, and what it was granted is given back; once more stops it at once", notice+o.drain)
	}
	select {
	case <-time.After(notice):
	case <-patient.Done():
	case err := <-failed:
		return err
	}
	// What waits is suspended even where nobody waits for the end, in a second.
	suspending, hurry := context.WithCancel(context.WithoutCancel(ctx))
	defer hurry()
	context.AfterFunc(patient, func() { time.AfterFunc(time.Second, hurry) })
	closed := make(chan struct{})
	go func() { tasks.Close(runs); close(closed) }()
	for _, step := range []struct {
		within context.Context
		time   time.Duration
		then   func()
	}{
		{patient, o.drain, svc.Engine.WaitNoMore}, // what is under way ends
		{suspending, toSuspend, func() { stop(serve.ErrEnds) }},
		{context.WithoutCancel(ctx), o.drain, func() {}}, // what is stopped gives back what it was granted
	} {
		patience, cancel := context.WithTimeout(step.within, step.time)
		err := server.Shutdown(patience)
		select {
		case <-closed:
		case <-patience.Done():
			err = patience.Err()
		}
		cancel()
		if err == nil {
			break
		}
		step.then()
	}
	return lost
}

// toSuspend is how long what waited for a person to the end may take to be suspended.
const toSuspend = 5 * time.Second

// serve serves l: by TLS, where there is a certificate.
func (o *options) serve(server *http.Server, l net.Listener) error {
	if o.cert == "" {
		return server.Serve(l)
	}
	pair := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { // as it is now: certificates are renewed
		c, err := o.pair()
		return &c, err
	}
	server.TLSConfig = &tls.Config{GetCertificate: pair, MinVersion: tls.VersionTLS12}
	return server.ServeTLS(l, "", "")
}

// pair reads the certificate and its key.
func (o *options) pair() (tls.Certificate, error) {
	cert, err := disk.ReadFile(o.cert, 1<<20, nil)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := disk.ReadFile(o.key, 1<<20, nil)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// handler makes what is served.
func (o *options) handler(svc *service.Service, users serve.Authenticator, base *url.URL, tasks *a2a.Handler, ready func() error) (http.Handler, error) {
	o.limits.Wall = o.Timeout + time.Minute
	open := tasks.Open()
	if svc.Callbacks != nil {
		open["/callbacks/{address}"] = svc.Runs.Callback(*svc.Callbacks, svc.State)
	}
	cfg := serve.Config{
		Agents: svc.Agents, Sessions: svc.Sessions, Plugins: []*plugin.Plugin{svc.Plugin}, Journal: svc.State, Rights: o.rights,
		Resume: map[string]*runner.Runner{svc.Agents.RootAgent().Name(): svc.Runner}, Runs: svc.Runs,
		Users: users, URL: base, Proxies: o.trusted, Origins: o.origins, Mount: tasks.Mount, Open: open, Ready: ready, Inside: svc.Telemetry.Handler, Limits: o.limits, Logger: svc.Log,
	}
	cfg.Rights.Votes = svc.Runs
	var err error
	if cfg.UI, err = webUI(); err != nil {
		return nil, err
	}
	if svc.Decider != nil {
		cfg.Decider = svc.Runs.Hinting(svc.Decider)
	}
	return serve.New(cfg)
}
