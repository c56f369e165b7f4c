package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
)

// naming words what it takes to have named a target.
var naming = map[string]string{
	"verbatim":   "it was said, or the name of the one record that has it",
	"in_part":    "it was said, or most words of the name of the one record that has it",
	"from_words": "it is the title that was given; where none was, half of its words were said or stand in the names of what was named",
}

// unnamed words what becomes of a call that was not named.
var unnamed = map[string]string{
	"ask":    "a person at the terminal is asked; where there is none, it is refused",
	"refuse": "it is refused",
	"allow":  "it is made all the same, as the policy file says",
}

// print writes the plan for a person.
func (v view) print(p *cli.Program) error {
	head := cli.Item{Label: "api", Text: v.API}
	if strings.HasPrefix(v.API, "{api}") {
		head.Text = "{api} stands for the address that the embedded API gets when a run starts"
	}
	if err := p.PrintItems([]cli.Item{head}); err != nil {
		return err
	}
	for _, t := range v.Tools {
		if _, err := fmt.Fprintf(p.Stdout, "\n%s\n", plain.Line(t.Name, 64)); err != nil {
			return err
		}
		if err := p.PrintItems(t.items()); err != nil {
			return err
		}
	}
	return nil
}

func (t toolView) items() (items []cli.Item) {
	add := func(label, format string, args ...any) {
		items = append(items, cli.Item{Label: "  " + label, Text: plain.Line(fmt.Sprintf(format, args...), 2000)})
	}
	add("claims", "“%s”", plain.Line(t.Description, 160))
	add("sends to", "%s", cmp.Or(t.Origin, "no API of its own"))
	may := t.asks()
	if len(may) == 0 && !t.Open {
		may = []string{"nothing"}
	}
	if t.Open {
		may = append(may, "and what cannot be told before the arguments are known")
	}
	for i, text := range may {
		add([]string{"may ask", ""}[min(i, 1)], "%s", text)
	}
	switch {
	case t.Effect == "":
		add("effect", "none: it reads")
	case len(t.AskedBy) == 0:
		add("effect", "%s", t.Effect)
	default:
		add("effect", "%s, when one of these was said: %s", t.Effect, strings.Join(t.AskedBy, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Targets)) {
		add("aimed at", "%s (%s), when %s", name, t.Targets[name].Type, naming[t.Targets[name].As])
	}
	switch most := t.Max.(type) {
	case int:
		add("how many", "%d in a conversation", most)
	case string:
		add("how many", "one for each message that asks for it, or as many as that says%s", plain.Between("; “each” means each ", t.Each, " that was named"))
	}
	if t.MaxPerTask > 0 {
		add("how many", "%d in a task", t.MaxPerTask)
	}
	if t.Effect != "" || t.Targets != nil || t.Max != nil || t.MaxPerTask > 0 {
		add("unnamed", "%s", unnamed[t.Unnamed])
	}
	if t.Request == nil {
		return items
	}
	var said []string
	switch {
	case t.Request.Asked && t.Request.Most > 0:
		said = append(said, fmt.Sprintf("asks for %s, at most %d", t.Effect, t.Request.Most))
	case t.Request.Asked:
		said = append(said, "asks for "+t.Effect)
	case t.Effect != "":
		said = append(said, "does not ask for "+t.Effect)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Request.Names)) {
		said = append(said, "names as "+name+": "+strings.Join(t.Request.Names[name], ", "))
	}
	if len(said) == 0 && t.Targets != nil {
		said = []string{"names nothing that looks like an id"}
	}
	if len(said) > 0 {
		add("the prompt", "%s", strings.Join(said, "; "))
	}
	return items
}

// asks returns what calls may ask for, a line each, without repeating what differs in its
// locations alone.
func (t toolView) asks() (lines []string) {
	at := map[string]string{}
	for _, d := range t.Ceilings {
		places := strings.Join(d.Locations, " and ")
		if d.Locations == nil {
			places = "no location"
		}
		d.Locations = nil
		what := d.String()
		if at[what] == "" {
			lines = append(lines, what)
			at[what] = " at " + places
		} else {
			at[what] += ", " + places
		}
	}
	for i, what := range lines {
		lines[i] += at[what]
	}
	return lines
}
