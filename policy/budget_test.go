package policy_test

import (
	"strings"
	"testing"

	"github.com/jitagent/jitagent/policy"
)

func TestBudgets(t *testing.T) {
	p, err := policy.Parse([]byte("budgets: {model_tokens: 20000, money: 0.5, grant_uses: 3}"), nil)
	if want := (policy.Budgets{ModelTokens: 20000, Money: 0.5, GrantUses: 3}); err != nil || p.Budgets() != want {
		t.Errorf("Budgets() = %+v, %v, want %+v", p.Budgets(), err, want)
	}
	for text, want := range map[string]string{
		"budgets: 5":                     "line 1: budgets is not names with values",
		"budgets: {tokens: 5}":           `"tokens" is no member of budgets`,
		"budgets: {model_tokens: 0}":     "model_tokens is a whole number above 0",
		"budgets: {grant_uses: -1}":      "grant_uses is a whole number above 0",
		"budgets: {money: 0}":            "money is an amount above 0",
		"budgets: {money: .inf}":         "is no amount",
		"budgets: {money: NaN}":          "is no amount",
		"budgets: {money: 5 EUR}":        `"5 EUR" is no amount`,
		"budgets: {money: 1, money: 10}": "twice",
	} {
		if _, err := policy.Parse([]byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, want an error with %q", text, err, want)
		}
	}
}

func TestParsePrices(t *testing.T) {
	got, err := policy.ParsePrices([]byte("openai/m: {input: 1.25, output: 10}\noffline: {input: 0, output: 0}\n"))
	if err != nil || len(got) != 2 || got["openai/m"] != (policy.Price{Input: 1.25, Output: 10}) {
		t.Errorf("ParsePrices() = %v, %v", got, err)
	}
	for text, want := range map[string]string{
		"":                               "is empty",
		"a: {input: 1}":                  "prices, line 1: a has no input or no output",
		"a: {input: 1, output: -2}":      `"-2" is no amount`,
		"a: {input: 1, output: 2, x: 3}": `"x" is no member of a`,
		"a: &x {input: 1, output: 2}":    "not names with values",
		"a: {input: 1e999, output: 2}":   "is no amount",
		strings.Repeat(" ", 1<<19):       "larger than",
	} {
		if _, err := policy.ParsePrices([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParsePrices(%.40q) = %v, want an error with %q", text, err, want)
		}
	}
}
