//go:build !failpoints

package main

import (
	"net/http"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/recovery"
)

// Points at which a test kills the process are in failpoints.go, under a build tag.
// Here they are nothing at all.

func failJournal(j jit.Journal) jit.Journal             { return j }
func failAuthority(a jit.Authority) jit.Authority       { return a }
func failBase(base http.RoundTripper) http.RoundTripper { return base }
func failRecovery(cfg recovery.Config) recovery.Config  { return cfg }
