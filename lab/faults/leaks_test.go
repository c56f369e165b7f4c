package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jitagent/jitagent/secret"
)

func TestLeaks(t *testing.T) {
	h := newHistory()
	h.tasks["t"] = &seenTask{tokens: []seenToken{{value: secret.New("the-token")}}}
	w := &world{history: h, env: map[string]string{"AGENT_CLIENT_SECRET": "the-secret"}}
	state := t.TempDir()
	for name, text := range map[string]string{"clean": "tok the-toke the", "token": "...the-token...", "below/secret": "\x00the-secret\x00"} {
		path := filepath.Join(state, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := w.leaks(state)
	if err != nil || len(found) != 2 {
		t.Errorf("leaks() = %q, %v, want the two files that hold one", found, err)
	}
}
