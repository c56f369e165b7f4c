package run

import (
	"os"
	"strings"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/runner"
)

// readPrices reads the file of prices, of which a budget of money needs the model's.
func (o *options) readPrices(p *cli.Program, s cli.Settings) error {
	money := s.Policy.Budgets().Money > 0
	path := o.prices
	if path == "" {
		path = p.Getenv(cli.EnvPrices)
	}
	if path == "" {
		if money {
			return cli.Usagef("the policy bounds money: name the file of prices: --prices or %s", cli.EnvPrices)
		}
		return nil
	}
	text, err := os.ReadFile(path)
	if err == nil {
		o.priced, err = policy.ParsePrices(text)
	}
	if err != nil {
		return cli.Usagef("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return o.known(s)
}

// known refuses a model without a price where money is bounded.
func (o *options) known(s cli.Settings) error {
	if _, known := o.priced[s.Model]; s.Policy.Budgets().Money > 0 && !known {
		return cli.Usagef("the policy bounds money, and the file of prices has none for the model %s", s.Model)
	}
	return nil
}

// budget is what the run's models may use.
func (o *options) budget(s cli.Settings, llm model.LLM) runner.Budget {
	b := s.Policy.Budgets()
	return runner.Budget{Tokens: b.ModelTokens, Money: b.Money, Prices: map[string]policy.Price{llm.Name(): o.priced[s.Model]}}
}
