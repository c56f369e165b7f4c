// Package newtool is analyst new-tool: it writes the skeleton of a JIT-aware tool, which
// is its file, its test against the kit of package jittest, and its description for the
// model. In a checkout of this module it also enters the tool into the analyst's list.
//
// Invariants:
//
//   - All is checked before anything is written.
//   - No file that is there is replaced or removed.
//   - What is written is formatted, and compiles in a module that requires this one,
//     unless the package has the names already, which the compiler says.
//
// It needs no network and does not run the go command.
package newtool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
)

// options are what new-tool is asked for, as its flags say.
type options struct {
	Name                         string
	WorkDir                      string // where relative paths start; "" is the working directory
	Dir, Package                 string
	APIPath, Type, Action        string
	Effect, readOnly, printsJSON bool
}

// Command returns analyst new-tool.
func Command(p *cli.Program) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "new-tool NAME",
		Short: "Write the skeleton of a JIT-aware tool",
		Long: `Write a tool that compiles, a test that passes, and a description for the
model. In a checkout of this module the tool is entered into the analyst's list
too; in a module of your own the lines to add are printed.

A file that is there already is an error, and nothing is written. What stands
in braces in --api-path becomes an argument: a text, or of the kind after a
colon (int, number, bool, list, or its choices, as in {state:open|paid}); "?"
makes it optional.`,
		Example: `  analyst new-tool get_invoice --api-path '/v1/invoices/{number}' --type invoice
  analyst new-tool list_invoices --api-path '/v1/invoices?page={page:int?}'
  analyst new-tool send_reminder --effect --dir ./billing`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if o.Effect && o.readOnly {
				return cli.Usagef("--effect and --read-only exclude each other")
			}
			o.Name = args[0]
			return o.run(p)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Dir, "dir", "", "`DIR` of the tool's package (default tools in the enclosing module)")
	cli.Complete(cmd, "dir", cli.Dirs)
	flags.StringVar(&o.Package, "package", "", "`NAME` of the package, if DIR holds none yet (default that of DIR)")
	flags.StringVar(&o.APIPath, "api-path", "", "`PATH` that the tool calls; what stands in braces becomes an argument (default from NAME)")
	flags.StringVar(&o.Type, "type", "", "`TYPE` of the authorization detail that a call may ask for (default from NAME)")
	flags.StringVar(&o.Action, "action", "", "its `ACTION` (default read, or write with --effect)")
	flags.BoolVar(&o.readOnly, "read-only", false, "the tool changes nothing, and calls with GET (the default)")
	flags.BoolVar(&o.Effect, "effect", false, "the tool changes something, and calls with POST")
	flags.BoolVar(&o.printsJSON, "json", false, "print one JSON object")
	return cmd
}

// run writes the tool and says what it wrote.
func (o options) run(p *cli.Program) error {
	made, err := newPlan(o)
	switch {
	case errors.Is(err, errExists):
		return cli.Endf(cli.ExitUsage, "choose another name, or move it away first", "new-tool %s: %w", o.Name, err)
	case err != nil:
		return cli.Usagef("new-tool: %w", err)
	}
	if err := made.write(); err != nil {
		return fmt.Errorf("new-tool: %w", err)
	}
	for i := range made.Files {
		made.Files[i].Path = near(made.Files[i].Path)
	}
	test := fmt.Sprintf("go test %s -run %s", folder(made.dir), made.Function)
	if made.Add != "" {
		made.Next = []string{"go mod tidy", test}
	} else {
		made.Next = []string{test, fmt.Sprintf("go run %s run 'Call %s with %s'", folder(filepath.Join(made.root, "cmd", "analyst")), made.Tool, made.example)}
	}
	if o.printsJSON {
		return p.PrintJSON(made)
	}
	_, err = io.WriteString(p.Stdout, made.text())
	return err
}

// text is what a person reads.
func (p *plan) text() string {
	var b strings.Builder
	for _, f := range p.Files {
		fmt.Fprintf(&b, "%-8s  %s\n", f.Action, f.Path)
	}
	if p.Add != "" {
		fmt.Fprintf(&b, "\nadd to your program:\n\n%s\n", p.Add)
	}
	return b.String() + "\nnext:\n  " + strings.Join(p.Next, "\n  ") + "\n"
}

// folder returns a path as the go command takes it for one.
func folder(path string) string {
	if path = near(path); !filepath.IsAbs(path) && !strings.HasPrefix(path, ".") {
		path = "./" + filepath.ToSlash(path)
	}
	return path
}

// near returns a path relative to the working directory where that is shorter.
func near(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(wd, path)
	if err != nil || len(rel) >= len(path) {
		return path
	}
	return rel
}
