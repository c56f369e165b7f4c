// Package serve serves an application of ADK's: its REST API with server-sent events, its
// web UI and what else is mounted, on one port behind authentication.
//
// Invariants:
//
//   - Whoever is not authenticated gets nothing but [Config.Open], the page to sign in, and
//     whether the server lives and is ready.
//   - A user sees and uses their own sessions: the user of every request is the
//     authenticated one, whatever path and body say.
//   - A message is text and inline media. What only a model, a tool or ADK itself says
//     (calls, results, confirmations, events, the application's state) is refused.
//   - A page of another origin, or one under another name, gets nothing and does nothing.
//   - Bodies, runs at once and requests a minute are bounded, for each user and in all.
//   - No client is told the text of an internal error.
//
// The routes are those of ADK's own REST server, google.golang.org/adk/v2/server/adkrest,
// over the same services. That server itself is not mounted: it takes the user from the
// path, confirmations from messages and events from whoever creates a session, and answers
// with the texts of errors. Its routes for debugging and evaluation, and the live one, are
// not here.
//
// The handler listens nowhere and knows no certificate: that is the program's.
package serve

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/plugin"
	adkrunner "google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"

	"github.com/jitagent/jitagent/internal/serve"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/approval"
	"github.com/jitagent/jitagent/state/journal"
)

// Config sets up [New].
type Config struct {
	// Agents and Sessions are the application's, as in ADK's launcher.Config. Required.
	Agents   adk.Loader
	Sessions session.Service
	// Plugins are ADK's, that of runner.NewPlugin first. Required.
	Plugins []*plugin.Plugin

	// Resume goes on with suspended sessions, by application: with the same Sessions,
	// Suspensions and Runs as the plugin, and ManyUsers. nil: nothing is suspended.
	Resume map[string]*runner.Runner
	// Runs are those of the plugin: a session that a run has is not deleted. nil keeps none.
	Runs runner.Runs
	// Journal tells a user what happened in their sessions. nil tells nothing.
	Journal journal.Store
	// Decider decides requests, for users who have the Rights. nil: elsewhere. Who asks for
	// something is read from Journal, besides what the request says.
	Decider approval.Decider
	Rights  approval.Rights

	// Users says who may come in. Required.
	Users Authenticator
	// URL is the address by which browsers and clients reach the server: requests for
	// another host are refused, and where it is https, the cookie of a sign-in goes over TLS
	// only. nil is http on this machine: localhost and the loopback addresses.
	URL *url.URL
	// Proxies are those that stand before the server, by their addresses, and speak TLS to
	// clients. Then nobody else is answered, and the host of a request is what they say in
	// X-Forwarded-Host, if they do. Nothing of the kind is believed otherwise.
	Proxies []netip.Prefix
	// Origins are those of other sites whose pages may use the API with a token, each as
	// "https://host[:port]".
	Origins []string

	// UI serves ADK's web UI below /ui/. nil has none.
	UI http.Handler
	// Mount makes further handlers behind authentication, by patterns of [http.ServeMux],
	// such as "/a2a/". [User] tells them whose a request is. nil makes none.
	Mount func(Turns) (map[string]http.Handler, error)
	// Open are handlers that everybody reaches, by patterns as well.
	Open map[string]http.Handler
	// Inside wraps what is behind authentication, such as to record it; nil wraps nothing.
	Inside func(http.Handler) http.Handler
	// Ready says why the server takes no work now, in words that everybody may read: then
	// /readyz answers 503 with them, and the rest goes on. nil is ready.
	Ready func() error

	Limits Limits
	Logger *slog.Logger // nil discards
}

// Limits bound what users can have done. The zero value means the defaults.
type Limits struct {
	Body        int64         // bytes of a request; default 8 MiB
	Session     int64         // bytes of a conversation, beyond which no message is said to it: each reads it whole; default 16 MiB, and models take little more at once
	Runs        int           // messages that are being answered at once; default 64
	RunsPerUser int           // the same, of one user; default 4
	PerMinute   int           // requests of one user, but for the files of UI; default 240, a sixth of them at once
	OpenPerUser int           // such requests of one user that are under way at once, streams among them; default 32
	Wall        time.Duration // how long the answer to a message may take; default 16 minutes
}

// server is what [New] makes.
type server struct {
	Config
	runners map[string]*adkrunner.Runner // by application
	usage   usage
}

// New returns the handler of a server.
func New(cfg Config) (http.Handler, error) {
	if cfg.Agents == nil || cfg.Sessions == nil || cfg.Users == nil || len(cfg.Plugins) == 0 {
		return nil, errors.New("serve: Agents, Sessions, Plugins and Users are required")
	}
	l := &cfg.Limits
	if l.Body < 0 || l.Session < 0 || l.Runs < 0 || l.RunsPerUser < 0 || l.PerMinute < 0 || l.OpenPerUser < 0 || l.Wall < 0 {
		return nil, errors.New("serve: a limit is negative")
	}
	l.Body, l.Session, l.Runs, l.RunsPerUser = cmp.Or(l.Body, 8<<20), cmp.Or(l.Session, 16<<20), cmp.Or(l.Runs, 64), cmp.Or(l.RunsPerUser, 4)
	l.PerMinute, l.OpenPerUser, l.Wall = cmp.Or(l.PerMinute, 240), cmp.Or(l.OpenPerUser, 32), cmp.Or(l.Wall, 16*time.Minute)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	cfg.URL = cmp.Or(cfg.URL, &url.URL{Scheme: "http", Host: "localhost"})
	s := &server{Config: cfg, runners: map[string]*adkrunner.Runner{}}
	if s.Decider != nil { // for whatever is mounted, too
		s.Rights.Asker = s.asker
		s.Decider = s.Rights.Guard(s.Decider)
	}
	for _, app := range cfg.Agents.ListAgents() {
		root, err := cfg.Agents.LoadAgent(app)
		if err != nil {
			return nil, fmt.Errorf("serve: %w", err)
		}
		s.runners[app], err = adkrunner.New(adkrunner.Config{
			AppName: app, Agent: root, SessionService: runner.Conversations(cfg.Sessions, 0), PluginConfig: adkrunner.PluginConfig{Plugins: cfg.Plugins},
		})
		if err != nil {
			return nil, fmt.Errorf("serve: %w", err)
		}
	}
	sameOrigin := http.NewCrossOriginProtection()
	for _, o := range cfg.Origins {
		if err := sameOrigin.AddTrustedOrigin(o); err != nil {
			return nil, fmt.Errorf("serve: origin %q: want https://host[:port]", o)
		}
	}

	inside, outside, probes := http.NewServeMux(), http.NewServeMux(), http.NewServeMux()
	known, open, err := s.routes()
	if err != nil {
		return nil, err
	}
	for pattern, h := range known {
		inside.Handle(pattern, h)
	}
	for pattern, h := range open {
		outside.Handle(pattern, h)
	}
	behind := http.Handler(inside)
	if cfg.Inside != nil {
		behind = cfg.Inside(inside)
	}
	outside.Handle("/", s.authenticated(behind))
	probes.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	probes.HandleFunc("GET /readyz", s.ready)
	probes.Handle("/", s.proxied(serve.OwnHost(s.shared(sameOrigin.Handler(outside)), cfg.URL.String()))) // not what is asked for by address
	return probes, nil
}

// routes returns what is behind authentication, and what everybody reaches.
func (s *server) routes() (known, open map[string]http.Handler, err error) {
	known = s.rest()
	maps.Copy(known, s.pages())
	if s.UI != nil {
		known["GET /ui/"] = webUI(s.UI)
	}
	if s.Mount != nil {
		mounted, err := s.Mount(Turns{s.Config, s})
		if err != nil {
			return nil, nil, err
		}
		for pattern, h := range mounted {
			if known[pattern] != nil {
				return nil, nil, fmt.Errorf("serve: %s is mounted, and a route of the server's", pattern)
			}
			known[pattern] = h
		}
	}
	open = map[string]http.Handler{
		"GET /style.css": http.HandlerFunc(style),
		"GET /login":     http.HandlerFunc(signInPage),
		"POST /login":    http.HandlerFunc(s.signIn),
		"POST /logout":   http.HandlerFunc(s.signOut),
	}
	maps.Copy(open, s.Open)
	return known, open, nil
}

func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	if s.Ready != nil {
		if err := s.Ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	_, _ = w.Write([]byte("ready\n"))
}
