package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/internal/atomicfile"
)

type devFlags struct {
	addr, apiAddr      string
	modelAddr          string
	state, envFile     string
	documents, reports string
	org                string
	allowRemote        bool
}

func (p *program) devCommand() *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the embedded servers by themselves",
		Long: `Run the embedded authorization server, the protected API and the offline model until
interrupted. The model is served as OpenAI and as Google serve theirs, under the
name "offline". The lines that point a client at all of them go to stdout, a log
line for each request to stderr. The servers are for development: they speak plain
HTTP and, unless told otherwise, listen on loopback only.`,
		Example: `  analyst dev
  analyst dev --addr 127.0.0.1:8600 --api-addr 127.0.0.1:8601 --state ./dev-state
  analyst dev --env-file dev.env    # then, elsewhere: . ./dev.env && analyst run "..."
                                    # or: . ./dev.env && analyst run --model openai/offline "..."`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.dev(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.addr, "addr", "127.0.0.1:0", "address of the authorization server; port 0 is a free one")
	flags.StringVar(&f.apiAddr, "api-addr", "127.0.0.1:0", "address of the protected API")
	flags.StringVar(&f.modelAddr, "model-addr", "127.0.0.1:0", "address of the model server")
	flags.StringVar(&f.state, "state", "", "directory that keeps keys, tasks and tokens over restarts")
	flags.StringVar(&f.envFile, "env-file", "", "write the export lines to this file too, readable by its owner only")
	flags.StringVar(&f.documents, "documents", "", "serve the .md and .txt files of this directory")
	flags.StringVar(&f.reports, "reports", "", "where reports are written (default ./reports)")
	flags.StringVar(&f.org, "org", lumodev.DefaultOrg, "organization slug")
	flags.BoolVar(&f.allowRemote, "allow-remote", false, "allow addresses that are not loopback: anyone who reaches them can act")
	return cmd
}

func (p *program) dev(ctx context.Context, f devFlags) (err error) {
	logger := slog.New(slog.NewTextHandler(p.stderr, nil))
	servers, err := startEmbedded(ctx, embeddedConfig{
		documents: f.documents, reports: f.reports, stateDir: f.state, authAddr: f.addr, apiAddr: f.apiAddr,
		allowRemote: f.allowRemote, org: f.org, logger: logger,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.Close()) }()
	llms, err := startModels(f.modelAddr, f.allowRemote, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, llms.Close()) }()
	exports, err := servers.exports(llms.exports())
	if err != nil {
		return err
	}
	if f.envFile != "" {
		if err := atomicfile.Write(f.envFile, []byte(exports), 0o600); err != nil {
			return fmt.Errorf("--env-file: %w", err)
		}
		// The secrets in it are void with the servers, unless these come back.
		if f.state == "" {
			defer func() { _ = os.Remove(f.envFile) }()
		}
	}
	if _, err := io.WriteString(p.stdout, exports); err != nil {
		return fmt.Errorf("write the export lines: %w", err)
	}
	_, _ = fmt.Fprintf(p.stderr, "analyst: development servers: authorization %s, documents %s, models %s; press Ctrl-C to stop\n", servers.auth.URL, servers.url, llms.url)
	select {
	case <-ctx.Done():
		return nil
	case err := <-servers.done:
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("the protected API stopped: %w", err)
	case err := <-llms.done:
		return fmt.Errorf("the model server stopped: %w", err)
	}
}

// exports returns the shell lines that point any client at the servers, and the
// further ones.
func (e *embedded) exports(further [][2]string) (string, error) {
	cfg := e.auth.Server.Config()
	var reviewer string
	for _, u := range cfg.Users {
		if u.Reviewer {
			reviewer = u.Email
			break
		}
	}
	token, err := e.auth.Server.UserToken(reviewer)
	if err != nil {
		return "", err
	}
	agent, rs := cfg.Agents[0], cfg.ResourceServers[0]
	var b strings.Builder
	for _, v := range slices.Concat([][2]string{
		{envURL, e.auth.URL},
		{envOrg, cfg.Org},
		{envClientID, agent.ClientID},
		{envSecret, agent.ClientSecret.Reveal()},
		{envAPI, e.url.String()},
		{envAPIIdempotent, "true"},
		{"LUMODEV_REVIEWER_TOKEN", token.Reveal()},
		{"LUMODEV_RS_CLIENT_ID", rs.ClientID},
		{"LUMODEV_RS_CLIENT_SECRET", rs.ClientSecret.Reveal()},
	}, further) {
		fmt.Fprintf(&b, "export %s='%s'\n", v[0], strings.ReplaceAll(v[1], "'", `'\''`))
	}
	return b.String(), nil
}
