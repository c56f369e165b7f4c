package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/secret"
)

// EnvReviewer names the file that holds a reviewer's token. The token itself is never in
// the environment, which tools and children inherit.
const EnvReviewer = "ANALYST_REVIEWER_TOKEN_FILE"

// AddReviewer adds the flag that names the file of a reviewer's token.
func AddReviewer(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "reviewer-token-file", "", "private `FILE` with the token of a person who may decide ("+EnvReviewer+")")
	Complete(cmd, "reviewer-token-file", Files)
}

// ReviewerToken returns what reads the token in the file that the flag or [EnvReviewer]
// names; nil when neither does.
func (p *Program) ReviewerToken(file string) func(context.Context) (secret.String, error) {
	name := "--reviewer-token-file"
	if file == "" {
		file, name = strings.TrimSpace(p.Getenv(EnvReviewer)), EnvReviewer
	}
	if file == "" {
		return nil
	}
	return func(context.Context) (secret.String, error) {
		token, err := secretFrom(name, file, true)
		if err != nil {
			return token, Usagef("%w", err)
		}
		return token, nil
	}
}

// notTheAgent stands for what only the agent has: a person decides without it, and it is
// sent nowhere.
var notTheAgent = map[string]string{EnvClientID: "reviewer", EnvSecret: "none", EnvAPI: "https://api.invalid"}

// ResolvePerson is [Target.Resolve] for a person who decides.
func (t *Target) ResolvePerson(getenv func(string) string) (Settings, error) {
	return t.Resolve(func(name string) string {
		said := getenv(name)
		if said == "" && (t.url != "" || getenv(EnvURL) != "") {
			said = notTheAgent[name]
		}
		return said
	}, nil)
}
