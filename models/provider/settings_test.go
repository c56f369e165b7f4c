package provider_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

var known = []provider.Setting{
	{Name: provider.Temperature, Help: "0 to 2"}, {Name: provider.TopP, Help: "0 to 1"}, {Name: provider.MaxTokens, Help: "from 1"}, {Name: provider.Seed, Help: "any"},
	{Name: provider.ReasoningEffort, Help: "low or high", Values: []string{"low", "high"}}, {Name: provider.ThinkingBudget, Help: "from -1"}, {Name: "mine", Help: "nobody reads it"},
}

func TestSettingsOutOfRange(t *testing.T) {
	for key, values := range map[string][]string{
		"temperature":      {"", "x", "-0.1", "2.01", "NaN", "Inf", "1,5", "0x"},
		"top_p":            {"1.01", "-1"},
		"max_tokens":       {"0", "-1", "1.5", "2147483648", "1e3"},
		"seed":             {"", "1.5", "2147483648", "-2147483649"},
		"reasoning_effort": {"", "medium", "LOW"},
		"thinking_budget":  {"-2", "x"},
		"mine":             {"x"},
	} {
		for _, v := range values {
			if s, err := provider.ParseSettings("p", known, map[string]string{key: v}); err == nil || s != (provider.Settings{}) {
				t.Errorf("%s=%s is taken: %+v", key, v, s)
			}
		}
	}
	_, err := provider.ParseSettings("p", known, map[string]string{"top_k": "1"})
	if err == nil || err.Error() != `models: p has no setting "top_k": it takes temperature, top_p, max_tokens, seed, reasoning_effort, thinking_budget, mine` {
		t.Errorf("got %v", err)
	}
}

func TestSettingsApplyWhereTheRequestIsSilent(t *testing.T) {
	s, err := provider.ParseSettings("p", known, map[string]string{"temperature": "0", "top_p": "1", "max_tokens": "2147483647", "seed": "-2147483648", "reasoning_effort": "high", "thinking_budget": "-1"})
	if err != nil {
		t.Fatal(err)
	}
	want := provider.Settings{Temperature: new(float32(0)), TopP: new(float32(1)), MaxTokens: math.MaxInt32, Seed: new(int32(math.MinInt32)), ReasoningEffort: "high", ThinkingBudget: new(int32(-1))}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	all := &genai.GenerateContentConfig{Temperature: new(float32(0)), TopP: new(float32(1)), MaxOutputTokens: math.MaxInt32, Seed: new(int32(math.MinInt32))}
	if diff := cmp.Diff(all, s.Apply(nil)); diff != "" {
		t.Errorf("on nothing (-want +got):\n%s", diff)
	}
	mine := genai.GenerateContentConfig{Temperature: new(float32(1.5)), TopP: new(float32(0.1)), MaxOutputTokens: 1, Seed: new(int32(9)), TopK: new(float32(3))}
	before := mine
	if diff := cmp.Diff(&before, s.Apply(&mine)); diff != "" {
		t.Errorf("on a request that says all (-want +got):\n%s", diff)
	}
	none := genai.GenerateContentConfig{}
	s.Apply(&none)
	if diff := cmp.Diff(genai.GenerateContentConfig{}, none); diff != "" {
		t.Errorf("the request was changed:\n%s", diff)
	}
}

func ExampleParseSettings() {
	known := []provider.Setting{{Name: provider.Temperature, Help: "a number from 0 to 2"}}
	_, err := provider.ParseSettings("acme", known, map[string]string{"temperature": "hot"})
	fmt.Println(err)
	// Output: models: temperature cannot be "hot" for acme: a number from 0 to 2
}
