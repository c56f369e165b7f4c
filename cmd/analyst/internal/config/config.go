// Package config is analyst config: it looks at the configuration file.
package config

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/internal/yamlfile"
)

// Command returns analyst config.
func Command(p *cli.Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Look at the configuration file",
		Long: `The configuration file is YAML, and --config or ANALYST_CONFIG names it. It has
settings under the names of flags, but for those of one run (--session, --json,
--quiet, --ephemeral), and a list where a flag may be given again:

  lumoauth-url: https://auth.example.com
  org: acme-corp
  client-id: analyst
  client-secret-file: /run/secrets/analyst
  api-url: https://api.example.com/v1
  model: openai/gpt-5
  mcp: [crm=https://mcp.example.com/mcp]
  ttl: 2m

Flags win over the environment, and that over the file. It holds no secret: what
is one is in a file of its own, which a setting names. Paths are as for flags.
One file serves all commands: each takes what it has a flag for.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var asJSON bool
	check := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say all that is wrong with a configuration file",
		Long: `Say all that is wrong with a configuration file, with its lines: that of
--config, unless FILE names another. Files that it names are read, and no server
is asked.

Exit codes: 0 nothing is wrong, 2 something is.`,
		Example: `  analyst config check analyst.yaml
  ANALYST_CONFIG=analyst.yaml analyst config check --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := strings.Join(args, "")
			if file == "" {
				file = p.ConfigFile()
			}
			if file == "" {
				return cli.Endf(cli.ExitUsage, "name it, or set "+cli.EnvConfig, "there is no configuration file")
			}
			return report(p, file, mistakes(cmd.Context(), p, cmd.Root(), file), asJSON)
		},
	}
	check.Flags().BoolVar(&asJSON, "json", false, "print what is wrong as JSON")
	check.ValidArgsFunction = cli.Files
	cmd.AddCommand(check)
	return cmd
}

// mistakes returns what is wrong in a file: with its settings, each by itself, and then
// with what they come to together, which is what the commands find that have them.
func mistakes(ctx context.Context, p *cli.Program, root *cobra.Command, file string) []error {
	cmds := cli.Commands(root)
	values, found := p.Configure(file, cmds...)
	if values == nil {
		return found
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	said := map[string]bool{}
	var all []*yamlfile.Mistake
	for _, cmd := range cmds {
		flags.AddFlagSet(cmd.Flags())
		flags.AddFlagSet(cmd.PersistentFlags())
	}
	for _, cmd := range cmds {
		if cmd.PreRunE == nil {
			continue
		}
		cmd.SetContext(ctx)
		var wrong cli.Problems
		wrong.Add(cmd.PreRunE(cmd, nil))
		for _, problem := range wrong {
			what := cli.Say(problem)
			m := &yamlfile.Mistake{File: file, Line: line(what, flags, values), What: what}
			unread := m.Line > 0 && slices.ContainsFunc(found, func(err error) bool { return at(err) == m.Line }) // what follows from it
			if !said[what] && !unread {
				all = append(all, m)
			}
			said[what] = true
		}
	}
	for _, m := range all {
		found = append(found, m)
	}
	slices.SortStableFunc(found, func(a, b error) int { return cmp.Compare(at(a), at(b)) })
	return found
}

// at returns the line of a mistake; 0 for none.
func at(err error) int {
	if m, ok := errors.AsType[*yamlfile.Mistake](err); ok {
		return m.Line
	}
	return 0
}

// line returns the line of the first setting that a problem names, or else whose value it
// has; 0 for none.
func line(problem string, flags *pflag.FlagSet, values map[string]*yaml.Node) int {
	var named, quoted int
	note := func(first *int, v *yaml.Node, words ...string) {
		for _, word := range words {
			if (strings.Contains(problem+" ", word+" ") || strings.Contains(problem, word+":")) && (*first == 0 || v.Line < *first) {
				*first = v.Line
			}
		}
	}
	for name, value := range values {
		f := flags.Lookup(name)
		if f == nil { // no setting, which was said
			continue
		}
		note(&named, value, append(cli.Variables(f), "--"+name)...)
		for _, v := range append(value.Content, value) {
			note(&quoted, v, strconv.Quote(cmp.Or(v.Value, name)))
		}
	}
	return cmp.Or(named, quoted)
}

// report prints what was found.
func report(p *cli.Program, file string, found []error, asJSON bool) error {
	if !asJSON {
		if len(found) == 0 {
			_, err := fmt.Fprintf(p.Stdout, "%s: nothing is wrong\n", plain.Line(file, 200))
			return err
		}
		return cli.Mistakes(found)
	}
	type mistake struct {
		Line  int    `json:"line,omitempty"` // 0 for what is in no line of its own
		Error string `json:"error"`
	}
	out := struct {
		File     string    `json:"file"`
		Mistakes []mistake `json:"mistakes"`
	}{file, []mistake{}}
	for _, err := range found {
		if m, ok := errors.AsType[*yamlfile.Mistake](err); ok {
			out.Mistakes = append(out.Mistakes, mistake{m.Line, m.What})
		} else {
			out.Mistakes = append(out.Mistakes, mistake{0, err.Error()})
		}
	}
	if err := p.PrintJSON(out); err != nil || len(found) == 0 {
		return err
	}
	return &cli.ExitError{Code: cli.ExitUsage}
}
