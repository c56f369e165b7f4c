package oauthz

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
)

// taskRecord names the record of a task itself.
const taskRecord = "task"

// CreateTask implements [jit.Authority]. The task is this package's own: the server
// hears nothing of it.
func (c *Client) CreateTask(ctx context.Context, spec jit.TaskSpec) (jit.TaskInfo, error) {
	id := "oz_" + rand.Text()
	record, err := json.Marshal(spec)
	if err == nil {
		err = c.cfg.Vault.Put(ctx, id, taskRecord, record)
	}
	if err != nil {
		return jit.TaskInfo{}, &Error{Op: "open a task", cause: err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tasks[id] = spec
	return jit.TaskInfo{ID: id}, nil
}

// spec returns what a task is for.
func (c *Client) spec(ctx context.Context, task string) (spec jit.TaskSpec, err error) {
	c.mu.Lock()
	spec, ok := c.tasks[task]
	c.mu.Unlock()
	if ok {
		return spec, nil
	}
	records, err := c.cfg.Vault.Load(ctx, task)
	if err == nil {
		err = json.Unmarshal(records[taskRecord], &spec)
	}
	return spec, err
}

// CompleteTask implements [jit.Authority]: it revokes whatever the vault has of the
// task. A request whose last poll may have brought a token that nobody has is polled
// once more, to revoke that: many servers do so by themselves when a request is redeemed
// twice. What cannot be revoked, or may have been issued and is not known, is counted in
// a [*jit.ExpiringError].
func (c *Client) CompleteTask(ctx context.Context, task string) error {
	const op = "end the task"
	records, err := c.cfg.Vault.Load(ctx, task)
	if err != nil {
		return &Error{Op: op, cause: err}
	}
	left := &jit.ExpiringError{}
	for name, text := range records {
		if name == taskRecord {
			continue
		}
		var r record
		if err := json.Unmarshal(text, &r); err != nil {
			return &Error{Op: op, cause: errors.New("a record of it cannot be read")}
		}
		until, err := c.end(ctx, r, task)
		if err != nil {
			return err
		}
		if until.After(time.Now()) {
			left.Tokens++
			if until.After(left.Until) {
				left.Until = until
			}
		}
	}
	if err := c.cfg.Vault.Drop(ctx, task); err != nil {
		return &Error{Op: op, cause: err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.tasks, task)
	delete(c.keys, task)
	maps.DeleteFunc(c.requests, func(id string, q *request) bool {
		of := strings.HasPrefix(id, task+".")
		if of && q.login != nil {
			c.receiver.drop(q.login)
		}
		return of
	})
	if left.Tokens > 0 {
		return left
	}
	return nil
}

// end takes back what came of a request, and returns until when something of it may be
// valid all the same; zero for nothing.
func (c *Client) end(ctx context.Context, r record, task string) (until time.Time, err error) {
	c, err = c.at(r.Server)
	if err != nil {
		return time.Time{}, err
	}
	asked := r.AuthReqID != "" || r.Redeem != nil // and not issued at once
	if r.Answer == nil && asked && r.Polled {
		answer, _, err := c.redeem(ctx, &r, task)
		e, refused := errors.AsType[*Error](err)
		switch {
		case err == nil:
			r.Answer = answer
		case refused && (e.Code == codePending || e.Code == codeSlowDown || e.Code == codeDenied):
			return time.Time{}, nil // whatever is decided later, nobody redeems it
		case refused && e.refused():
			return r.mayLast(c.cfg.MaxLifetime), nil
		default:
			return time.Time{}, err
		}
	}
	switch {
	case r.Answer != nil:
		return c.dispose(ctx, r)
	case asked:
		return time.Time{}, nil // never redeemed
	}
	return r.mayLast(c.cfg.MaxLifetime), nil
}

// dispose revokes the tokens of an answer. One that cannot be revoked is no error.
func (c *Client) dispose(ctx context.Context, r record) (until time.Time, err error) {
	o, err := oauth.Decode(r.Answer)
	if err != nil {
		return r.mayLast(c.cfg.MaxLifetime), nil // and there is no token to revoke
	}
	for _, t := range []struct{ member, hint string }{{"refresh_token", "refresh_token"}, {"access_token", "access_token"}} {
		token := o.Text(t.member)
		if token == "" {
			continue
		}
		if err := c.revoke(ctx, token, t.hint); errors.Is(err, errNoRevocation) {
			until = r.Sent.Add(c.cfg.MaxLifetime)
			if life, said, err := o.Seconds("expires_in"); said && err == nil {
				until = r.Sent.Add(life)
			}
		} else if err != nil {
			return time.Time{}, err
		}
	}
	return until, nil
}

// Memory returns a vault that ends with the process, or when nobody has it.
func Memory() Vault { return &memory{tasks: map[string]map[string][]byte{}} }

type memory struct {
	mu    sync.Mutex
	tasks map[string]map[string][]byte
}

func (m *memory) Put(_ context.Context, task, name string, record []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tasks[task] == nil {
		m.tasks[task] = map[string][]byte{}
	}
	m.tasks[task][name] = record
	return nil
}

func (m *memory) Load(_ context.Context, task string) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	records, ok := m.tasks[task]
	if !ok {
		return nil, fmt.Errorf("no record of the task is left: %w", fs.ErrNotExist)
	}
	return maps.Clone(records), nil
}

func (m *memory) Drop(_ context.Context, task string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tasks[task] = map[string][]byte{}
	return nil
}
