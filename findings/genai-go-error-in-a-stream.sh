#!/usr/bin/env bash
# An error object inside a stream of Gemini's wire, read with Google's Go library.
#
# google.golang.org/genai v1.66.0.
#
# One would guess that `data: {"error": {...}}`, which a proxy or the service sends when
# something fails after the headers have gone out with 200, ends the iterator with an
# error, as the same object does with a status of 4xx or 5xx.
# Seen: the iterator yields a response without candidates and no error, and goes on. An
# answer that was cut by a fault looks like one that is whole and short.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > go.mod <<'M'
module finding

go 1.26

require google.golang.org/genai v1.66.0
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

	"google.golang.org/genai"
)

const answer = `data: {"candidates":[{"content":{"role":"model","parts":[{"text":"The first half"}]}}]}

data: {"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}

`

func main() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	ctx := context.Background()
	client, err := genai.NewClient(ctx, &genai.ClientConfig{APIKey: "k", Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: server.URL}})
	if err != nil {
		panic(err)
	}
	chunks, bare := 0, 0
	for r, err := range client.Models.GenerateContentStream(ctx, "gemini-2.5-flash", genai.Text("go"), nil) {
		if err != nil {
			fmt.Println("changed: an error:", err)
			os.Exit(1)
		}
		chunks++
		if len(r.Candidates) == 0 {
			bare++
		}
	}
	fmt.Printf("genai: %d chunks, %d of them without a candidate, no error\n", chunks, bare)
	if chunks != 2 || bare != 1 {
		fmt.Println("changed")
		os.Exit(1)
	}
}
M
go mod tidy >/dev/null 2>&1
go run .
