// Package failpoint lets a process kill itself at a named point, so that what a
// crash leaves there can be looked at.
//
// It is linked into no program that people run: cmd/analyst uses it under the build
// tag failpoints only, and a test holds that.
//
// # Invariants
//
//   - The process dies as by kill -9: no deferred function runs, no buffer is
//     flushed, and [Set.Hit] does not return.
//   - Without [Env] in the environment no point does anything.
//
// It knows no points. Whoever passes one names it, and a name that nobody passes is
// never hit: what starts the process must check that it died.
package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// Env names the environment variable that arms a point: NAME, or NAME:N for its Nth
// pass.
const Env = "ANALYST_FAILPOINT"

// A Set knows which point is armed. It is safe for concurrent use. The zero Set and
// nil arm none.
type Set struct {
	name string
	at   int64 // the pass that dies
	pass atomic.Int64
	kill func()
}

// New returns the set that Env arms. An empty value arms nothing; one that cannot be
// read is an error.
func New(getenv func(string) string) (*Set, error) { return newSet(getenv(Env), kill) }

func newSet(value string, kill func()) (*Set, error) {
	if value == "" {
		return &Set{}, nil
	}
	s := &Set{kill: kill, at: 1}
	name, count, counted := strings.Cut(value, ":")
	s.name = name
	if counted {
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("failpoint: %s: write NAME or NAME:N, with N from 1", Env)
		}
		s.at = n
	}
	if name == "" {
		return nil, fmt.Errorf("failpoint: %s names no point", Env)
	}
	return s, nil
}

// Hit passes the point that the parts name, joined by dots. If it is the armed one,
// and this the pass that counts, the process dies and Hit never returns.
func (s *Set) Hit(parts ...string) {
	if s == nil || s.name == "" || s.name != strings.Join(parts, ".") {
		return
	}
	if s.pass.Add(1) == s.at {
		s.kill()
	}
}

// kill ends this process as the operating system does it: SIGKILL on Unix,
// TerminateProcess on Windows.
func kill() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(fmt.Sprintf("failpoint: the process cannot kill itself: %v", err))
	}
	select {} // the signal may take a moment to arrive
}
