package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/gorilla/mux"
	"google.golang.org/adk/v2/cmd/launcher"
	"google.golang.org/adk/v2/cmd/launcher/web/webui"

	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/serve"
	"github.com/jitagent/jitagent/serve/a2a"
	"github.com/jitagent/jitagent/state/approval"
)

// secured is a sublauncher for web.NewLauncher, in place of ADK's own: the REST API, the web
// UI, A2A and a page of approvals, for users who are known and see nothing of each other.
type secured struct {
	app   *app
	out   io.Writer
	users string // the file; "" is one user
}

func (s *secured) Keyword() string           { return "secured" }
func (s *secured) CommandLineSyntax() string { return "    needs -url before web\n" }
func (s *secured) SimpleDescription() string {
	return "serves the API, the web UI, A2A and approvals to users who sign in"
}

// Parse implements web.Sublauncher.
func (s *secured) Parse(args []string) ([]string, error) { return args, nil }

// SetupSubrouters implements web.Sublauncher.
func (s *secured) SetupSubrouters(router *mux.Router, config *launcher.Config) error {
	if s.app.url == nil {
		return errors.New("secured: say by which address: launcher -url http://localhost:8080 web -port 8080 secured")
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
	tasks, err := a2a.New(a2a.Config{Agent: root, Version: "1", URL: s.app.url, Suspensions: s.app.sessions, Runs: s.app.runs})
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
		Users: users, URL: s.app.url, UI: pages, Mount: tasks.Mount, Open: tasks.Open(), Runs: s.app.runs,
		// The page, at /approvals, for the group of those who decide: of somebody else's requests, unless there is but one user.
		Decider: s.app.decides, Rights: approval.Rights{Allow: []approval.Group{{Name: "approvers"}}, Own: s.users == ""},
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
	_, err := fmt.Fprintf(s.out, "[sign in at %s/login with the token %s]\n", s.app.url, token)
	return serve.Token(secret.New(token), serve.Principal{ID: "ada", Groups: []string{"approvers"}}), err
}

// UserMessage implements web.Sublauncher.
func (s *secured) UserMessage(string, func(v ...any)) {}
