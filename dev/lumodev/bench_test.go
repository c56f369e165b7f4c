package lumodev

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

type benchServer struct {
	*testing.B
	*Server
	token string
}

func (s *benchServer) post(path, token, body string) map[string]any {
	r := httptest.NewRequestWithContext(s.Context(), "POST", orgs+path, strings.NewReader(body))
	if strings.HasPrefix(path, "/oauth") {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var out map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code >= 300 {
		s.Fatalf("POST %s = %d %s", path, w.Code, w.Body)
	}
	return out
}

func newBench(b *testing.B, dir string) *benchServer {
	cfg := DefaultConfig()
	cfg.BaseURL, cfg.StateDir = fixedURL, dir
	cfg.CAEP = CAEPPolicy{RiskThreshold: -1, BurstRequests: -1}
	srv, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = srv.Close() })
	s := &benchServer{B: b, Server: srv}
	s.token, _ = s.post("/oauth/token", "", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {DefaultAgentClientID},
		"client_secret": {s.agents[DefaultAgentClientID].ClientSecret.Reveal()},
	}.Encode())["access_token"].(string)
	return s
}

func (s *benchServer) jit(task string) string {
	id, _ := s.post("/jit/request", s.token,
		`{"task_id":"`+task+`","authorization_details":{"type":"file_access","actions":["read"],"identifier":"doc_9982"}}`)["request_id"].(string)
	raw, _ := s.post("/jit/request/"+id+"/token", s.token, "")["access_token"].(string)
	return raw
}

// BenchmarkJIT asks for and redeems one JIT token: two verifications, one
// signature, and with a state directory two durable writes.
func BenchmarkJIT(b *testing.B) {
	for name, dir := range map[string]string{"memory": "", "disk": filepath.Join(b.TempDir(), "state")} {
		b.Run(name, func(b *testing.B) {
			s := newBench(b, dir)
			task, _ := s.post("/jit/task", s.token, "")["task_id"].(string)
			for b.Loop() {
				s.jit(task)
			}
		})
	}
}
