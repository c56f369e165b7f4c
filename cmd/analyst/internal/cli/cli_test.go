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
