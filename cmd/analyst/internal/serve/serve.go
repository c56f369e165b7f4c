// Package serve is analyst serve: the analyst for many users, over HTTP.
package serve

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/adk/v2/plugin"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/service"
	listen "github.com/jitagent/jitagent/internal/serve"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/serve"
)

// options are what serve is asked for.
type options struct {
	service.Options
	addr, url, users  string
	certFile, keyFile string
	origins           []string
	approvers         []string // groups
	timeout, drain    time.Duration
	debug             bool
	limits            serve.Limits
}

// Command returns analyst serve.
func Command(p *cli.Program, kit cli.Toolkit) *cobra.Command {
	o := options{Options: service.Options{Toolkit: kit}}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the analyst to many users over HTTP",
		Long: `Serve the analyst over ADK's REST API with server-sent events, below /api, until
interrupted. Each user has sessions of their own, each message a task of its
own, and a call that waits for a person ends the answer and holds nothing.

Without --token-file one user may come in, with a token that is made for this
process and printed to stderr. Addresses that are not loopback need --token-file
and a certificate.`,
		Example: `  analyst serve
  analyst serve --listen 127.0.0.1:8080 --token-file users.txt
  analyst serve --listen :8443 --url https://analyst.example.com --token-file users.txt --cert tls.crt --key tls.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), p) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.addr, "listen", "127.0.0.1:8080", "`HOST:PORT` to listen on; port 0 is a free one")
	flags.StringVar(&o.url, "url", "", "`URL` by which browsers and clients reach the server, where that is not the address it listens on")
	flags.StringVar(&o.users, "token-file", "", "`FILE` of lines with the SHA-256 of a token, its user and the user's groups")
	flags.StringVar(&o.certFile, "cert", "", "`FILE` with the server's certificate and those that stand behind it")
	flags.StringVar(&o.keyFile, "key", "", "private `FILE` with the key of --cert")
	flags.StringArrayVar(&o.origins, "origin", nil, "`ORIGIN` of another site whose pages may use the API, such as https://app.example.com; may be given again")
	flags.StringArrayVar(&o.approvers, "approvers", []string{"approvers"}, "`GROUP` of users who decide what waits, at /approvals; may be given again")
	cli.AddReviewer(cmd, &o.Reviewer)
	flags.DurationVar(&o.Wait, "wait", 0, "how `LONG` a call waits for a person before the answer ends")
	flags.DurationVar(&o.TTL, "ttl", jit.DefaultTTL, "`LIFE` to ask for each token")
	flags.DurationVar(&o.timeout, "timeout", 15*time.Minute, "how `LONG` the answer to a message may take")
	flags.DurationVar(&o.drain, "drain", 30*time.Second, "how `LONG` what is under way may take when the server is told to end")
	flags.IntVar(&o.limits.Runs, "max-runs", 64, "how `MANY` messages are answered at once")
	flags.IntVar(&o.limits.RunsPerUser, "max-runs-per-user", 4, "the same, of one user")
	flags.IntVar(&o.limits.PerMinute, "max-rate", 240, "how `MANY` requests a user may make in a minute")
	flags.BoolVar(&o.debug, "debug", false, "log to stderr what happens inside")
	o.AddFlags(cmd)
	for _, name := range []string{"token-file", "cert", "key"} {
		cli.Complete(cmd, name, cli.Files)
	}
	return cmd
}

// open listens as it was asked for, and returns how clients reach the server and who may
// come in.
func (o *options) open(p *cli.Program) (l net.Listener, base *url.URL, users serve.Authenticator, err error) {
	if (o.certFile == "") != (o.keyFile == "") {
		return nil, nil, nil, cli.Usagef("--cert and --key go together")
	}
	secured := o.certFile != "" && o.users != ""
	if l, err = listen.Listen(o.addr, secured); err != nil {
		if !secured {
			err = fmt.Errorf("%w; elsewhere than on loopback --token-file, --cert and --key are needed", err)
		}
		return nil, nil, nil, cli.Usagef("%w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	base = listen.BaseURL(l)
	if o.certFile != "" {
		cert, err := tls.LoadX509KeyPair(o.certFile, o.keyFile)
		if err != nil {
			return l, nil, nil, cli.Usagef("--cert and --key: %w", err)
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
		base.Scheme = "https"
	}
	if o.url != "" {
		if base, err = url.Parse(o.url); err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
			return l, nil, nil, cli.Usagef("--url %q: want https://host[:port]", o.url)
		}
	}
	if o.users != "" {
		if users, err = serve.TokenFile(o.users); err != nil {
			return l, nil, nil, cli.Usagef("--token-file: %w", err)
		}
		return l, base, users, nil
	}
	token := secret.New(rand.Text())
	p.Note("sign in at %s with the token %s (of this process)", base.JoinPath("login"), token.Reveal())
	return l, base, serve.Token(token, serve.Principal{ID: cli.User, Groups: o.approvers}), nil
}

// run serves until ctx ends.
func (o *options) run(ctx context.Context, p *cli.Program) (err error) {
	if o.timeout <= 0 || o.drain <= 0 || o.Wait < 0 {
		return cli.Usagef("--timeout and --drain must be positive, and --wait not negative")
	}
	unseen, err := p.Observe(ctx, o.Seen)
	if err != nil {
		return err
	}
	defer unseen()
	logger := p.Logger(o.debug)
	l, base, users, err := o.open(p)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // a server has closed it, unless none was begun
	o.DecideAt, o.Options.Limits = base.JoinPath("approvals"), runner.Limits{Wall: o.timeout}
	svc, err := service.Open(ctx, p, o.Options, func(ctx context.Context) string {
		user, _ := serve.User(ctx)
		return user.Email
	}, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, svc.Close()) }()
	var ending atomic.Bool
	handler, err := o.handler(p, svc, users, base, logger, func() error {
		if ending.Load() {
			return errors.New("the server is ending")
		}
		return nil
	})
	if err != nil {
		return err
	}
	server := listen.New(handler, l, base.String(), logger)
	runs, stop := context.WithCancelCause(context.WithoutCancel(ctx)) // what is under way outlives the signal, for a while
	server.BaseContext = func(net.Listener) context.Context { return runs }
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	p.Note("serving at %s; press Ctrl-C to stop", base)
	select {
	case err := <-failed:
		stop(err)
		return err
	case <-ctx.Done():
	}
	ending.Store(true)
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.drain)
	defer cancel()
	if err := server.Shutdown(patience); err != nil { // the rest is stopped, and gives back what it was granted
		stop(errors.New("the server ends"))
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.drain)
		defer cancel()
		_ = server.Shutdown(last)
	}
	stop(nil)
	return nil
}

// handler makes what is served.
func (o *options) handler(p *cli.Program, svc *service.Service, users serve.Authenticator, base *url.URL, logger *slog.Logger, ready func() error) (http.Handler, error) {
	o.limits.Wall = o.timeout + time.Minute
	cfg := serve.Config{
		Agents: svc.Agents, Sessions: svc.Sessions, Plugins: []*plugin.Plugin{svc.Plugin}, Journal: svc.State, Approvers: o.approvers,
		Resume: map[string]*runner.Runner{svc.Agents.RootAgent().Name(): svc.Runner},
		Users:  users, URL: base, Origins: o.origins, Ready: ready, Inside: p.Telemetry.Handler, Limits: o.limits, Logger: logger,
	}
	var err error
	if cfg.UI, err = webUI(); err != nil {
		return nil, err
	}
	if svc.Decider != nil {
		cfg.Decider = svc.Decider
	}
	return serve.New(cfg)
}
