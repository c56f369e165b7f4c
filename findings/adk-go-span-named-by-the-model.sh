#!/usr/bin/env bash
# What a trace of Google's Agent Development Kit for Go is told when a model calls a tool
# that does not exist.
#
# google.golang.org/adk/v2 v2.2.0, OpenTelemetry's SDK for Go v1.43.0.
#
# One would guess that a span of a tool has one of the names that the agent declared, so
# that names are few and hold no content, as the conventions for spans of agents ask.
# Seen: the span is begun before the tool is looked up. Its name, and the attribute
# gen_ai.tool.name, are whatever the model said, as long as it likes: what a document or a
# person told the model reaches a collector though no content is to be recorded.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > go.mod <<'M'
module finding

go 1.26

require (
	go.opentelemetry.io/otel v1.43.0
	go.opentelemetry.io/otel/sdk v1.43.0
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
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"
)

const said = "the patient is called Ada"

// talker calls a tool that nobody declared, and then ends.
type talker struct{ asked int }

func (*talker) Name() string { return "talker" }

func (m *talker) GenerateContent(context.Context, *model.LLMRequest, bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		m.asked++
		content := genai.NewContentFromFunctionCall(said, nil, genai.RoleModel)
		if m.asked > 1 {
			content = genai.NewContentFromText("done", genai.RoleModel)
		}
		yield(&model.LLMResponse{Content: content}, nil)
	}
}

func main() {
	ctx := context.Background()
	spans := tracetest.NewInMemoryExporter()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans)))
	a, err := llmagent.New(llmagent.Config{Name: "a", Model: &talker{}})
	if err != nil {
		panic(err)
	}
	sessions := session.InMemoryService()
	r, err := runner.New(runner.Config{AppName: "app", Agent: a, SessionService: sessions})
	if err != nil {
		panic(err)
	}
	s, err := sessions.Create(ctx, &session.CreateRequest{AppName: "app", UserID: "u"})
	if err != nil {
		panic(err)
	}
	for _, err := range r.Run(ctx, "u", s.Session.ID(), genai.NewContentFromText("hello", genai.RoleUser), agent.RunConfig{}) {
		if err != nil {
			fmt.Println("the run ends with:", err)
		}
	}
	seen := false
	for _, span := range spans.GetSpans() {
		fmt.Printf("span %q\n", span.Name)
		seen = seen || strings.Contains(span.Name, said)
	}
	if !seen {
		fmt.Println("changed")
		os.Exit(1)
	}
}
M
go mod tidy >/dev/null 2>&1
go run .
