package openai

import (
	"regexp"
	"strings"

	"google.golang.org/genai"
)

var (
	// reasoning models take a developer's message in place of the system's, and
	// max_completion_tokens in place of max_tokens.
	reasoningNames = regexp.MustCompile(`^(o[1-9]|gpt-[5-9])([.-]|$)`)
	// These take tools over chat completions only when they do not reason; OpenAI
	// answers 400 else, also when the request names no effort.
	toolsByResponses = regexp.MustCompile(`^(gpt-5\.([4-9]|[1-9][0-9])|gpt-[6-9])([.-]|$)`)
	// These are not behind chat completions at all.
	responsesOnly = regexp.MustCompile(`^(o[1-9]-pro|gpt-5(\.[0-9]+)?-(pro|codex))(-|$)`)
	// gpt-5 itself cannot stop reasoning, and o-series models not even nearly.
	noNone    = regexp.MustCompile(`^gpt-5(-|$)`)
	noMinimal = regexp.MustCompile(`^o[1-9](-|$)`)
)

// family is what a model's name says about it.
type family struct {
	reasoning, toolsByResponses, responsesOnly, noNone, noMinimal bool
}

func familyOf(model string) family {
	return family{
		reasoning:        reasoningNames.MatchString(model),
		toolsByResponses: toolsByResponses.MatchString(model),
		responsesOnly:    responsesOnly.MatchString(model),
		noNone:           noNone.MatchString(model),
		noMinimal:        noMinimal.MatchString(model),
	}
}

// byResponses reports which of OpenAI's APIs is asked. setting is the user's wish.
func (f family) byResponses(setting string, tools bool, effort string) bool {
	if setting != "" {
		return setting == apiResponses
	}
	return f.responsesOnly || tools && effort != "none" && f.toolsByResponses
}

// effort returns the reasoning effort for a request, empty for the model's own
// choice: what the request says, else the setting.
func (f family) effort(config *genai.ThinkingConfig, setting string) string {
	switch {
	case config == nil:
		return setting
	case config.ThinkingLevel != "" && config.ThinkingLevel != genai.ThinkingLevelUnspecified:
		return strings.ToLower(string(config.ThinkingLevel))
	case config.ThinkingBudget == nil || *config.ThinkingBudget < 0:
		return setting
	}
	// A budget counts tokens, an effort does not: the bounds are those that Google
	// gives for its own levels, roughly.
	switch budget := *config.ThinkingBudget; {
	case budget > 8192:
		return "high"
	case budget > 1024:
		return "medium"
	case budget > 0, f.noMinimal:
		return "low"
	case f.noNone:
		return "minimal"
	}
	return "none"
}
