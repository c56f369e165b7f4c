package cli

import (
	"bytes"
	"strings"
	"testing"
)

// What went wrong is told on stderr by a command that lives for long, and by others to
// those who ask.
func TestLogger(t *testing.T) {
	for want, tt := range map[string]struct{ debug, long bool }{"": {}, "WARN": {long: true}, "INFO WARN": {debug: true}} {
		var said bytes.Buffer
		log := (&Program{Stderr: &said}).Logger(tt.debug, tt.long)
		log.Info("it begins")
		log.Warn("it fails")
		var levels []string
		for line := range strings.Lines(said.String()) {
			_, level, _ := strings.Cut(line, "level=")
			levels = append(levels, strings.Fields(level)[0])
		}
		if got := strings.Join(levels, " "); got != want {
			t.Errorf("with %+v it tells %q, want %q", tt, got, want)
		}
	}
}
