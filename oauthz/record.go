package oauthz

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// A record is what the vault keeps of a request: what it takes to end it.
type record struct {
	Detail    rar.Detail      `json:"detail"`
	Sent      time.Time       `json:"sent"`                  // the request, or the poll that was answered
	AuthReqID string          `json:"auth_req_id,omitempty"` // whoever has it and is the client may redeem
	ExpiresAt time.Time       `json:"expires_at,omitzero"`   // of the user's time to decide
	Redeem    url.Values      `json:"redeem,omitempty"`      // a code that the user brought, and what proves that it is ours
	Server    *place          `json:"server,omitempty"`      // where it was asked for; nil for the configured one
	Interval  time.Duration   `json:"interval,omitzero"`
	Polled    bool            `json:"polled,omitzero"` // at least once, so that a token may have been issued
	Spent     bool            `json:"spent,omitzero"`  // the answer to a poll was lost: there is no other
	Answer    json.RawMessage `json:"answer,omitzero"` // with the token
	Key       string          `json:"jkt,omitzero"`    // thumbprint of the key that the token is bound to
}

// mayLast is until when a token may be valid whose answer was lost.
func (r record) mayLast(life time.Duration) time.Time {
	at := r.Sent
	if r.AuthReqID != "" {
		at = r.ExpiresAt
		if now := time.Now(); now.Before(at) {
			at = now
		}
	}
	return at.Add(life)
}

// A request is one that this process works on. One call about it is made at a time.
type request struct {
	mu sync.Mutex
	record
	next  time.Time     // when it may be polled again
	login *login        // that is waited for, as long as it has brought nothing
	token secret.String // that was handed out; guarded by Client.mu
}

// split returns the task of a request and its name in the vault, by its id.
func split(id string) (task, name string) {
	task, name, _ = strings.Cut(id, ".")
	return task, name
}

// keep keeps what is known of a request; it is on disk when keep returns.
func (c *Client) keep(ctx context.Context, id string, r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	task, name := split(id)
	return c.cfg.Vault.Put(ctx, task, name, text)
}

// find returns a request, from the vault if another process made it.
func (c *Client) find(ctx context.Context, id string) (*request, error) {
	c.mu.Lock()
	q := c.requests[id]
	c.mu.Unlock()
	if q != nil {
		return q, nil
	}
	task, name := split(id)
	records, err := c.cfg.Vault.Load(ctx, task)
	if err == nil && records[name] == nil {
		err = fmt.Errorf("no such request: %w", jit.ErrSpent)
	}
	q = &request{}
	if err == nil {
		err = json.Unmarshal(records[name], &q.record)
	}
	if err != nil {
		return nil, &Error{Op: opPoll, cause: err}
	}
	q.Spent = q.Spent || q.Redeem != nil // by a process that is gone
	return c.hold(id, q), nil
}

// hold returns the request that this process knows by an id, q if there is none.
func (c *Client) hold(id string, q *request) *request {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := c.requests[id]; have != nil {
		return have
	}
	c.requests[id] = q
	return q
}
