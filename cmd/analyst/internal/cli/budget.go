package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/yamlfile"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/runner"
)

// Prices are what models cost, by a file.
type Prices struct {
	path  string
	known map[string]policy.Price
}

// AddFlags adds the flag that names the file.
func (o *Prices) AddFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.path, "prices", "", "`FILE` of what models cost, for a policy that bounds money ("+EnvPrices+"; see docs/ceilings.md)")
	Complete(cmd, "prices", Files)
}

// Read reads the file, of which a budget of money needs the model's price.
func (o *Prices) Read(p *Program, s Settings) error {
	money := s.Policy.Budgets().Money > 0
	path := p.pick(o.path, EnvPrices)
	if path == "" {
		if money {
			return Usagef("the policy bounds money: name the file of prices: --prices or %s", EnvPrices)
		}
		return nil
	}
	text, err := disk.ReadFile(path, yamlfile.MaxBytes, nil)
	if err == nil {
		o.known, err = policy.ParsePrices(text)
	}
	if err != nil {
		return Usagef("--prices: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return o.Check(s)
}

// Check refuses a model without a price where money is bounded.
func (o *Prices) Check(s Settings) error {
	if _, known := o.known[s.Model]; s.Policy.Budgets().Money > 0 && !known {
		return Usagef("the policy bounds money, and the file of prices has none for the model %s", s.Model)
	}
	return nil
}

// Budget is what a run's models may use.
func (o *Prices) Budget(s Settings, llm model.LLM) runner.Budget {
	b := s.Policy.Budgets()
	return runner.Budget{Tokens: b.ModelTokens, Money: b.Money, Prices: map[string]policy.Price{llm.Name(): o.known[s.Model]}}
}
