#!/usr/bin/env bash
# A tool's own error with a code of JSON-RPC's range for servers, as the official SDK of the
# Model Context Protocol for Go reads it.
#
# github.com/modelcontextprotocol/go-sdk v1.8.0, client over streamable HTTP; the server is
# net/http, so that it may answer as any server in any language does.
#
# One would guess that an answer with an error object is a *jsonrpc.Error with its code and
# message, whatever number a server has chosen: -32000 to -32099 are the server's.
# Seen: it is for -32001, -32002 and -32005. For -32003 and -32004 the client returns
# ErrConnectionClosed, as if the connection had broken in the middle: whoever then
# counts the call as in doubt, or connects and calls again, has been refused.
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

// serve answers as a server of the protocol whose one tool is refused with a code.
func serve(code int) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
				"protocolVersion": "2025-06-18", "capabilities": map[string]any{"tools": map[string]any{}},
				"serverInfo": map[string]any{"name": "bank", "version": "1"},
			}
		case "tools/call":
			answer["error"] = map[string]any{"code": code, "message": "this account is closed"}
		case "notifications/initialized":
			w.WriteHeader(http.StatusAccepted)
			return
		default:
			answer["error"] = map[string]any{"code": -32601, "message": "no such method"}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}))
}

func main() {
	ctx := context.Background()
	changed := false
	for _, code := range []int{-32001, -32002, -32003, -32004, -32005} {
		server := serve(code)
		session, err := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil).Connect(ctx, &mcp.StreamableClientTransport{Endpoint: server.URL, DisableStandaloneSSE: true}, nil)
		if err != nil {
			panic(err)
		}
		_, err = session.CallTool(ctx, &mcp.CallToolParams{Name: "pay"})
		var answered *jsonrpc.Error
		refused, closed := errors.As(err, &answered), errors.Is(err, mcp.ErrConnectionClosed)
		fmt.Printf("%d: refused %t, connection closed %t: %v\n", code, refused, closed, err)
		changed = changed || closed != (code == -32003 || code == -32004)
		server.CloseClientConnections()
		server.Close()
	}
	if changed {
		fmt.Println("changed")
		os.Exit(1)
	}
}
M
go mod tidy >/dev/null 2>&1
go run .
