//go:build unix

// Command ours does the published example's job with this module, for peers.py.
//
// Arguments: sessions, how many run at once, and "journal" or "none". It prints what
// they cost, warm.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lab/bench/peers/measure"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/models"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/sqlite"
	"github.com/jitagent/jitagent/tools"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ours:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(ctx context.Context, args []string) (err error) {
	if len(args) != 3 {
		return errors.New("sessions, how many at once, and journal or none")
	}
	authority, err := lumoauth.New(lumoauth.Config{
		URL: os.Getenv("LUMOAUTH_URL"), Org: os.Getenv("LUMOAUTH_ORG_ID"),
		ClientID: os.Getenv("AGENT_CLIENT_ID"), ClientSecret: secret.New(os.Getenv("AGENT_CLIENT_SECRET")),
	})
	if err != nil {
		return err
	}
	cfg := jit.Config{Authority: authority}
	if args[2] == "journal" {
		dir, err := os.MkdirTemp("", "bench-journal-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		journal, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, journal.Close()) }()
		cfg.Journal, cfg.TokenHashKey = journal, []byte(journal.TokenHashKey().Reveal())
	}
	r, err := assemble(ctx, cfg)
	if err != nil {
		return err
	}
	return measure.Run(ctx, args[0], args[1], func(ctx context.Context) error { return session(ctx, r) })
}

func assemble(ctx context.Context, cfg jit.Config) (*runner.Runner, error) {
	engine, err := jit.New(cfg)
	if err != nil {
		return nil, err
	}
	api, err := url.Parse(os.Getenv("ANALYST_API_URL"))
	if err != nil {
		return nil, err
	}
	var kit []tool.Tool
	for _, build := range []func(*url.URL, tools.Options) (tool.Tool, error){tools.FetchDocument, tools.CreateReport} {
		t, err := build(api, tools.Options{HonorsIdempotencyKey: true})
		if err != nil {
			return nil, err
		}
		kit = append(kit, t)
	}
	llm, err := models.Open(ctx, "gemini/gemini-2.5-flash", models.Options{Getenv: os.Getenv})
	if err != nil {
		return nil, err
	}
	a, err := agent.New(agent.Config{Model: llm, Tools: kit})
	if err != nil {
		return nil, err
	}
	return runner.New(runner.Config{Agent: a, Engine: engine})
}

func session(ctx context.Context, r *runner.Runner) error {
	var last runner.Finished
	for e, err := range r.Run(ctx, runner.Input{Text: measure.Prompt, Task: jit.TaskSpec{Name: "protected data analysis"}}) {
		if err != nil {
			return err
		}
		if f, ok := e.(runner.Finished); ok {
			last = f
		}
	}
	if last.Outcome != runner.Done || last.ToolCalls != 2 {
		return fmt.Errorf("the session ended %s after %d calls", last.Outcome, last.ToolCalls)
	}
	return nil
}
