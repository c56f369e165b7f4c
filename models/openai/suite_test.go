package openai_test

import (
	"testing"
	"time"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/models/modeltest"
	"github.com/jitagent/jitagent/models/openai"
	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

// quick is the usual policy with short waits.
var quick = provider.RetryPolicy{Initial: time.Millisecond, Max: 5 * time.Millisecond}

func TestSuite(t *testing.T) { suite(t, "chat") }

func TestSuiteOverResponses(t *testing.T) { suite(t, "responses", "seed", "stop") }

func suite(t *testing.T, api string, refuses ...string) {
	modeltest.RunSuite(t, func(t *testing.T, up *modeltest.Upstream) model.LLM {
		llm, err := openai.New(provider.Config{
			Model: "acme/model-1", Key: secret.New(canary), KeyVariable: "OPENAI_API_KEY", BaseURL: address(t, up.OpenAIURL()), Retry: quick,
			Settings: provider.Settings{API: api},
		})
		if err != nil {
			t.Fatal(err)
		}
		return llm
	}, refuses...)
}
