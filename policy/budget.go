package policy

import (
	"errors"
	"math"
	"strconv"

	"go.yaml.in/yaml/v4"

	"github.com/jitagent/jitagent/internal/yamlfile"
)

// Budgets bound a whole run, beside what each tool's aim bounds. 0 is no bound.
type Budgets struct {
	ModelTokens int     // that the models of the run use, prompts and answers together
	Money       float64 // that they cost, in the currency of the file of prices
	GrantUses   int     // requests with one grant
}

// Budgets returns what the file says of runs.
func (p *Policy) Budgets() Budgets {
	if p == nil {
		return Budgets{}
	}
	return p.budgets
}

// A Price is what a million tokens of a model cost.
type Price struct{ Input, Output float64 }

// ParsePrices reads a file of prices, strictly: the names of models, each with input and
// output. Its error names every mistake, with its line.
func ParsePrices(text []byte) (map[string]Price, error) {
	root, err := yamlfile.Document(text, "prices")
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, errors.New("prices: the file is empty: write the names of models, each with input and output")
	}
	r, prices := &reader{Reader: yamlfile.Reader{File: "prices"}}, map[string]Price{}
	r.Pairs(root, "the file", func(key, value *yaml.Node) {
		price := Price{-1, -1}
		r.members(value, key.Value, map[string]func(*yaml.Node){"input": r.amount(&price.Input), "output": r.amount(&price.Output)})
		if price.Input < 0 || price.Output < 0 {
			r.Fail(key, "%s has no input or no output", key.Value)
		}
		prices[key.Value] = price
	})
	return prices, errors.Join(r.Errs...)
}

// amount reads a number that is not negative.
func (r *reader) amount(at *float64) func(*yaml.Node) {
	return func(n *yaml.Node) {
		amount, err := strconv.ParseFloat(n.Value, 64)
		if n.Kind != yaml.ScalarNode || n.Anchor != "" || err != nil || amount < 0 || math.IsInf(amount, 0) || math.IsNaN(amount) {
			r.Fail(n, "%q is no amount", n.Value)
			return
		}
		*at = amount
	}
}

func (r *reader) budgets(n *yaml.Node) {
	b := &r.policy.budgets
	count := func(name string, at *int) func(*yaml.Node) {
		return func(n *yaml.Node) { *at = r.count(n, name+" is a whole number above 0") }
	}
	r.members(n, "budgets", map[string]func(*yaml.Node){
		"model_tokens": count("model_tokens", &b.ModelTokens),
		"grant_uses":   count("grant_uses", &b.GrantUses),
		"money": func(n *yaml.Node) {
			if r.amount(&b.Money)(n); b.Money == 0 {
				r.Fail(n, "money is an amount above 0")
			}
		},
	})
}
