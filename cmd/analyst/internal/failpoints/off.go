//go:build !failpoints

// Package failpoints wraps what a run works with. In builds with the tag failpoints
// a test can have the process killed at points in there; in the program that people
// run each function returns what it is given.
package failpoints

import (
	"net/http"

	"google.golang.org/adk/v2/session"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/recovery"
)

// Journal returns j.
func Journal(j Kept) jit.Rereader { return j }

// Kept is what the engine may find in a journal.
type Kept interface {
	jit.Rereader
	jit.Killer
}

// Authority returns a.
func Authority(a jit.Authority) jit.Authority { return a }

// Sessions returns s.
func Sessions(s session.Service) session.Service { return s }

// Suspensions returns s.
func Suspensions(s runner.Suspensions) runner.Suspensions { return s }

// Base returns base.
func Base(base http.RoundTripper) http.RoundTripper { return base }

// Recovery returns cfg.
func Recovery(cfg recovery.Config) recovery.Config { return cfg }
