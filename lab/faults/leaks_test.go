package faults

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jitagent/jitagent/secret"
)

func TestLeaks(t *testing.T) {
	h := newHistory()
	h.tasks["t"] = &seenTask{tokens: []seenToken{{secret.New("the-token"), time.Now()}}}
	w := &world{history: h, env: map[string]string{"AGENT_CLIENT_SECRET": "the-secret"}}
	s := setup{state: t.TempDir()}
	for name, text := range map[string]string{"clean": "tok the-toke the", "token": "...the-token...", "below/secret": "\x00the-secret\x00"} {
		path := filepath.Join(s.state, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o700))
		check(t, os.WriteFile(path, []byte(text), 0o600))
	}
	if found := s.leaks(t, w.secrets()); len(found) != 2 {
		t.Errorf("leaks() = %q, want the two files that hold one", found)
	}
}
