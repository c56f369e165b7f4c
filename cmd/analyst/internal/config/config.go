// Package config is analyst config: it looks at the configuration file.
package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/internal/yamlfile"
)

// Command returns analyst config.
func Command(p *cli.Program, kit cli.Toolkit) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Look at the configuration file",
		Long: `The configuration file is YAML, and --config or ANALYST_CONFIG names it. It has
settings under the names of flags, and a list where a flag may be given again:

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
			return report(p, file, mistakes(p, cmd.Root(), file, kit), asJSON)
		},
	}
	check.Flags().BoolVar(&asJSON, "json", false, "print what is wrong as JSON")
	check.ValidArgsFunction = cli.Files
	cmd.AddCommand(check)
	return cmd
}

// mistakes returns what is wrong in a file: with its settings, each by itself, and then
// with what they come to together.
func mistakes(p *cli.Program, root *cobra.Command, file string, kit cli.Toolkit) []error {
	var target cli.Target
	scratch := &cobra.Command{}
	target.AddFlags(scratch)
	values, found := p.Configure(file, append(cli.Commands(root), scratch)...)
	if len(found) > 0 {
		return found
	}
	_, err := target.Resolve(p.Getenv, kit)
	if err == nil {
		return nil
	}
	for problem := range strings.SplitSeq(cli.Say(err), "; ") {
		m := &yamlfile.Mistake{File: file, What: problem}
		for name, value := range values {
			f := scratch.Flags().Lookup(name)
			if f == nil || m.Line > 0 && value.Line > m.Line {
				continue
			}
			for _, word := range append(cli.Variables(f), "--"+name, `"`+value.Value+`"`) {
				if strings.Contains(problem+" ", word+" ") || strings.Contains(problem, word+":") {
					m.Line = value.Line
				}
			}
		}
		found = append(found, m)
	}
	return found
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
