package lumodev

import (
	"time"

	"github.com/jitagent/jitagent/rar"
)

// Snapshot is what the server holds at one instant, for tests and operators. It
// holds no token and no secret.
type Snapshot struct {
	Tasks    []TaskInfo    // oldest first
	Requests []RequestInfo // oldest first

	// LiveTokens is the number of JIT tokens that introspection calls active:
	// not expired, not revoked, of an active task.
	LiveTokens int

	// Totals count since this process made the server.
	Totals Totals
}

// Totals count what was made.
type Totals struct {
	Tasks    int
	Requests int // JIT requests, whatever was decided
	Tokens   int // JIT tokens; redeeming again makes none
}

// TaskInfo is one task of a [Snapshot].
type TaskInfo struct {
	ID         string
	Parent     string // "" without one
	ClientID   string // of its agent
	Name       string
	OnBehalfOf string // email, or ""
	State      string // active, completed, failed, cancelled, suspended, expired
	ExpiresAt  time.Time
	RiskScore  float64
	Denials    int
}

// RequestInfo is one JIT request of a [Snapshot].
type RequestInfo struct {
	ID            string
	TaskID        string
	Detail        rar.Detail
	Justification string
	Risk          Risk
	Status        string // pending, approved, denied, expired
	Redeemed      bool   // a token was issued, live or not
}

// Snapshot returns the current state.
func (s *Server) Snapshot() Snapshot {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Snapshot{Totals: s.st.totals}

	for _, t := range byAge(s.st.tasks) {
		out.Tasks = append(out.Tasks, TaskInfo{
			ID: t.ID, Parent: t.Parent, ClientID: t.ClientID, Name: t.Name, OnBehalfOf: t.OnBehalfOf,
			State: string(t.stateAt(now)), ExpiresAt: t.ExpiresAt, RiskScore: t.Score, Denials: t.Denials,
		})
	}
	for _, r := range byAge(s.st.requests) {
		out.Requests = append(out.Requests, RequestInfo{
			ID: r.ID, TaskID: r.TaskID, Detail: r.Detail.Clone(), Justification: r.Justification, Risk: r.Risk,
			Status: string(s.st.statusOf(&r, s.cfg.RedemptionWindow, now)), Redeemed: r.TokenID != "",
		})
	}
	for _, tok := range s.st.tokens {
		if s.st.liveToken(&tok, now) {
			out.LiveTokens++
		}
	}
	return out
}
