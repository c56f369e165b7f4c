// Package dev is analyst dev: the embedded servers by themselves.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/dev/modelserver"
	"github.com/jitagent/jitagent/models/offline"
)

// mark begins a file of export lines: such a file may be replaced.
const mark = "# written by analyst dev\n"

// options are what dev is asked for.
type options struct {
	addr, apiAddr      string
	modelAddr          string
	state              string
	envFile, operator  string
	documents, reports string
	org                string
	allowRemote        bool
	force              bool
	dpop               bool
}

// Command returns analyst dev.
func Command(p *cli.Program) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the embedded servers by themselves",
		Long: `Run the embedded authorization server, the protected API and the offline model
until interrupted. The model is served as OpenAI and as Google serve theirs,
under the name "offline". The lines that point a client at all of them go to
stdout, a log line for each request to stderr. What the agent must not hold,
the reviewer's token and the resource server's credentials, is in none of them:
--operator-env-file asks for it. The servers are for development: they speak
plain HTTP and, unless told otherwise, listen on loopback only.`,
		Example: `  analyst dev
  analyst dev --addr 127.0.0.1:8600 --api-addr 127.0.0.1:8601
  analyst dev --env-file dev.env
  . ./dev.env && analyst run "Summarize doc_9982"    # elsewhere
  . ./dev.env && analyst run --model openai/offline "Summarize doc_9982"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), p) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.addr, "addr", "127.0.0.1:0", "`HOST:PORT` of the authorization server; port 0 is a free one")
	flags.StringVar(&o.apiAddr, "api-addr", "127.0.0.1:0", "`HOST:PORT` of the protected API")
	flags.StringVar(&o.modelAddr, "model-addr", "127.0.0.1:0", "`HOST:PORT` of the model server")
	flags.StringVar(&o.state, "state", "", "`DIR` that keeps keys, tasks, tokens and addresses over restarts")
	flags.StringVar(&o.envFile, "env-file", "", "write the export lines to this `FILE` too, readable by its owner only")
	flags.StringVar(&o.operator, "operator-env-file", "", "write the reviewer's and the resource server's credentials to this `FILE`; - prints them")
	flags.BoolVar(&o.force, "force", false, "replace files of --env-file and --operator-env-file that this command did not write")
	flags.StringVar(&o.documents, "documents", "", "`DIR` of texts to serve: .md, .txt, .log, .csv, .html")
	flags.StringVar(&o.reports, "reports", "", "`DIR` in which reports are written (default ./reports)")
	flags.StringVar(&o.org, "org", lumodev.DefaultOrg, "`SLUG` of the organization")
	flags.BoolVar(&o.dpop, "dpop", false, "demand tokens that are bound to a key (DPoP)")
	flags.BoolVar(&o.allowRemote, "allow-remote", false, "allow addresses that are not loopback: anyone who reaches them can act")
	for _, name := range []string{"state", "documents", "reports"} {
		cli.Complete(cmd, name, cli.Dirs)
	}
	for _, name := range []string{"env-file", "operator-env-file"} {
		cli.Complete(cmd, name, cli.Files)
	}
	return cmd
}

// Models serves the offline model: also under such names as Google's ADKs insist
// on, and some clients of OpenAI.
func Models(logger *slog.Logger) (*modelserver.Server, error) {
	llm := offline.New()
	return modelserver.New(modelserver.Config{
		Models: map[string]model.LLM{"offline": llm, "gemini-*": llm, "gpt-*": llm, "claude-*": llm}, Logger: logger,
	})
}

// run serves until ctx ends or a server fails.
func (o options) run(ctx context.Context, p *cli.Program) (err error) {
	if o.envFile != "" && filepath.Clean(o.envFile) == filepath.Clean(o.operator) {
		return cli.Usagef("--env-file and --operator-env-file name one file: the agent must not hold what is in the other")
	}
	logger := slog.New(slog.NewTextHandler(p.Stderr, nil))
	llms, err := Models(logger)
	if err != nil {
		return err
	}
	servers, err := dev.Start(ctx, dev.Config{
		Auth: lumodev.Config{Org: o.org, DPoP: o.dpop}, AuthAddr: o.addr,
		Documents: &docapi.Config{Documents: o.documents, Reports: o.reports}, APIAddr: o.apiAddr,
		Model: llms, ModelAddr: o.modelAddr,
		AllowRemote: o.allowRemote, StateDir: o.state, Logger: logger,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.Close()) }()
	operator, err := operatorExports(ctx, servers)
	if err != nil {
		return err
	}
	exports := agentExports(servers)
	printed := exports
	if o.operator == "-" {
		printed, o.operator = printed+operator, ""
	}
	for _, file := range []struct{ flag, path, text string }{
		{"--operator-env-file", o.operator, operator}, // first: who waits for the other has both
		{"--env-file", o.envFile, exports},
	} {
		if file.path == "" {
			continue
		}
		end, err := cli.WriteFile(file.path, []byte(mark+file.text), mark, o.force)
		if err != nil {
			return fmt.Errorf("%s: %w", file.flag, err)
		}
		// The secrets in it are void with the servers, unless these come back.
		defer end(o.state == "")
	}
	if _, err := io.WriteString(p.Stdout, printed); err != nil {
		return fmt.Errorf("write the export lines: %w", err)
	}
	_, _ = fmt.Fprintf(p.Stderr, "analyst: development servers: authorization %s, documents %s, models %s; press Ctrl-C to stop\n", servers.AuthURL, servers.API, servers.Model)
	_, _ = fmt.Fprintf(p.Stderr, "analyst: decide what waits for a person at %s (works once)\n", servers.Auth.SignIn())
	select {
	case <-ctx.Done():
		return nil
	case err := <-servers.Failed():
		return err
	}
}

// agentExports returns the shell lines that point an agent at the servers. They hold
// no key of a model: it would take the place of a real one, and the server wants none.
func agentExports(servers *dev.Servers) string {
	client := servers.Client()
	var bound [][2]string
	if client.DPoP {
		bound = [][2]string{{cli.EnvDPoP, "true"}}
	}
	return exportLines(append(bound, [][2]string{
		{cli.EnvURL, client.URL},
		{cli.EnvOrg, client.Org},
		{cli.EnvTenant, client.Org},
		{cli.EnvClientID, client.ClientID},
		{cli.EnvSecret, client.ClientSecret.Reveal()},
		{cli.EnvAPI, servers.API.String()},
		{cli.EnvAPIIdempotent, "true"},
		{cli.EnvAPISearch, "true"},
		{"OPENAI_BASE_URL", servers.Model.JoinPath("v1").String()},
		{"GOOGLE_GEMINI_BASE_URL", servers.Model.String()},
		{"ANTHROPIC_BASE_URL", servers.Model.String()},
	}...))
}

// operatorExports returns what decides about the agent's requests and sees all its
// tokens, and so is not for the environment that the agent runs in.
func operatorExports(ctx context.Context, servers *dev.Servers) (string, error) {
	token, err := servers.Auth.Reviewer(ctx)
	if err != nil {
		return "", err
	}
	rs := servers.Guard()
	return exportLines([][2]string{
		{"LUMODEV_REVIEWER_TOKEN", token.Reveal()},
		{"LUMODEV_RS_CLIENT_ID", rs.ClientID},
		{"LUMODEV_RS_CLIENT_SECRET", rs.ClientSecret.Reveal()},
	}), nil
}

func exportLines(vars [][2]string) string {
	var b strings.Builder
	for _, v := range vars {
		fmt.Fprintf(&b, "export %s='%s'\n", v[0], strings.ReplaceAll(v[1], "'", `'\''`))
	}
	return b.String()
}
