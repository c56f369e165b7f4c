package modelserver_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/dev/modelserver"
	"github.com/jitagent/jitagent/models/modeltest"
)

// FuzzRequest sends any body over each wire: it is answered, or refused in the
// wire's shape, and nothing panics.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(chatBody))
	f.Add([]byte(genBody))
	f.Add([]byte(`{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"x"}]}]}`))
	f.Add([]byte(`{"contents":[{"role":"model","parts":[{"function_call":{"name":"f","args":{}}}]},{"parts":[{"function_response":{"name":"f"}}]}],"tools":[{"function_declarations":[{"name":"f","parameters":{"type":"OBJECT"}}]}]}`))
	f.Add([]byte(`{"contents":[[{}],{"__":[]}],"_a_":null}`))
	f.Add([]byte(`{"model":"m","input":[{"role":"user","content":"x"},{"type":"reasoning","summary":[{"text":"x"}]},{"type":"function_call","call_id":"a","name":"f"},{"type":"function_call_output","call_id":"a","output":"x"}]}`))
	f.Add([]byte(`{"model":"m","max_tokens":9,"system":[{"type":"text","text":"x"}],"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"c2ln"},{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"x"}]},{"type":"text","text":"x"}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		script := modeltest.Always(modeltest.Text("ok"))
		s, err := modelserver.New(modelserver.Config{Fallback: script})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{chat, resp, msgs, gen, genStream} {
			_, path, _ := strings.Cut(line, " ")
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(string(body)))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			asked := len(script.Requests())
			s.ServeHTTP(w, r)
			answered := len(script.Requests()) > asked
			var e struct {
				Error struct {
					Message string `json:"message"`
				} `json:"error"`
			}
			switch {
			case w.Code == http.StatusOK && answered:
			case w.Code == http.StatusBadRequest && !answered && json.Unmarshal(w.Body.Bytes(), &e) == nil && e.Error.Message != "":
			default:
				t.Errorf("%s: %d, model asked: %v, %s", line, w.Code, answered, w.Body)
			}
		}
	})
}
