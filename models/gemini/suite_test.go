package gemini_test

import (
	"testing"
	"time"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/models/modeltest"
	"github.com/jitagent/jitagent/models/provider"
)

// quick is the usual policy with short waits.
var quick = provider.RetryPolicy{Initial: time.Millisecond, Max: 5 * time.Millisecond}

func TestSuite(t *testing.T) {
	modeltest.RunSuite(t, func(t *testing.T, up *modeltest.Upstream) model.LLM {
		return with(t, provider.Config{BaseURL: base(t, up.GeminiURL()), Retry: quick})
	})
}
