package anthropic_test

import (
	"testing"
	"time"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/models/anthropic"
	"github.com/jitagent/jitagent/models/modeltest"
	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

func TestSuite(t *testing.T) {
	modeltest.RunSuite(t, func(t *testing.T, up *modeltest.Upstream) model.LLM {
		base, err := provider.BaseURL("anthropic", up.AnthropicURL())
		if err != nil {
			t.Fatal(err)
		}
		llm, err := anthropic.New(provider.Config{
			Model: "acme/model-1", Key: secret.New(canary), KeyVariable: "ANTHROPIC_API_KEY", BaseURL: base,
			Retry: provider.RetryPolicy{Initial: time.Millisecond, Max: 5 * time.Millisecond},
		})
		if err != nil {
			t.Fatal(err)
		}
		return llm
	}, "temperature", "top_p", "json", "seed")
}
