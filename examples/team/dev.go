package main

import (
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/modeltest"
)

// In place of models, what they answer.

// misled reads the document, and then does the writer's work, as if what it read had told it to.
func misled() *modeltest.Script {
	return modeltest.NewScript(modeltest.Calls(&genai.FunctionCall{Name: "fetch_document", Args: map[string]any{"document_id": "doc_9982"}}), report(), modeltest.Text("Churn rose."))
}

func writes() *modeltest.Script {
	return modeltest.NewScript(report(), modeltest.Text("The report is written."))
}

func report() modeltest.Turn {
	return modeltest.Calls(&genai.FunctionCall{Name: "create_report", Args: map[string]any{"title": "Churn", "content": "It rose to 9.6%, see doc_9982."}})
}
