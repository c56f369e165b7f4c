package openai_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/models/openai"
	"github.com/jitagent/jitagent/models/provider"
)

func TestCheck(t *testing.T) {
	const (
		unknown = `{"error":{"message":"x","type":"invalid_request_error","code":"model_not_found"}}`
		two     = `{"data":[{"id":"other"},{"id":"acme/one"}]}`
	)
	for _, tt := range []struct {
		name        string
		model, list http.HandlerFunc
		want        string // in the error; empty for none
		asked       int
	}{
		{"known", say(`{"id":"acme/one"}`), nil, "", 1},
		{"unknown at OpenAI", fail(404, unknown), fail(404, ""), "there is no such model (404 model_not_found)", 2},
		{"unknown and near one", fail(404, unknown), say(`{"data":[{"id":"other"},{"id":"acme/ones"}]}`), "there is no such model (404 model_not_found): did you mean acme/ones?", 2},
		{"a bad key", fail(401, `{"error":{"code":"invalid_api_key"}}`), nil, "the API key was refused (401", 1},
		{"down", fail(503, ""), nil, "the provider failed (503)", 1},
		{"vLLM: only a list", fail(404, `{"detail":"Not Found"}`), say(two), "", 2},
		{"not in the list", fail(404, ``), say(`{"data":[{"id":"other"},{"id":"third"}]}`), "there is no such model (404): choose another name, for example other", 2},
		{"near one in the list", fail(404, ``), say(`{"data":[{"id":"other"},{"id":"acme/ones"}]}`), "there is no such model (404): did you mean acme/ones?", 2},
		{"Ollama's tag", fail(404, ``), say(`{"data":[{"id":"other"},{"id":"acme/one:latest"}]}`), "", 2},
		{"llama.cpp: one model for every name", fail(404, `{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}`), say(`{"data":[{"id":"model.gguf"}]}`), "", 2},
		{"neither", fail(405, ``), fail(404, ``), provider.ErrCannotTell.Error(), 2},
		{"a key for the list", fail(404, ``), fail(401, ``), "the API key was refused (401)", 2},
		{"a list of garbage", fail(404, ``), say("x"), "the answer could not be read", 2},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/models" {
				tt.list(w, r)
				return
			}
			tt.model(w, r)
		})
		err := s.model(t, provider.Config{Model: "acme/one"}).Check(t.Context())
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: Check = %v, want %q", tt.name, err, tt.want)
		}
		paths, heads, bodies := s.seen()
		if len(paths) != tt.asked || paths[0] != "GET /v1/models/acme/one" || heads[0].Get("Authorization") != "Bearer "+canary || strings.Join(bodies, "") != "" {
			t.Errorf("%s: asked %v with %v", tt.name, paths, bodies)
		}
	}
}

// A base URL without /v1 is not passed over as a server without a list.
func TestCheckSeesAMissingPath(t *testing.T) {
	s := serve(t, fail(404, "404 page not found"))
	err := s.model(t, provider.Config{BaseURL: address(t, s.URL)}).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "most servers want /v1 at its end") {
		t.Errorf("got %v", err)
	}
}

// Azure lists models there, not deployments: only the key can be checked.
func TestCheckAzure(t *testing.T) {
	for status, want := range map[int]string{200: "", 401: "azure/test-model: the API key was refused"} {
		s := serve(t, fail(status, `{"data":[{"id":"a"},{"id":"b"}]}`))
		llm := s.azure(t, "")
		if err := llm.Check(t.Context()); (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v", status, err)
		}
		paths, heads, _ := s.seen()
		if len(paths) != 1 || paths[0] != "GET /openai/v1/models" || heads[0].Get("Api-Key") != canary || heads[0].Get("Authorization") != "" {
			t.Errorf("asked %v with %v", paths, heads)
		}
	}
}

// A hook may change the model's name; at Azure it becomes part of a path.
func TestAzureNames(t *testing.T) {
	s := serve(t, say(whole(hello, "stop")))
	llm := s.azure(t, "2024-10-21")
	for _, name := range []string{"a/b", "../x", "x?y", ".", "a#b"} {
		req := user("hi")
		req.Model = name
		if _, err := ask(t.Context(), llm, req, false); err == nil || !strings.Contains(err.Error(), "the model name is malformed") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if paths, _, _ := s.seen(); len(paths) > 0 {
		t.Errorf("asked %v", paths)
	}
	for _, c := range []provider.Config{{}, {BaseURL: address(t, s.URL)}} {
		if llm, err := openai.NewAzure(c, ""); err == nil || llm != nil {
			t.Errorf("half a configuration is taken: %+v", c)
		}
	}
}
