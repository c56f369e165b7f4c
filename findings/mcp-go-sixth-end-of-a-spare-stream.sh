#!/usr/bin/env bash
# The stream that a client of the Model Context Protocol keeps open for what a server says
# unasked, ended now and then, with the official SDK for Go.
#
# github.com/modelcontextprotocol/go-sdk v1.8.0, client over streamable HTTP, MaxRetries 0
# (five); the server gives its events no ids, as it need not, and ends each stream after one.
#
# One would guess that MaxRetries counts the tries of one outage: a proxy that ends
# connections once an hour costs one reconnect an hour, and the calls, which have requests
# of their own, notice nothing.
# Seen: without ids the count never starts anew, whatever came in between. All goes well for
# five ends, with an event received and a call answered each time, and at the sixth the
# whole session is closed, hours or weeks after the first.
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

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const enough = 12 // streams that a client is given before it counts as one that goes on

func main() {
	ctx := context.Background()
	opened, end := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "retry: 10\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n")
			w.(http.Flusher).Flush()
			select {
			case opened <- struct{}{}:
				<-end
			case <-r.Context().Done():
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
				"protocolVersion": "2025-06-18", "capabilities": map[string]any{"tools": map[string]any{"listChanged": true}},
				"serverInfo": map[string]any{"name": "bank", "version": "1"},
			}
		case "tools/call":
			answer["result"] = map[string]any{"content": []any{map[string]any{"type": "text", "text": "paid"}}}
		case "notifications/initialized":
			w.WriteHeader(http.StatusAccepted)
			return
		default:
			answer["error"] = map[string]any{"code": -32601, "message": "no such method"}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}))
	heard := make(chan struct{}, enough)
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, &mcp.ClientOptions{
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { heard <- struct{}{} },
	})
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: server.URL}, nil)
	if err != nil {
		panic(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- session.Wait() }()
	ends := 0
	for ends < enough {
		select {
		case <-opened:
			<-heard
			if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "pay"}); err != nil {
				panic(err)
			}
			end <- struct{}{}
			ends++
			continue
		case err := <-closed:
			_, called := session.CallTool(ctx, &mcp.CallToolParams{Name: "pay"})
			fmt.Printf("after %d ends, each with an event heard and a call answered:\nthe session: %v\na call: %v\n", ends, err, called)
			if ends == 6 && called != nil {
				return
			}
		}
		break
	}
	fmt.Println("changed:", ends, "ends")
	os.Exit(1)
}
M
go mod tidy >/dev/null 2>&1
go run .
