package provider

import (
	"context"
	"errors"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// ErrCannotTell is what a check returns that a server gives no answer to, good or bad:
// it has no list of models. The model may well be there.
var ErrCannotTell = errors.New("the server has no list of models, so it cannot be told whether the model is there")

// ToolUse is what [ProbeTools] has seen of a model and its server.
type ToolUse uint8

// What may be seen.
const (
	// ToolsUnknown says nothing: the model made no call, and no tokens are counted.
	ToolsUnknown ToolUse = iota
	// ToolsDropped says that the server leaves tools out of the prompt without a word,
	// as some do whose chat template has no place for them: no call is ever made.
	ToolsDropped
	// ToolsTaken says that the tools reach the model, which made no call when asked.
	ToolsTaken
	// ToolsCalled says that the model called a tool.
	ToolsCalled
)

// ProbeTools asks llm for one small call of a tool that does nothing. Where none comes
// it asks twice more, with the tool and without, for one token each: a prompt that
// counts as many tokens with a tool as without has no tool in it. No document is sent.
// An error is what the model failed with.
func ProbeTools(ctx context.Context, llm model.LLM) (ToolUse, error) {
	ping := []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "ping", Description: "Answers that it is there."}}}}
	ask := func(tools []*genai.Tool, most int32) (int32, bool, error) {
		return probe(ctx, llm, &genai.GenerateContentConfig{Tools: tools, MaxOutputTokens: most})
	}
	answer, calls, err := ask(ping, 1024)
	var with, without int32
	if err == nil && !calls {
		with, calls, err = ask(ping, 1)
	}
	if err == nil && !calls {
		without, _, err = ask(nil, 1)
	}
	switch {
	case calls:
		return ToolsCalled, err
	case err != nil || answer == 0 || with == 0 || without == 0:
		return ToolsUnknown, err
	case with == without:
		return ToolsDropped, nil
	}
	return ToolsTaken, nil
}

// probe returns the tokens of the prompt, and whether a call came or had begun.
func probe(ctx context.Context, llm model.LLM, config *genai.GenerateContentConfig) (prompt int32, calls bool, err error) {
	req := &model.LLMRequest{Contents: []*genai.Content{genai.NewContentFromText("Call the tool ping, now.", genai.RoleUser)}, Config: config}
	for resp, err := range llm.GenerateContent(ctx, req, false) {
		if err != nil {
			failure, ok := errors.AsType[*Error](err)
			if ok && failure.inCall {
				return 0, true, nil
			}
			return 0, false, err
		}
		if resp.UsageMetadata != nil {
			prompt = resp.UsageMetadata.PromptTokenCount
		}
		if resp.Content == nil {
			continue
		}
		for _, p := range resp.Content.Parts {
			calls = calls || p.FunctionCall != nil
		}
	}
	return prompt, calls, nil
}
