package lumodev

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzBodies posts any body, with any content type, to every endpoint that reads
// one: no panic, no 500, one JSON object, and nothing granted that was not asked
// for as an object with a type.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `{"task_id":"T","authorization_details":{"type":"a","actions":["read"]}}`,
		`{"task_id":"T","authorization_details":[{"type":"a"},{"type":"b"}],"requested_ttl":1e400}`,
		`{"task_id":"T","task_id":"T"}`, `{"action":"x","context":[]}`, "\xff", strings.Repeat("[", 200),
		`{"task_id":"t","reason":"r","impact":"low","on_behalf_of":2,"meta":null}`, `{"result":"completed"}`,
		`grant_type=client_credentials&client_id=analyst`, `token=x&token=y`, `{"ttl":5}`,
	} {
		for i := range 9 {
			f.Add(byte(i), "application/json", seed)
		}
		f.Add(byte(0), "application/x-www-form-urlencoded", seed)
	}
	s, err := New(Config{BaseURL: fixedURL})
	if err != nil {
		f.Fatal(err)
	}
	serve := func(path, token, kind, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(context.Background(), "POST", path, strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	agent := s.cfg.Agents[0]
	login := serve(orgs+"/oauth/token", "", "application/x-www-form-urlencoded",
		"grant_type=client_credentials&client_id=analyst&client_secret="+agent.ClientSecret.Reveal())
	var token tokenResponse
	if err := json.Unmarshal(login.Body.Bytes(), &token); err != nil {
		f.Fatal(err)
	}
	reviewer, err := s.UserToken(DefaultReviewerEmail)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, endpoint byte, kind, body string) {
		newTask := serve(orgs+"/jit/task", token.AccessToken, "", "")
		var task struct {
			ID string `json:"task_id"`
		}
		if err := json.Unmarshal(newTask.Body.Bytes(), &task); err != nil {
			t.Fatal(err)
		}
		body = strings.ReplaceAll(body, `"T"`, `"`+task.ID+`"`)
		bearer := token.AccessToken
		paths := []string{
			"/oauth/token", "/oauth/introspect", "/oauth/revoke", "/jit/task", "/jit/request",
			"/jit/task/" + task.ID + "/evaluate", "/agents/ask", "/agents/me/approvals", "/jit/approve/jit_x", "/jit/deny/jit_x",
		}
		path := paths[int(endpoint)%len(paths)]
		if strings.HasPrefix(path, "/jit/approve") || strings.HasPrefix(path, "/jit/deny") {
			bearer = reviewer.Reveal()
		}
		if path == "/oauth/revoke" {
			bearer = "" // do not let it revoke what the next input needs
		}
		w := serve(orgs+path, bearer, kind, body)
		if w.Code >= http.StatusInternalServerError {
			t.Fatalf("POST %s %q = %d %s", path, body, w.Code, w.Body)
		}
		var out map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatalf("POST %s = %q, want a JSON object", path, w.Body)
		}
		if path == "/jit/request" && w.Code == http.StatusCreated {
			detail, isObject := out["authorization_details"].(map[string]any)
			if kind, _ := detail["type"].(string); !isObject || kind == "" {
				t.Errorf("%q was accepted as %v", body, out)
			}
		}
		s.forget(task.ID)
	})
}

// forget drops a task, so that a long run does not fill the memory.
func (s *Server) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := change{forget: []recordKey{{"task", id}}}
	for _, r := range s.st.ofTask[id] {
		gone.forget = append(gone.forget, recordKey{"request", r})
	}
	s.st.apply(&gone)
}

// FuzzPath sends any path: no panic, no redirect, and only known paths are served.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "//t/acme-corp/api/v1/jit/task", "/%2e%2e/", "/orgs/%2F/api/v1/x", "/orgs//api/v1/x", orgs + "/jit/request/%00/status"} {
		f.Add(seed)
	}
	s, err := New(Config{BaseURL: fixedURL})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.URL.Path, r.URL.RawPath = path, ""
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code >= 300 && w.Code < 400 || w.Code >= 500 || w.Header().Get("Location") != "" {
			t.Errorf("GET %q = %d, Location %q", path, w.Code, w.Header().Get("Location"))
		}
	})
}
