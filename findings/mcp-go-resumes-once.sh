#!/usr/bin/env bash
# A tool call whose stream is cut, and cut again when the client resumes it, with the
# official SDK of the Model Context Protocol for Go.
#
# github.com/modelcontextprotocol/go-sdk v1.8.0, client over streamable HTTP, MaxRetries 0
# (five); the server keeps the answer until it is fetched, as for a call that takes long.
#
# One would guess that the client goes on to resume, five times at least, from the last
# event that it has: nothing new came, so that is still where it stands.
# Seen: a resumed stream that ends before its first event makes the client forget where it
# stands. It never asks again, and the call ends as "terminated without response" while
# the server has the answer ready: two cuts in a row, and what the tool did is not known.
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
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// serve answers a call on the resumption after so many that were cut. It tells how often it was resumed.
func serve(cuts int64) (*httptest.Server, *atomic.Int64) {
	var resumed atomic.Int64
	var call atomic.Value
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			if r.Header.Get("Last-Event-ID") != "one" {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			if resumed.Add(1) > cuts {
				_, _ = fmt.Fprintf(w, "id: two\ndata: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"paid\"}]}}\n\n", call.Load())
			}
			return
		}
		var in struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&in) != nil {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		answer := map[string]any{"jsonrpc": "2.0", "id": in.ID}
		switch in.Method {
		case "initialize":
			answer["result"] = map[string]any{
				"protocolVersion": "2025-11-25", "capabilities": map[string]any{"tools": map[string]any{}},
				"serverInfo": map[string]any{"name": "bank", "version": "1"},
			}
		case "tools/call":
			call.Store(string(in.ID))
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "id: one\nretry: 10\ndata:\n\n")
			return
		case "notifications/initialized":
			w.WriteHeader(http.StatusAccepted)
			return
		default:
			answer["error"] = map[string]any{"code": -32601, "message": "no such method"}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	})), &resumed
}

func main() {
	ctx := context.Background()
	changed := false
	for cuts := range int64(2) {
		server, resumed := serve(cuts)
		session, err := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil).Connect(ctx, &mcp.StreamableClientTransport{Endpoint: server.URL, DisableStandaloneSSE: true}, nil)
		if err != nil {
			panic(err)
		}
		_, err = session.CallTool(ctx, &mcp.CallToolParams{Name: "pay"})
		fmt.Printf("resumed streams that are cut: %d; the client resumed %d times, and the call ends with: %v\n", cuts, resumed.Load(), err)
		changed = changed || resumed.Load() != 1 || (err == nil) != (cuts == 0)
	}
	if changed {
		fmt.Println("changed")
		os.Exit(1)
	}
}
M
go mod tidy >/dev/null 2>&1
go run .
