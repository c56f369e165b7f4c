package cli

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// What went wrong is told on stderr by a command that lives for long, and by others to
// those who ask.
func TestLogger(t *testing.T) {
	for name, tt := range map[string]struct {
		logger func(*Program) *slog.Logger
		want   string
	}{
		"a command":                  {func(p *Program) *slog.Logger { return p.Logger(false) }, ""},
		"a service":                  {func(p *Program) *slog.Logger { return p.ServiceLogger(false) }, "WARN"},
		"a command that is debugged": {func(p *Program) *slog.Logger { return p.Logger(true) }, "INFO WARN"},
		"a service that is debugged": {func(p *Program) *slog.Logger { return p.ServiceLogger(true) }, "INFO WARN"},
	} {
		var said bytes.Buffer
		log := tt.logger(&Program{Stderr: &said})
		log.Info("it begins")
		log.Warn("it fails")
		var levels []string
		for line := range strings.Lines(said.String()) {
			_, level, _ := strings.Cut(line, "level=")
			levels = append(levels, strings.Fields(level)[0])
		}
		if got := strings.Join(levels, " "); got != tt.want {
			t.Errorf("%s tells %q, want %q", name, got, tt.want)
		}
	}
}
