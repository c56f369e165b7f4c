package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
)

// manual returns analyst man, which prints what every --help says as one manual page.
func manual(p *cli.Program) *cobra.Command {
	return &cobra.Command{
		Use:   "man",
		Short: "Print the manual page",
		Long: `Print the manual page, which holds what every --help says. To have it where
man(1) looks, write it to ~/.local/share/man/man1/analyst.1.`,
		Example: "  analyst man | man -l -",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(p.Stdout, page(cmd.Root()))
			return err
		},
	}
}

// page writes the commands below root in the language of man(7).
func page(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH ANALYST 1 \"\" %q\n.SH NAME\nanalyst \\- %s\n.SH DESCRIPTION\n%s.SH COMMANDS\n", roff(cli.Build()), roff(root.Short), paragraphs(root.Long))
	var commands func(*cobra.Command)
	commands = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			if c.Name() == "completion" || c.Name() == "help" {
				continue
			}
			text := cmp.Or(c.Long, c.Short+".")
			for _, part := range []string{strings.TrimRight(c.LocalFlags().FlagUsagesWrapped(cli.Columns-8), "\n"), c.Example} {
				if part != "" {
					text += "\n\n" + part
				}
			}
			fmt.Fprintf(&b, ".SS %s\n%s", roff(c.UseLine()), paragraphs(text))
			commands(c)
		}
	}
	commands(root)
	return b.String()
}

// paragraphs writes a text: what is indented stands as it is, all else is filled.
func paragraphs(text string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(text, "\n\n") {
		if strings.HasPrefix(part, " ") {
			b.WriteString(".PP\n.nf\n" + roff(part) + "\n.fi\n")
		} else {
			b.WriteString(".PP\n" + roff(part) + "\n")
		}
	}
	return b.String()
}

// roff writes characters and beginnings of lines that man(7) would take for its own.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'").Replace("\n" + text)
	return text[1:]
}
