package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"net/url"

	"github.com/gorilla/mux"
	"google.golang.org/adk/v2/cmd/launcher"
	"google.golang.org/adk/v2/cmd/launcher/web/webui"

	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/serve"
	"github.com/jitagent/jitagent/serve/a2a"
)

// secured is a sublauncher for web.NewLauncher, in place of ADK's own: the REST API, the web
// UI and A2A, for users who are known and see nothing of each other.
type secured struct {
	app        *app
	out        io.Writer
	url, users string
}

func (s *secured) Keyword() string           { return "secured" }
func (s *secured) CommandLineSyntax() string { return "    [-url URL] [-users FILE]\n" }
func (s *secured) SimpleDescription() string {
	return "serves the API, the web UI and A2A to users who sign in"
}

// Parse implements web.Sublauncher.
func (s *secured) Parse(args []string) ([]string, error) {
	flags := flag.NewFlagSet(s.Keyword(), flag.ContinueOnError)
	flags.StringVar(&s.url, "url", "http://localhost:8080", "by which browsers and clients reach the server")
	flags.StringVar(&s.users, "users", "", "file of users and the hashes of their tokens, see docs/serve.md; without it there is one user")
	err := flags.Parse(args)
	return flags.Args(), err
}

// SetupSubrouters implements web.Sublauncher.
func (s *secured) SetupSubrouters(router *mux.Router, config *launcher.Config) error {
	base, err := url.Parse(s.url)
	if err != nil {
		return err
	}
	users, err := s.authenticator()
	if err != nil {
		return err
	}
	ui := webui.NewLauncher()
	if _, err := ui.Parse([]string{"-api_server_address", "/api"}); err != nil {
		return err
	}
	pages := mux.NewRouter()
	if err := ui.SetupSubrouters(pages, config); err != nil {
		return err
	}
	root := config.AgentLoader.RootAgent()
	tasks, err := a2a.New(a2a.Config{Agent: root, Version: "1", URL: base, Suspensions: s.app.sessions, Runs: s.app.runs})
	if err != nil {
		return err
	}
	s.app.close = append(s.app.close, func() error {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		tasks.Close(now)
		return nil
	})
	h, err := serve.New(serve.Config{
		Agents: config.AgentLoader, Sessions: config.SessionService, Plugins: config.PluginConfig.Plugins,
		Resume: map[string]*runner.Runner{root.Name(): s.app.again}, Journal: s.app.journal,
		Users: users, URL: base, UI: pages, Mount: tasks.Mount, Open: tasks.Open(),
	})
	if err != nil {
		return err
	}
	router.PathPrefix("/").Handler(h)
	return nil
}

// authenticator says who may come in.
func (s *secured) authenticator() (serve.Authenticator, error) {
	if s.users != "" {
		return serve.TokenFile(s.users)
	}
	token := rand.Text()
	_, err := fmt.Fprintf(s.out, "[sign in at %s/login with the token %s]\n", s.url, token)
	return serve.Token(secret.New(token), serve.Principal{ID: "ada"}), err
}

// UserMessage implements web.Sublauncher.
func (s *secured) UserMessage(string, func(v ...any)) {}
