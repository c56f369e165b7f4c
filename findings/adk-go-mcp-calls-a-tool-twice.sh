#!/usr/bin/env bash
# A tool of an MCP server whose answer is lost, called by an agent of Google's Agent
# Development Kit for Go through its own mcptoolset.
#
# google.golang.org/adk/v2 v2.2.0 with github.com/modelcontextprotocol/go-sdk v1.8.0, streamable
# HTTP; the server has run the tool when the connection closes before the first byte of its answer.
#
# One would guess that the toolset connects anew when its connection is gone, and that the
# model is told that this call failed, or may have been made: the request was sent, and
# nothing about the tool says that it may run twice.
# Seen: the toolset sends the same call once more, and has no setting against it. Of one
# call of the model's the bill is paid two times, and the model is told of one success.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > go.mod <<'M'
module finding

go 1.26

require (
	github.com/modelcontextprotocol/go-sdk v1.8.0
	google.golang.org/adk/v2 v2.2.0
	google.golang.org/genai v1.66.0
)
M
cat > main.go <<'M'
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/mcptoolset"
	"google.golang.org/genai"
)

// payer calls the tool once, and ends when it has the result.
type payer struct {
	asked int
	told  []map[string]any
}

func (*payer) Name() string { return "payer" }

func (m *payer) GenerateContent(_ context.Context, request *model.LLMRequest, _ bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		m.asked++
		content := genai.NewContentFromFunctionCall("pay", map[string]any{}, genai.RoleModel)
		if m.asked > 1 {
			for _, p := range request.Contents[len(request.Contents)-1].Parts {
				m.told = append(m.told, p.FunctionResponse.Response)
			}
			content = genai.NewContentFromText("done", genai.RoleModel)
		}
		yield(&model.LLMResponse{Content: content}, nil)
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
	paid := 0
	bank := mcp.NewServer(&mcp.Implementation{Name: "bank", Version: "1"}, nil)
	bank.AddTool(&mcp.Tool{Name: "pay", InputSchema: json.RawMessage(`{"type":"object"}`)}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		paid++
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "paid"}}}, nil
	})
	inner := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return bank }, nil)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		before := paid
		answer := httptest.NewRecorder()
		inner.ServeHTTP(answer, r)
		if paid > before && paid == 1 { // it is done, and the answer is lost
			panic(http.ErrAbortHandler)
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	llm := &payer{}
	tools := must(mcptoolset.New(mcptoolset.Config{Endpoint: front.URL}))
	sessions := session.InMemoryService()
	r := must(runner.New(runner.Config{
		AppName: "app", Agent: must(llmagent.New(llmagent.Config{Name: "a", Model: llm, Toolsets: []tool.Toolset{tools}})), SessionService: sessions,
	}))
	s := must(sessions.Create(ctx, &session.CreateRequest{AppName: "app", UserID: "u"})).Session
	for _, err := range r.Run(ctx, "u", s.ID(), genai.NewContentFromText("pay the bill", genai.RoleUser), agent.RunConfig{}) {
		if err != nil {
			fmt.Println("the run has an error:", err)
		}
	}
	fmt.Printf("the model called once and is told %v; the bank paid %d times\n", llm.told, paid)
	if paid != 2 || len(llm.told) != 1 || llm.told[0]["output"] != "paid" {
		fmt.Println("changed")
		os.Exit(1)
	}
}
M
go mod tidy >/dev/null 2>&1
go run .
