package tools_test

import (
	"context"
	"fmt"

	"google.golang.org/adk/v2/agent"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/tools"
)

// A tool is a struct of arguments, a ceiling that they fix, and a function.
func ExampleNew() {
	type args struct {
		Account string `json:"account" jsonschema:"description=Account to look at,pattern=^[0-9]{4\\,10}$"`
	}
	type result struct {
		Balance string `json:"balance"`
	}
	balance, err := tools.New(tools.Spec[args]{
		Name:        "get_balance",
		Description: "Returns the balance of one account.",
		// The most that a call may ever ask for: reading this one account.
		Ceiling: func(a args) []rar.Detail {
			return []rar.Detail{{Type: "account", Actions: []string{"read"}, Identifier: a.Account}}
		},
		Justify: func(a args) string { return "Read the balance of account " + a.Account },
	}, func(ctx tools.Context, a args) (result, error) {
		// A tool that speaks HTTP uses ctx.GetJSON or ctx.HTTPClient, which obtain
		// authority when the API demands it. This one knows what it needs.
		grant, err := jit.Acquire(ctx, rar.Detail{Type: "account", Actions: []string{"read"}, Identifier: a.Account})
		if err != nil {
			return result{}, err
		}
		return result{Balance: "12.50, read with " + grant.RequestID}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// An agent calls the tool; here a test does.
	engine, err := jit.New(jit.Config{Authority: &fake.Authority{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	task := engine.Start(ctx, jit.TaskSpec{Name: "balances"}, nil)
	defer func() { _ = task.Complete(ctx) }()
	run := balance.(interface {
		Run(agent.Context, any) (map[string]any, error)
	})
	for _, account := range []string{"4711", "all"} {
		got, err := run.Run(newCtx(jit.NewContext(ctx, task)), map[string]any{"account": account})
		fmt.Println(got["balance"], got["status"], err)
	}
	// Output:
	// 12.50, read with jit_1 <nil> <nil>
	// <nil> invalid_arguments <nil>
}
