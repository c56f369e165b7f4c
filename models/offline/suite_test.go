package offline_test

import (
	"testing"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/models/modeltest"
	"github.com/jitagent/jitagent/models/offline"
)

func TestContract(t *testing.T) {
	modeltest.RunSuite(t, func(_ *testing.T, up *modeltest.Upstream) model.LLM {
		up.InProcess()
		return offline.New()
	})
}
