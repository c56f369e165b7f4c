#!/usr/bin/env bash
# A plugin's BeforeRunCallback that answers instead of the agent, in Google's Agent
# Development Kit for Go.
#
# google.golang.org/adk/v2 v2.2.0.
#
# One would guess that the content which the callback returns is the answer of this turn
# ("you have used up your budget"): the caller gets it, and the session keeps it.
# Seen: nobody gets it. The run yields one event and no error, and that event is the
# user's own message once more, stored a second time as the user's: the user reads back what they
# wrote, and the next turn's model is asked everything twice. RunLive does yield the
# plugin's answer.
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
	"google.golang.org/genai"
)

// listener keeps what it was asked last.
type listener struct{ asked []string }

func (*listener) Name() string { return "listener" }

func (m *listener) GenerateContent(_ context.Context, request *model.LLMRequest, _ bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		m.asked = nil
		for _, c := range request.Contents {
			m.asked = append(m.asked, c.Role+": "+c.Parts[0].Text)
		}
		yield(&model.LLMResponse{Content: genai.NewContentFromText("done", genai.RoleModel)}, nil)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func main() {
	ctx := context.Background()
	llm, spent := &listener{}, true
	budget := must(plugin.New(plugin.Config{Name: "budget", BeforeRunCallback: func(agent.InvocationContext) (*genai.Content, error) {
		if spent {
			return genai.NewContentFromText("the budget is used up", genai.RoleModel), nil
		}
		return nil, nil
	}}))
	sessions := session.InMemoryService()
	r := must(runner.New(runner.Config{
		AppName: "app", Agent: must(llmagent.New(llmagent.Config{Name: "a", Model: llm})), SessionService: sessions,
		PluginConfig: runner.PluginConfig{Plugins: []*plugin.Plugin{budget}},
	}))
	s := must(sessions.Create(ctx, &session.CreateRequest{AppName: "app", UserID: "u"})).Session
	turn := func(text string) (said []string) {
		for event, err := range r.Run(ctx, "u", s.ID(), genai.NewContentFromText(text, genai.RoleUser), agent.RunConfig{}) {
			said = append(said, event.Author+": "+event.Content.Parts[0].Text)
			if err != nil {
				said = append(said, err.Error())
			}
		}
		return said
	}
	live := must(sessions.Create(ctx, &session.CreateRequest{AppName: "app", UserID: "u"})).Session
	_, events, err := r.RunLive(ctx, "u", live.ID(), agent.LiveRunConfig{})
	for event := range must(events, err) {
		fmt.Printf("a live run yields %q\n", event.Author+": "+event.Content.Parts[0].Text)
	}
	first := turn("pay the bill")
	spent = false
	turn("hello")
	fmt.Printf("a run yields %q; at the next turn the model is asked %q\n", first, llm.asked)
	if !slices.Equal(first, []string{"user: pay the bill"}) || !slices.Equal(llm.asked, []string{"user: pay the bill", "user: pay the bill", "user: hello"}) {
		fmt.Println("changed")
		os.Exit(1)
	}
}
M
go mod tidy >/dev/null 2>&1
go run .
