package tools_test

import (
	"testing"

	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/jit/jittest/adktest"
	"github.com/jitagent/jitagent/rar"
)

// TestAnalystsToolsInHostileWorlds tries both tools, as ADK calls them, against
// servers that are after more than they should get.
func TestAnalystsToolsInHostileWorlds(t *testing.T) {
	for name, call := range map[string]struct {
		args   map[string]any
		within rar.Detail
	}{
		"fetch_document": {map[string]any{"document_id": "doc_1"}, jittest.Read("doc_1")},
		"create_report":  {map[string]any{"title": "T", "content": "C"}, jittest.Write("reports")},
	} {
		for behaviour, hostile := range jittest.Hostile() {
			t.Run(name+", "+behaviour, func(t *testing.T) {
				w := jittest.Start(t, hostile)
				located := call.within
				located.Locations = []string{w.API.String()}
				result, err := adktest.Call(t, w, analystsTools(t, w.API)[name], call.args)
				if err != nil {
					t.Errorf("Call() = %v, want a result", err)
				}
				if behaviour != "API echoes tokens" && result["error"] == nil {
					t.Errorf("the model is shown %v, want an error", result)
				}
				w.AskedWithin(call.within, located)
				w.NothingLeft()
				w.NothingLeaked(result)
				if w.Elsewhere() != 0 {
					t.Error("the tool followed a redirect to another host")
				}
			})
		}
	}
}
