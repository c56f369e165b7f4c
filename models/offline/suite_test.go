package offline_test

import (
	"testing"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/models/modeltest"
	"github.com/jitagent/jitagent/models/offline"
)

func TestContract(t *testing.T) {
	modeltest.RunInProcess(t, func(*testing.T) model.LLM { return offline.New() })
}
