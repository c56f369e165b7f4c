#!/usr/bin/env bash
# A plugin's OnEventCallback that fails for an event with a call, in Google's Agent
# Development Kit for Go.
#
# google.golang.org/adk/v2 v2.2.0.
#
# One would guess that the error ends the run, as that of the other callbacks does: what
# the plugin does not let through does not happen.
# Seen: the error is yielded and the event is not stored, but for a caller that reads on, as
# one does that logs errors, the run goes on. The tool is called, its result is stored
# without the call that it answers, and the model's next turn fails since that is missing.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > go.mod <<'M'
module finding

go 1.26

require (
	google.golang.org/adk/v2 v2.2.0
	google.golang.org/genai v1.66.0
)
M
cat > main.go <<'M'
package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/plugin"
	"google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"
	"google.golang.org/genai"
)

// payer is a model that calls the tool at once.
type payer struct{}

func (payer) Name() string { return "payer" }

func (payer) GenerateContent(context.Context, *model.LLMRequest, bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		yield(&model.LLMResponse{Content: genai.NewContentFromFunctionCall("pay", map[string]any{}, genai.RoleModel)}, nil)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// kind says what an event is.
func kind(e *session.Event) string {
	switch part := e.Content.Parts[0]; {
	case part.FunctionCall != nil:
		return "call"
	case part.FunctionResponse != nil:
		return "result"
	}
	return "text"
}

func main() {
	ctx := context.Background()
	paid := 0
	pay := must(functiontool.New(functiontool.Config{Name: "pay", Description: "Pays."}, func(agent.Context, struct{}) (map[string]any, error) {
		paid++
		return map[string]any{"paid": true}, nil
	}))
	errVeto := errors.New("no calls today")
	veto := must(plugin.New(plugin.Config{Name: "veto", OnEventCallback: func(_ agent.InvocationContext, e *session.Event) (*session.Event, error) {
		if kind(e) == "call" {
			return nil, errVeto
		}
		return nil, nil
	}}))
	sessions := session.InMemoryService()
	r := must(runner.New(runner.Config{
		AppName: "app", Agent: must(llmagent.New(llmagent.Config{Name: "a", Model: payer{}, Tools: []tool.Tool{pay}})), SessionService: sessions,
		PluginConfig: runner.PluginConfig{Plugins: []*plugin.Plugin{veto}},
	}))
	s := must(sessions.Create(ctx, &session.CreateRequest{AppName: "app", UserID: "u"})).Session
	var seen []string
	for event, err := range r.Run(ctx, "u", s.ID(), genai.NewContentFromText("pay the bill", genai.RoleUser), agent.RunConfig{}) {
		switch {
		case errors.Is(err, errVeto):
			seen = append(seen, "veto")
		case err != nil:
			fmt.Println("then it fails:", err)
			seen = append(seen, "error")
		default:
			seen = append(seen, kind(event))
		}
	}
	var stored []string
	for event := range must(sessions.Get(ctx, &session.GetRequest{AppName: "app", UserID: "u", SessionID: s.ID()})).Session.Events().All() {
		stored = append(stored, kind(event))
	}
	fmt.Printf("the run yields %q; stored are %q; the bill is paid %d times\n", seen, stored, paid)
	if paid != 1 || !slices.Equal(seen, []string{"veto", "result", "error"}) || !slices.Equal(stored, []string{"text", "result"}) {
		fmt.Println("changed")
		os.Exit(1)
	}
}
M
go mod tidy >/dev/null 2>&1
go run .
