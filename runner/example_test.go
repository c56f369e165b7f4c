package runner_test

import (
	"log"

	adk "google.golang.org/adk/v2/agent"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
)

// A reader and a writer below one agent, each with its own part of the authority.
func ExampleConfig_ceilings() {
	var (
		team   adk.Agent // with the sub-agents reader and writer
		engine *jit.Engine
	)
	_, err := runner.New(runner.Config{Agent: team, Engine: engine, Ceilings: map[string][]rar.Detail{
		"reader": {{Type: "file_access", Actions: []string{"read"}}},
		"writer": {{Type: "file_access", Actions: []string{"write"}, Identifier: "reports"}},
	}})
	if err != nil {
		log.Print(err)
	}
}
