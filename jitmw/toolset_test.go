package jitmw_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/jitmw"
)

func TestToolsetOffersGuardedToolsAlone(t *testing.T) {
	inner := &plain{name: "act"}
	guarded := wrap(t, inner, jitmw.Config{})
	kit := []tool.Tool{}
	set := jitmw.NewToolset("set", func(context.Context) []tool.Tool { return kit })
	req := &model.LLMRequest{}
	if err := set.ProcessRequest(newCtx(t.Context()), req); err != nil || len(req.Tools) != 0 {
		t.Errorf("ProcessRequest() = %v, %v", err, req.Tools)
	}
	kit = []tool.Tool{guarded} // during the run
	if err := set.ProcessRequest(newCtx(t.Context()), req); err != nil || req.Tools[guarded.Name()] != guarded {
		t.Errorf("ProcessRequest() = %v, %v", err, req.Tools)
	}
	if err := set.ProcessRequest(newCtx(t.Context()), req); err == nil {
		t.Error("ProcessRequest() took a name twice")
	}
	kit = []tool.Tool{inner}
	if err := set.ProcessRequest(newCtx(t.Context()), &model.LLMRequest{}); err == nil || !strings.Contains(err.Error(), "not guarded") {
		t.Errorf("ProcessRequest() of a tool without a guard = %v", err)
	}
}
