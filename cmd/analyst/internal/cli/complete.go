package cli

import (
	"cmp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/models"
	"github.com/jitagent/jitagent/state/journal"
)

// maxOffered bounds how many tasks a shell offers.
const maxOffered = 20

// Complete says how a shell completes the value of a flag, where that is no file.
func Complete(cmd *cobra.Command, flag string, how cobra.CompletionFunc) {
	_ = cmd.RegisterFlagCompletionFunc(flag, how) // a flag that is not there fails the test of them all
}

// Files completes to files, which is not the default here.
func Files(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// Dirs completes to directories.
func Dirs(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// Words completes to some words.
func Words[T ~string](words ...T) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		out := make([]cobra.Completion, len(words))
		for i, w := range words {
			out[i] = string(w)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// Tasks completes to the newest tasks of the journal, as the only argument.
func (p *Program) Tasks(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, none
	}
	j, err := p.OpenState(cmd.Context(), true, nil)
	if err != nil {
		return nil, none
	}
	defer func() { _ = j.Close() }() // it only reads
	list, err := j.Tasks(cmd.Context(), journal.TaskFilter{})
	if err != nil {
		return nil, none
	}
	slices.Reverse(list)
	offered := []cobra.Completion{cobra.CompletionWithDesc(Last, "the newest")}
	for _, t := range list[:min(len(list), maxOffered)] {
		offered = append(offered, cobra.CompletionWithDesc(plain.Line(cmp.Or(t.ID, t.Run), 80), string(t.State)+": "+plain.Line(t.Name, 60)))
	}
	return offered, none | cobra.ShellCompDirectiveKeepOrder
}

// modelNames completes to the names of models that are known here.
func modelNames(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	for _, m := range models.Providers() {
		switch {
		case m.BaseURLVariable == "":
			names = append(names, m.Name)
		case m.DefaultModel == "":
			names = append(names, m.Name+"/")
		default:
			names = append(names, m.Name+"/"+m.DefaultModel)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// settings completes to the settings of the model that is named.
func (t *Target) settings(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var keys []cobra.Completion
	name, _, _ := strings.Cut(t.model, "/")
	for _, m := range models.Providers() {
		for _, s := range m.Settings {
			if m.Name == name {
				keys = append(keys, cobra.CompletionWithDesc(s.Name+"=", s.Help))
			}
		}
	}
	return keys, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
