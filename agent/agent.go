// Package agent assembles the analyst: an ADK LLM agent made of the instruction
// in package prompts, a model and tools.
//
// Invariant: every tool of the agent is guarded by package jitmw; New refuses any
// other, and its toolsets offer no other. The agent has no sub-agents or code
// execution, which would be ways around that.
//
// The package runs nothing; package runner does.
package agent

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/prompts"
)

// Name is the analyst's name in ADK events and spans.
const Name = "protected_data_analyst"

// Config sets up [New].
type Config struct {
	// Model drives the agent. Required.
	Model model.LLM
	// Tools are what the model may call. Each must come from jitmw.Wrap or
	// tools.New.
	Tools []tool.Tool
	// Toolsets offer tools that may change during a run, such as those of MCP servers.
	Toolsets []*jitmw.Toolset
	// Instruction replaces the one in package prompts; "" keeps it. Braces in it
	// are text.
	Instruction string
}

// documentID is an identifier as documents have them, such as doc_9982: no word and
// no number alone, which a message may well hold and mean nothing by.
var documentID = regexp.MustCompile(`\b[A-Za-z][A-Za-z0-9-]*_[A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]*\b`)

// Named returns the documents that a message names by their identifiers. An answer
// about one that was never read is made up; see runner.Config.
func Named(message string) []string { return documentID.FindAllString(message, 20) }

// New returns the analyst. The agent may be shared by concurrent runs.
func New(cfg Config) (adk.Agent, error) {
	if cfg.Model == nil {
		return nil, errors.New("agent: no Model")
	}
	names := map[string]bool{}
	for i, t := range cfg.Tools {
		if !jitmw.Guarded(t) {
			return nil, fmt.Errorf("agent: Tools[%d] is not guarded: use jitmw.Wrap or tools.New", i)
		}
		if names[t.Name()] { // ADK says so only when the model is asked
			return nil, fmt.Errorf("agent: Tools[%d]: there is another tool called %s", i, t.Name())
		}
		names[t.Name()] = true
	}
	instruction := cfg.Instruction
	if instruction == "" {
		instruction = prompts.Instruction()
	}
	var sets []tool.Toolset
	for _, s := range cfg.Toolsets {
		sets = append(sets, s)
	}
	a, err := llmagent.New(llmagent.Config{
		Name:        Name,
		Description: "Fetches protected documents and writes reports about them with just-in-time authority.",
		Model:       cfg.Model,
		// A provider, since ADK takes braces in Instruction for state variables.
		InstructionProvider: func(adk.ReadonlyContext) (string, error) { return instruction, nil },
		// ADK appends to this slice during runs; without spare capacity it copies.
		Tools:    slices.Clip(slices.Clone(cfg.Tools)),
		Toolsets: sets,
		// Left unset, ADK writes it at the first run, which races with others.
		Mode: llmagent.ModeChat,
		// The analyst has nobody to hand over to.
		DisallowTransferToParent: true,
		DisallowTransferToPeers:  true,
	})
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	return a, nil
}
