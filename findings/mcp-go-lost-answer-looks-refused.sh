#!/usr/bin/env bash
# A tool call whose answer is lost, with the official SDK of the Model Context Protocol for Go.
#
# github.com/modelcontextprotocol/go-sdk v1.8.0, streamable HTTP.
#
# One would guess that a *jsonrpc.Error is what the server answered, and that a call which
# may have been made is told apart from one that was not.
# Seen: the tool has run, the connection breaks, and CallTool returns a *jsonrpc.Error,
# "rejected by transport": the same as for a request that never left. Whoever takes it for
# the server's refusal and calls again makes the effect happen twice.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > go.mod <<'M'
module finding

go 1.26

require github.com/modelcontextprotocol/go-sdk v1.8.0
M
cat > main.go <<'M'
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	ctx := context.Background()
	paid := 0
	server := mcp.NewServer(&mcp.Implementation{Name: "bank", Version: "1"}, nil)
	server.AddTool(&mcp.Tool{Name: "pay", InputSchema: json.RawMessage(`{"type":"object"}`)}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		paid++
		return &mcp.CallToolResult{}, nil
	})
	inner := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before := paid
		answer := httptest.NewRecorder()
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		inner.ServeHTTP(answer, r)
		if paid > before { // it is done, and the answer is lost
			panic(http.ErrAbortHandler)
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	session, err := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil).Connect(ctx, &mcp.StreamableClientTransport{Endpoint: front.URL}, nil)
	if err != nil {
		panic(err)
	}
	_, err = session.CallTool(ctx, &mcp.CallToolParams{Name: "pay"})
	var answered *jsonrpc.Error
	fmt.Printf("paid %d times, and the client is told: %v\n", paid, err)
	if paid != 1 || !errors.As(err, &answered) {
		fmt.Println("changed")
		os.Exit(1)
	}
}
M
go mod tidy >/dev/null 2>&1
go run .
