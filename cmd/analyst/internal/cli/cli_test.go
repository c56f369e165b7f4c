package cli

import (
	"errors"
	"testing"
)

// TestSay: no package names, and all else as it was.
func TestSay(t *testing.T) {
	for text, want := range map[string]string{
		"runner: jit: request file_access read doc_1: lumoauth: the task is suspended": "request file_access read doc_1: the task is suspended",
		"fetch_document failed: journal: database is locked":                           "fetch_document failed: journal: database is locked",
		"log in at https://l.test: wrong secret":                                       "log in at https://l.test: wrong secret",
		"tools need a tools: section":                                                  "tools need a tools: section",
	} {
		if got := Say(errors.New(text)); got != want {
			t.Errorf("Say(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"quiet", "stream", "json", "debug"}
	for word, want := range map[string]string{"quite": "quiet", "steam": "stream", "jsn": "json", "documents": "", "": ""} {
		if got := Nearest(word, words); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
