#!/usr/bin/env bash
# A whole number of 19 digits in the structured content of a tool's result, with the official
# SDK of the Model Context Protocol for Go.
#
# github.com/modelcontextprotocol/go-sdk v1.8.0.
#
# One would guess that a client gets the number that the server sent.
# Seen: CallToolResult.StructuredContent is decoded without json.Number, so the client has
# another number, and no way to the one that was sent but the text that some servers add.
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
	"fmt"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const sent = "1234567890123456789"

func main() {
	ctx := context.Background()
	server := mcp.NewServer(&mcp.Implementation{Name: "bank", Version: "1"}, nil)
	server.AddTool(&mcp.Tool{Name: "account", InputSchema: json.RawMessage(`{"type":"object"}`)}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{StructuredContent: json.RawMessage(`{"id":` + sent + `}`)}, nil
	})
	there, here := mcp.NewInMemoryTransports()
	if _, err := server.Connect(ctx, there, nil); err != nil {
		panic(err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil).Connect(ctx, here, nil)
	if err != nil {
		panic(err)
	}
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "account"})
	if err != nil {
		panic(err)
	}
	got := result.StructuredContent.(map[string]any)["id"]
	fmt.Printf("sent %s, got %T %.0f\n", sent, got, got)
	if n, ok := got.(float64); !ok || fmt.Sprintf("%.0f", n) == sent {
		fmt.Println("changed")
		os.Exit(1)
	}
}
M
go mod tidy >/dev/null 2>&1
go run .
