package jitmw_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/tool/functiontool"

	"github.com/jitagent/jitagent/jitmw"
)

// ADK's own confirmation can be given by whoever writes to the session, so a guarded
// tool that asks for it does not run.
func TestConfirmationOfTheFrameworkIsRefused(t *testing.T) {
	ran := false
	inner, err := functiontool.New(functiontool.Config{Name: "act", Description: "acts", RequireConfirmation: true},
		func(agent.Context, struct{}) (map[string]any, error) { ran = true; return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	got := run(t, wrap(t, inner, jitmw.Config{Plan: anything}), under(t, newAuthority()), map[string]any{})
	want := map[string]any{
		"status": "failed", "error": "this tool asks for a confirmation that does not say who gave it, so it cannot be used here",
		"advice": "Say so in your answer.",
	}
	if diff := cmp.Diff(want, got); diff != "" || ran {
		t.Errorf("result (-want +got), ran %t:\n%s", ran, diff)
	}
}
