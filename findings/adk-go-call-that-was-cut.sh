#!/usr/bin/env bash
# A function call whose arguments were still coming when the stream ended, as Google's
# Agent Development Kit for Go hands it on.
#
# google.golang.org/adk/v2 v2.2.0 with google.golang.org/genai v1.66.0.
#
# One would guess that a call which says willContinue, and of which nothing more comes,
# is dropped or reported: its maker said that it is not whole.
# Seen: the aggregated response holds the call with the arguments that had come by then,
# and no error, so that a tool is run with half of what the model meant.
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
	"io"
	"net/http"
	"net/http/httptest"
	"os"

	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/model/gemini"
	"google.golang.org/genai"
)

const answer = `data: {"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"id":"c1","name":"create_report","willContinue":true,"partialArgs":[{"jsonPath":"$.title","stringValue":"Quarter","willContinue":true}]}}]}}]}

data: {"candidates":[{"content":{"role":"model","parts":[]},"finishReason":"STOP"}]}

`

func main() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	ctx := context.Background()
	llm, err := gemini.NewModel(ctx, "gemini-2.5-flash", &genai.ClientConfig{APIKey: "k", Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: server.URL}})
	if err != nil {
		panic(err)
	}
	var calls []*genai.FunctionCall
	request := &model.LLMRequest{Contents: genai.Text("go"), Config: &genai.GenerateContentConfig{}}
	for r, err := range llm.GenerateContent(ctx, request, true) {
		if err != nil || r.ErrorCode != "" {
			fmt.Println("changed: an error:", err, r)
			os.Exit(1)
		}
		fmt.Printf("partial=%v", r.Partial)
		if r.Content != nil {
			for _, p := range r.Content.Parts {
				if p.FunctionCall != nil {
					fmt.Printf(" call=%+v", *p.FunctionCall)
					if !r.Partial {
						calls = append(calls, p.FunctionCall)
					}
				}
			}
		}
		fmt.Println()
	}
	if len(calls) != 1 || calls[0].Args["title"] != "Quarter" {
		fmt.Println("changed")
		os.Exit(1)
	}
	fmt.Printf("adk v2.2.0: the call is handed on as whole, with %v\n", calls[0].Args)
}
M
go mod tidy >/dev/null 2>&1
go run .
