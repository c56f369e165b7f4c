package tools_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/tool/functiontool"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/tools"
)

// The same function as a tool of this package and as a plain one of ADK's, which
// has no ceiling, no task and no limit: the guard should cost less than what it
// stands around.
func BenchmarkCall(b *testing.B) {
	type args struct {
		DocumentID string `json:"document_id" jsonschema:"minLength=1,maxLength=64,pattern=^[A-Za-z0-9_-]+$"`
	}
	// ADK derives its schema with another library, whose tags differ.
	type adkArgs struct {
		DocumentID string `json:"document_id"`
	}
	doc := tools.Document{ID: "doc_9982", Title: "Q4 churn", Kind: "report", Updated: "2026-01-01", Content: strings.Repeat("Churn rose to 4.2 % in Q4.\n", 80)}

	ours, err := tools.New(tools.Spec[args]{
		Name: "fetch", Description: "fetches", Ceiling: func(args) []rar.Detail { return nil },
	}, func(tools.Context, args) (tools.Document, error) { return doc, nil })
	if err != nil {
		b.Fatal(err)
	}
	theirs, err := functiontool.New(functiontool.Config{Name: "fetch", Description: "fetches"},
		func(agent.Context, adkArgs) (tools.Document, error) { return doc, nil })
	if err != nil {
		b.Fatal(err)
	}
	call := map[string]any{"document_id": "doc_9982"}
	for name, t := range map[string]any{"jitagent": ours, "functiontool": theirs} {
		b.Run(name, func(b *testing.B) {
			run := runnable(b, t)
			ctx := newCtx(jit.NewContext(context.Background(), fake.Task(b, &fake.Authority{})))
			b.ReportAllocs()
			for b.Loop() {
				if m, err := run.Run(ctx, call); err != nil || m["id"] != "doc_9982" {
					b.Fatal(m, err)
				}
			}
		})
	}
}
