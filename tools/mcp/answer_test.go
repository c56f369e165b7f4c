package mcp_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/tools/mcp"
)

// What a server asks in the middle of a call goes to whoever answers, and to nobody else.
func TestAnswers(t *testing.T) {
	t.Run(latest, func(t *testing.T) {
		var said []string // by the person, as the server hears of it
		p := serve(t)
		p.AddTool(&sdk.Tool{Name: "ask", InputSchema: json.RawMessage(`{"type":"object"}`)}, func(_ context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
			if len(req.Params.InputResponses) == 0 {
				return &sdk.CallToolResult{RequestState: "s", InputRequests: sdk.InputRequestMap{"q": &sdk.ElicitParams{
					Message: "Which\u202e one?", RequestedSchema: json.RawMessage(`{"type":"object","properties":{"one":{"type":"string"}}}`),
				}}}, nil
			}
			answer, _ := req.Params.InputResponses["q"].(*sdk.ElicitResult)
			one, _ := answer.Content["one"].(string)
			said = append(said, answer.Action+one)
			return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "done"}}}, nil
		})
		rules, err := policy.Parse([]byte("tools:\n  files__ask:\n    targets: {}\n"), nil)
		if err != nil {
			t.Fatal(err)
		}
		type answer = func(context.Context, string, string, json.RawMessage) (map[string]any, error)
		for _, tt := range []struct {
			name, want, status string
			answer             answer
		}{
			{"nobody", "", "failed", nil},
			{"a person", "accepttwo", "ok", func(_ context.Context, server, message string, schema json.RawMessage) (map[string]any, error) {
				if server != "files" || message != "Which one?" || len(schema) == 0 {
					t.Errorf("asked %q %q %s", server, message, schema)
				}
				return map[string]any{"one": "two"}, nil
			}},
			{"a person who will not", "decline", "ok", func(context.Context, string, string, json.RawMessage) (map[string]any, error) { return nil, nil }},
			{"nobody in the end", "cancel", "ok", func(context.Context, string, string, json.RawMessage) (map[string]any, error) {
				return nil, errors.New("gone")
			}},
		} {
			said = nil
			ctx := task(t, &fake.Authority{})
			set, err := mcp.Open(ctx, mcp.Config{Servers: []mcp.Server{{Name: "files", URL: p.url}}, Policy: rules, Answer: tt.answer})
			if err != nil {
				t.Fatal(err)
			}
			result := call(ctx, t, find(t, set, "files__ask"), nil)
			_ = set.Close()
			got := ""
			if len(said) > 0 {
				got = said[0]
			}
			if got != tt.want || len(said) > 1 || result["status"] != nil && result["status"] != tt.status || (tt.status == "failed") != (result["status"] == "failed") {
				t.Errorf("%s: the server hears %q, the model %v", tt.name, said, result)
			}
		}
	})
}

// Nobody is sent to an address of the server's.
func TestQuestionByAddress(t *testing.T) {
	t.Run(latest, func(t *testing.T) {
		p := serve(t)
		said := ""
		p.AddTool(&sdk.Tool{Name: "ask", InputSchema: json.RawMessage(`{"type":"object"}`)}, func(_ context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
			if len(req.Params.InputResponses) == 0 {
				return &sdk.CallToolResult{RequestState: "s", InputRequests: sdk.InputRequestMap{"q": &sdk.ElicitParams{
					Mode: "url", Message: "Log in", URL: "https://login.example/", ElicitationID: "1",
				}}}, nil
			}
			answer, _ := req.Params.InputResponses["q"].(*sdk.ElicitResult)
			said = answer.Action
			return &sdk.CallToolResult{}, nil
		})
		ctx := task(t, &fake.Authority{})
		set, err := mcp.Open(ctx, mcp.Config{Servers: []mcp.Server{{Name: "files", URL: p.url}}, Answer: func(context.Context, string, string, json.RawMessage) (map[string]any, error) {
			t.Error("a person was asked")
			return map[string]any{}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = set.Close() }()
		if got := call(ctx, t, find(t, set, "files__ask"), nil); said == "accept" {
			t.Errorf("the server hears %q, the model %v", said, got)
		}
	})
}
