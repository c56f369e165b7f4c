package cli

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/internal/yamlfile"
)

// EnvConfig names the configuration file.
const EnvConfig = "ANALYST_CONFIG"

// configurable marks a flag that the configuration file may have.
const configurable = "configurable"

// Configurable has the configuration file say what the flags are that there are by now.
// What the file can say is so what flags can, under their names, and there is no other list.
func Configurable(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			_ = flags.SetAnnotation(f.Name, configurable, nil) // it is there
		}
	})
}

// AddConfig adds the flag that names the file, and has each command read it before all else.
func (p *Program) AddConfig(root *cobra.Command) {
	root.PersistentFlags().StringVar(&p.config, "config", "", "`FILE` of settings ("+EnvConfig+")")
	Complete(root, "config", Files)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		file := p.ConfigFile()
		if file == "" || cmd.Hidden || cmd.HasParent() && cmd.Parent().Name() == "config" { // which looks for itself
			return nil
		}
		_, mistakes := p.Configure(file, cmd)
		return Mistakes(mistakes)
	}
}

// ConfigFile returns the name of the configuration file; "" is none.
func (p *Program) ConfigFile() string { return p.pick(p.config, EnvConfig) }

// Mistakes makes one error of what is wrong in a file, nil of nothing.
func Mistakes(all []error) error {
	if len(all) == 0 {
		return nil
	}
	return Usagef("%w", errors.Join(all...))
}

// Commands returns cmd and all below it.
func Commands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		all = append(all, Commands(sub)...)
	}
	return all
}

// settings returns the flags of cmd that a file may have, by their names.
func settings(cmd *cobra.Command) map[string]*pflag.Flag {
	known := map[string]*pflag.Flag{}
	for _, flags := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) {
			if _, ok := f.Annotations[configurable]; ok {
				known[f.Name] = f
			}
		})
	}
	return known
}

// variable matches the name of an environment variable in what a flag says of itself.
var variable = lazy.Regexp(`[A-Z]+_[A-Z_]+`)

// Variables returns the environment variables that stand for a flag, as its text says.
func Variables(f *pflag.Flag) []string { return variable().FindAllString(f.Usage, -1) }

// Configure sets the flags of commands to what a file says, but for those that were given,
// or whose variables are set. It returns the settings in the file, and all that is wrong
// there. What is a setting of another command says nothing to these.
func (p *Program) Configure(file string, cmds ...*cobra.Command) (values map[string]*yaml.Node, mistakes []error) {
	text, err := disk.ReadFile(file, yamlfile.MaxBytes, nil)
	if err != nil {
		return nil, []error{err}
	}
	root, err := yamlfile.Document(text, file)
	if root == nil || err != nil {
		return nil, []error{cmp.Or(err, errors.New(file+": it is empty"))}
	}
	all := map[string]bool{}
	for _, cmd := range Commands(cmds[0].Root()) {
		for name := range settings(cmd) {
			all[name] = true
		}
	}
	r := yamlfile.Reader{File: file}
	values = map[string]*yaml.Node{}
	r.Pairs(root, "the file", func(key, value *yaml.Node) {
		values[key.Value] = value
		if !all[key.Value] {
			what := "there is no setting " + plain.Line(key.Value, 40)
			near := plain.Nearest(key.Value, slices.Sorted(maps.Keys(all)))
			if all[key.Value+"-file"] { // a secret has a file of its own
				near = key.Value + "-file"
			}
			if near != "" {
				what += ": did you mean " + near + "?"
			}
			r.Fail(key, "%s", what)
			return
		}
		items := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode && value.Anchor == "" {
			items = value.Content
		}
		for _, cmd := range cmds {
			f := settings(cmd)[key.Value]
			if f == nil || f.Changed || slices.ContainsFunc(Variables(f), func(name string) bool { return p.Getenv(name) != "" }) {
				continue
			}
			many, list := f.Value.(pflag.SliceValue)
			form := map[bool]string{false: "one value", true: "a list of values"}[list]
			if list != (value.Kind == yaml.SequenceNode) {
				r.Fail(value, "%s is %s", key.Value, form)
				return
			}
			if list {
				_ = many.Replace(nil) // no default; those of texts take all
			}
			for _, v := range items {
				if v.Kind != yaml.ScalarNode || v.Anchor != "" || v.Tag == "!!null" {
					r.Fail(v, "%s is %s", key.Value, form)
					return
				}
				if err := f.Value.Set(v.Value); err != nil {
					r.Fail(v, "%s: %v", key.Value, err)
					return
				}
			}
			f.Changed = true
		}
	})
	return values, r.Errs
}
