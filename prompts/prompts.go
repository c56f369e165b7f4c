// Package prompts holds the words that models are given: the analyst's
// instruction and the descriptions of its tools. They are text files in this
// folder, embedded as they are.
//
// The texts are not templates. ADK's llmagent treats {braces} in
// Config.Instruction as references to session state, so hand [Instruction] over
// through Config.InstructionProvider, which takes a text literally.
package prompts

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed *.md
var files embed.FS

// instructionFile is the one text that describes no tool.
const instructionFile = "instruction"

// Instruction returns the analyst's system instruction.
func Instruction() string {
	text, err := read(instructionFile)
	if err != nil {
		panic(err) // embedded: its absence fails the build of every test
	}
	return text
}

// Tool returns the description of the tool called name, such as "fetch_document".
// It fails when there is none: a tool that a model is offered without a
// description is a mistake in the wiring.
func Tool(name string) (string, error) {
	if name == instructionFile || strings.ContainsAny(name, `/\.`) {
		return "", fmt.Errorf("prompts: no description of tool %q", name)
	}
	text, err := read(name)
	if err != nil {
		return "", fmt.Errorf("prompts: no description of tool %q", name)
	}
	return text, nil
}

func read(name string) (string, error) {
	text, err := files.ReadFile(name + ".md")
	return strings.TrimSpace(string(text)), err
}
