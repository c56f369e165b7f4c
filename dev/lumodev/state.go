package lumodev

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/rar"
)

// taskState is where a task is. Every state but active is final.
type taskState string

const (
	taskActive    taskState = "active"
	taskCompleted taskState = "completed"
	taskFailed    taskState = "failed"
	taskCancelled taskState = "cancelled"
	taskSuspended taskState = "suspended"
	taskExpired   taskState = "expired" // never stored: it follows from the clock
)

// task is one record. Records are values: a change is a changed copy that is
// committed, so a reader never sees half of one.
type task struct {
	ID         string      `json:"id"`
	ClientID   string      `json:"client_id"` // of the agent
	Name       string      `json:"name,omitempty"`
	Type       string      `json:"type,omitempty"`
	Parent     string      `json:"parent,omitempty"`
	Depth      int         `json:"depth"` // 1 without a parent
	Session    string      `json:"session"`
	OnBehalfOf string      `json:"on_behalf_of,omitempty"`
	Act        *actor      `json:"act,omitempty"` // of the delegated token that opened it
	State      taskState   `json:"state"`
	CreatedAt  time.Time   `json:"created_at"`
	ExpiresAt  time.Time   `json:"expires_at"`
	EndedAt    time.Time   `json:"ended_at,omitzero"`
	Notes      string      `json:"notes,omitempty"` // internal, of evaluate
	Score      float64     `json:"score"`
	Denials    int         `json:"denials"`
	DeniedAt   time.Time   `json:"denied_at,omitzero"` // the last time that counts
	Events     []caepEvent `json:"events,omitempty"`
}

func (t *task) stateAt(now time.Time) taskState {
	if t.State == taskActive && !now.Before(t.ExpiresAt) {
		return taskExpired
	}
	return t.State
}

// endedAt is when the task left active, the zero time if it has not.
func (t *task) endedAt(now time.Time) time.Time {
	if t.stateAt(now) == taskExpired {
		return t.ExpiresAt
	}
	return t.EndedAt
}

type caepEvent struct {
	Type      string      `json:"type"`
	Details   caepDetails `json:"details"`
	Timestamp time.Time   `json:"timestamp"`
}

type caepDetails struct {
	RiskScore   float64 `json:"risk_score"`
	DenialCount int     `json:"denial_count"`
}

// status is the state of a request.
type status string

const (
	statusPending  status = "pending"
	statusApproved status = "approved"
	statusDenied   status = "denied"
	statusExpired  status = "expired" // never stored: it follows from the clock and the task
)

// request is one record of JIT authority asked for.
type request struct {
	ID            string        `json:"id"`
	TaskID        string        `json:"task_id"`
	ClientID      string        `json:"client_id"`
	Detail        rar.Detail    `json:"detail"`
	Granted       *rar.Detail   `json:"granted,omitempty"` // what a person left of it; nil is all
	For           purpose       `json:"for,omitzero"`
	Justification string        `json:"justification,omitempty"`
	RequestedTTL  time.Duration `json:"requested_ttl"`
	GrantedTTL    time.Duration `json:"granted_ttl,omitempty"`
	CallbackURL   string        `json:"callback_url,omitempty"`
	Risk          Risk          `json:"risk"`
	Status        status        `json:"status"`
	CreatedAt     time.Time     `json:"created_at"`
	ExpiresAt     time.Time     `json:"expires_at,omitzero"` // of the human window; zero when decided at once
	DecidedAt     time.Time     `json:"decided_at,omitzero"`
	DecidedBy     int           `json:"decided_by,omitempty"` // user id
	Notes         string        `json:"notes,omitempty"`      // internal: a reviewer's notes or reason
	AgentMessage  string        `json:"agent_message,omitempty"`
	TokenID       string        `json:"token_id,omitempty"` // jti, once redeemed
	Act           *actor        `json:"act,omitempty"`
}

// A purpose is the call that a request is for, as the agent's program says.
type purpose struct {
	Tool   string         `json:"tool,omitempty"`
	CallID string         `json:"call_id,omitempty"`
	Args   jsontext.Value `json:"arguments,omitzero"`
	Origin string         `json:"origin,omitempty"`
	User   string         `json:"user,omitempty"`
}

// granted is what the token of an approved request covers.
func (r *request) granted() rar.Detail {
	if r.Granted != nil {
		return *r.Granted
	}
	return r.Detail
}

// jitToken is what is kept of an issued JIT token: never the token.
type jitToken struct {
	ID        string    `json:"id"` // jti
	RequestID string    `json:"request_id"`
	TaskID    string    `json:"task_id"`
	IssuedAt  time.Time `json:"issued_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Revoked   bool      `json:"revoked,omitempty"`
}

func (t *jitToken) liveAt(now time.Time) bool { return !t.Revoked && now.Before(t.ExpiresAt) }

// revocation is a revoked access token.
type revocation struct {
	ID        string    `json:"id"` // jti
	ExpiresAt time.Time `json:"expires_at"`
}

// A pushApproval is one that an agent asks for apart from JIT. Its token is a credential, so only a hash of it is
// kept.
type pushApproval struct {
	Hash        string    `json:"hash"`
	ClientID    string    `json:"client_id"`
	TaskID      string    `json:"task_id"`
	Reason      string    `json:"reason"`
	Impact      Risk      `json:"impact"`
	UserID      int       `json:"user_id"`
	ExpiresAt   time.Time `json:"expires_at"`
	Status      status    `json:"status"`
	RespondedAt time.Time `json:"responded_at,omitzero"`
}

func (a *pushApproval) statusAt(now time.Time) status {
	if a.Status == statusPending && !now.Before(a.ExpiresAt) {
		return statusExpired
	}
	return a.Status
}

// A record is a task, request, jitToken, revocation or pushApproval.
type record interface{ key() recordKey }

type recordKey struct{ kind, id string }

func (t task) key() recordKey         { return recordKey{"task", t.ID} }
func (r request) key() recordKey      { return recordKey{"request", r.ID} }
func (t jitToken) key() recordKey     { return recordKey{"token", t.ID} }
func (r revocation) key() recordKey   { return recordKey{"revoked", r.ID} }
func (a pushApproval) key() recordKey { return recordKey{"approval", a.Hash} }

// records hold the records of one kind by their ids.
type records[R record] map[string]R

// put keeps a record, and reports whether it is a new one.
func (t records[R]) put(r record) bool {
	_, known := t[r.key().id]
	t[r.key().id] = r.(R)
	return !known
}

func (t records[R]) forget(id string) { delete(t, id) }

func (t records[R]) decode(data []byte) (record, error) {
	var r R
	err := json.Unmarshal(data, &r)
	return r, err
}

type anyRecords interface {
	put(r record) bool
	forget(id string)
	decode(data []byte) (record, error)
}

// change is what to write and forget, all or none.
type change struct {
	put     []record
	forget  []recordKey
	decided []request // by a person: whoever asked is told, once the change is durable
}

func (c *change) add(records ...record) { c.put = append(c.put, records...) }

// state holds every record in memory. Its user holds the server's lock.
type state struct {
	tasks     records[task]
	requests  records[request]
	tokens    records[jitToken]
	revoked   records[revocation]
	approvals records[pushApproval]

	tables   map[string]anyRecords // all of them, by kind
	ofTask   map[string][]string   // request ids by task, oldest first
	children map[string][]string   // task ids by parent

	totals Totals
}

func newState() *state {
	st := &state{
		tasks:     make(records[task]),
		requests:  make(records[request]),
		tokens:    make(records[jitToken]),
		revoked:   make(records[revocation]),
		approvals: make(records[pushApproval]),
		ofTask:    make(map[string][]string),
		children:  make(map[string][]string),
	}
	st.tables = map[string]anyRecords{"task": st.tasks, "request": st.requests, "token": st.tokens, "revoked": st.revoked, "approval": st.approvals}
	return st
}

// apply takes a change that the store has taken.
func (st *state) apply(c *change) {
	for _, r := range c.put {
		if !st.tables[r.key().kind].put(r) {
			continue
		}
		switch r := r.(type) {
		case task:
			st.totals.Tasks++
			if r.Parent != "" {
				st.children[r.Parent] = append(st.children[r.Parent], r.ID)
			}
		case request:
			st.totals.Requests++
			st.ofTask[r.TaskID] = append(st.ofTask[r.TaskID], r.ID)
		case jitToken:
			st.totals.Tokens++
		}
	}
	for _, key := range c.forget {
		st.tables[key.kind].forget(key.id)
		if key.kind == "task" {
			delete(st.ofTask, key.id)
			delete(st.children, key.id)
		}
	}
}

// statusOf returns a request's state now. What its task's end, its window or its
// token's end took away reads expired.
func (st *state) statusOf(r *request, redemption time.Duration, now time.Time) status {
	t, known := st.tasks[r.TaskID]
	ended := !known || t.stateAt(now) != taskActive
	switch r.Status {
	case statusPending:
		if ended || !now.Before(r.ExpiresAt) {
			return statusExpired
		}
	case statusApproved:
		if r.TokenID == "" && (ended || !now.Before(r.DecidedAt.Add(redemption))) {
			return statusExpired
		}
	}
	return r.Status
}

// endTask adds to c what ending a task and everything below it takes: the tasks'
// new state, and the revocation of their tokens. Requests follow from their task. It
// returns the task as it is then.
func (st *state) endTask(c *change, t task, to taskState, now time.Time) task {
	t.State, t.EndedAt = to, now
	c.add(t)
	for _, id := range st.ofTask[t.ID] {
		if tok, ok := st.tokens[st.requests[id].TokenID]; ok && tok.liveAt(now) {
			tok.Revoked = true
			c.add(tok)
		}
	}
	for _, id := range st.children[t.ID] {
		if child, ok := st.tasks[id]; ok && child.stateAt(now) == taskActive {
			st.endTask(c, child, to, now)
		}
	}
	return t
}

// live reports whether a verified token has not been revoked, by itself or with
// its task.
func (st *state) live(v *verified, now time.Time) bool {
	if _, gone := st.revoked[v.ID]; gone {
		return false
	}
	if v.TokenUse != useJIT {
		return true
	}
	tok, ok := st.tokens[v.ID]
	return ok && st.liveToken(&tok, now)
}

// liveToken reports whether a JIT token is in force.
func (st *state) liveToken(tok *jitToken, now time.Time) bool {
	t, ok := st.tasks[tok.TaskID]
	return ok && t.stateAt(now) == taskActive && tok.liveAt(now)
}

// stale returns what to forget: tasks that ended before the limit or long before
// others, with all that hangs below them, and what has expired by itself.
func (st *state) stale(limit, now time.Time) []recordKey {
	var ended []task
	for _, t := range st.tasks {
		if t.stateAt(now) != taskActive {
			ended = append(ended, t)
		}
	}
	slices.SortFunc(ended, func(a, b task) int { return b.endedAt(now).Compare(a.endedAt(now)) })
	var keys []recordKey
	for i, t := range ended {
		if i < maxEnded && t.endedAt(now).After(limit) {
			continue
		}
		keys = append(keys, t.key())
		for _, id := range st.ofTask[t.ID] {
			r := st.requests[id]
			keys = append(keys, r.key())
			if tok, redeemed := st.tokens[r.TokenID]; redeemed {
				keys = append(keys, tok.key())
			}
		}
	}
	for _, r := range st.revoked {
		if !now.Before(r.ExpiresAt) {
			keys = append(keys, r.key())
		}
	}
	for _, a := range st.approvals {
		if !limit.Before(a.ExpiresAt) {
			keys = append(keys, a.key())
		}
	}
	return keys
}

// pending returns the requests that wait for a person, oldest first.
func (st *state) pending(redemption time.Duration, now time.Time) []request {
	return slices.DeleteFunc(byAge(st.requests), func(r request) bool {
		return st.statusOf(&r, redemption, now) != statusPending
	})
}

func (t task) created() time.Time    { return t.CreatedAt }
func (r request) created() time.Time { return r.CreatedAt }

// byAge returns records, oldest first.
func byAge[R interface {
	record
	created() time.Time
}](records map[string]R) []R {
	return slices.SortedFunc(maps.Values(records), func(a, b R) int {
		return cmp.Or(a.created().Compare(b.created()), cmp.Compare(a.key().id, b.key().id))
	})
}

// commit writes c to the store, then to memory. On an error memory is unchanged.
// The caller holds s.mu.
func (s *Server) commit(c *change) error {
	if len(c.put)+len(c.forget) == 0 {
		return nil
	}
	if s.store != nil {
		if err := s.store.write(c); err != nil {
			return err
		}
	}
	s.st.apply(c)
	return nil
}
