package bench

import (
	"errors"
	"strings"
	"testing"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"
	"google.golang.org/adk/v2/tool/toolconfirmation"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/tools"
)

// toolContext is what ADK gives a tool, as far as tools ask for it.
type toolContext struct{ adk.StrictContextMock }

func (*toolContext) SessionID() string                                    { return "session-1" }
func (*toolContext) InvocationID() string                                 { return "inv-1" }
func (*toolContext) FunctionCallID() string                               { return "call-1" }
func (*toolContext) ToolConfirmation() *toolconfirmation.ToolConfirmation { return nil }

func toolCall() measure {
	type ourArgs struct {
		DocumentID string `json:"document_id" jsonschema:"minLength=1,maxLength=64,pattern=^[A-Za-z0-9_-]+$"`
	}
	type theirArgs struct {
		DocumentID string `json:"document_id"`
	}
	doc := tools.Document{ID: "doc_9982", Title: "Q4 churn", Kind: "report", Updated: "2026-01-01", Content: strings.Repeat("Churn rose to 4.2 % in Q4.\n", 80)}
	return measure{
		name: "call of a tool of tools.New", floor: "ADK functiontool, same function", goal: goal{ratio: 0.5},
		open: func(t *testing.T) pair {
			task := fake.Task(t, &fake.Authority{})
			ours := must(tools.New(tools.Spec[ourArgs]{
				Name: "fetch", Description: "fetches", Ceiling: func(ourArgs) []rar.Detail { return nil },
			}, func(tools.Context, ourArgs) (tools.Document, error) { return doc, nil }))(t)
			theirs := must(functiontool.New(functiontool.Config{Name: "fetch", Description: "fetches"},
				func(adk.Context, theirArgs) (tools.Document, error) { return doc, nil }))(t)
			toolCtx := &toolContext{adk.NewStrictContextMock(jit.NewContext(t.Context(), task))}
			args := map[string]any{"document_id": "doc_9982"}
			called := func(called tool.Tool) side {
				runnable := called.(interface { // by which ADK calls a tool
					Run(adk.Context, any) (map[string]any, error)
				})
				return does(func() error {
					m, err := runnable.Run(toolCtx, args)
					if err == nil && m["id"] != "doc_9982" {
						err = errors.New("the tool gave another result")
					}
					return err
				})
			}
			return pair{ours: called(ours), floor: called(theirs)}
		},
	}
}
