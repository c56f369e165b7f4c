// Package newtool is analyst new-tool: the skeleton of a tool.
package newtool

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/newtool"
)

// options are what new-tool is asked for.
type options struct {
	newtool.Options
	readOnly, json bool
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
	flags.BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

// run writes the tool and says what it wrote.
func (o options) run(p *cli.Program) error {
	plan, err := newtool.New(o.Options)
	var exists *newtool.ExistsError
	switch {
	case errors.As(err, &exists):
		return &cli.ExitError{
			Code: cli.ExitUsage, Err: fmt.Errorf("new-tool %s: %w", o.Name, err),
			Hint: "choose another name, or move it away first",
		}
	case err != nil:
		return cli.Usagef("new-tool: %w", err)
	}
	if err := plan.Write(); err != nil {
		return fmt.Errorf("new-tool: %w", err)
	}
	said := describeNewTool(plan)
	if o.json {
		text, err := json.MarshalIndent(said, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.Stdout, string(text))
		return err
	}
	_, err = fmt.Fprint(p.Stdout, said)
	return err
}

// newToolResult is what analyst new-tool prints.
type newToolResult struct {
	Tool     string        `json:"tool"`
	Function string        `json:"function"` // that makes it
	Package  string        `json:"package"`  // import path
	Files    []newToolFile `json:"files"`
	Add      string        `json:"add,omitempty"` // Go code that a program needs; "" when the analyst has the tool
	Next     []string      `json:"next"`          // commands
}

type newToolFile struct {
	Path   string `json:"path"`
	Action string `json:"action"` // written, changed
}

func describeNewTool(plan *newtool.Plan) newToolResult {
	r := newToolResult{Tool: plan.Name, Function: plan.Function, Package: plan.Import}
	for _, f := range plan.Files {
		file := newToolFile{Path: near(f.Path), Action: "written"}
		if f.Changed {
			file.Action = "changed"
		}
		r.Files = append(r.Files, file)
	}
	dir := near(plan.Dir)
	if !filepath.IsAbs(dir) && !strings.HasPrefix(dir, ".") {
		dir = "./" + filepath.ToSlash(dir)
	}
	test := fmt.Sprintf("go test %s -run %s", dir, plan.Function)
	if plan.Listed {
		command := near(filepath.Join(plan.Root, "cmd", "analyst"))
		if !filepath.IsAbs(command) && !strings.HasPrefix(command, ".") {
			command = "./" + filepath.ToSlash(command)
		}
		r.Next = []string{test, fmt.Sprintf("go run %s run 'Call %s with %s'", command, plan.Name, plan.Example)}
		return r
	}
	r.Add = strings.TrimSpace(plan.Program)
	r.Next = []string{"go mod tidy", test}
	return r
}

// String is what a person reads.
func (r newToolResult) String() string {
	var b strings.Builder
	for _, f := range r.Files {
		fmt.Fprintf(&b, "%-8s  %s\n", f.Action, f.Path)
	}
	if r.Add != "" {
		fmt.Fprintf(&b, "\nadd to your program:\n\n%s\n", r.Add)
	}
	b.WriteString("\nnext:\n")
	for _, line := range r.Next {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	return b.String()
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
