#!/usr/bin/env bash
# A tool call that was cut at max_tokens, read with Anthropic's Go library.
#
# github.com/anthropics/anthropic-sdk-go/v2 v2.15.0, streamed.
#
# One would guess that Message.Accumulate leaves the input of such a call as the part
# that came, or reports an error, so that a caller who decodes it notices.
# Seen: no error, and the input is {}: valid, and what a call without arguments looks
# like. Only the stop_reason tells the two apart, so a loop that runs every tool_use
# block runs the tool with arguments that the model never gave.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > go.mod <<'M'
module finding

go 1.26

require github.com/anthropics/anthropic-sdk-go/v2 v2.15.0
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

	"github.com/anthropics/anthropic-sdk-go/v2"
	"github.com/anthropics/anthropic-sdk-go/v2/option"
)

const answer = `event: message_start
data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"create_report","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"title\":\"Quarter"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":{"output_tokens":9}}

event: message_stop
data: {"type":"message_stop"}

`

func main() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	messages := anthropic.NewMessageService(option.WithBaseURL(server.URL+"/"), option.WithAPIKey("k"), option.WithMaxRetries(0))
	stream := messages.NewStreaming(context.Background(), anthropic.MessageNewParams{
		Model: "x", MaxTokens: 9, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("go"))},
	})
	var m anthropic.Message
	for stream.Next() {
		if err := m.Accumulate(stream.Current()); err != nil {
			fmt.Println("changed: an error:", err)
			os.Exit(1)
		}
	}
	if err := stream.Err(); err != nil {
		fmt.Println("changed: an error:", err)
		os.Exit(1)
	}
	fmt.Printf("anthropic-sdk-go v2.15.0: stop_reason %s, input %s\n", m.StopReason, m.Content[0].Input)
	if string(m.Content[0].Input) != "{}" {
		fmt.Println("changed")
		os.Exit(1)
	}
}
M
go mod tidy >/dev/null 2>&1
go run .
