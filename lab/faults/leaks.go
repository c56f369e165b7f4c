package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
)

// leaks searches the files of a state directory for every token that was ever issued,
// and for the agent's secret. It returns the files that hold one.
func (w *world) leaks(state string) ([]string, error) {
	secrets := [][]byte{[]byte(w.env["AGENT_CLIENT_SECRET"])}
	w.history.mu.Lock()
	for _, t := range w.history.tasks {
		for _, token := range t.tokens {
			secrets = append(secrets, []byte(token.value.Reveal()))
		}
	}
	w.history.mu.Unlock()
	var found []string
	err := filepath.WalkDir(state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, secret := range secrets {
			if bytes.Contains(data, secret) {
				found = append(found, path)
				break
			}
		}
		return nil
	})
	return found, err
}
