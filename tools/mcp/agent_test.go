package mcp_test

import (
	"context"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/jit/jittest/adktest"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/models/modeltest"
	"github.com/jitagent/jitagent/tools/mcp"
)

// TestToolThatComesDuringARun has an agent call a tool that a server offers since an
// earlier call of the same run.
func TestToolThatComesDuringARun(t *testing.T) {
	protocols(t, func(t *testing.T) {
		p := serve(t)
		add(p.Server, "look", "looks", func(context.Context, string) (*sdk.CallToolResult, error) {
			add(p.Server, "more", "does more", say("more of it"))
			return say("seen")(nil, "")
		})
		w := jittest.Start(t)
		set := open(t.Context(), t, mcp.Server{URL: p.url}, "")
		calls := func(name string) modeltest.Turn { return modeltest.Calls(&genai.FunctionCall{Name: name}) }
		script := modeltest.NewScript(calls("files__look"), calls("files__more"), modeltest.Text("Done."))
		a, err := agent.New(agent.Config{Model: script, Toolsets: []*jitmw.Toolset{set.Toolset()}})
		if err != nil {
			t.Fatal(err)
		}
		report := adktest.RunAgent(t, w, a, "Look, and do more.")
		if got := report.Results("files__more"); len(got) != 1 || got[0]["text"] != "more of it" || report.Answer != "Done." {
			t.Errorf("the run came to %v, %q (%v)", got, report.Answer, report.Err)
		}
		w.AskedExactly()
		w.NothingLeft()
	})
}
