package main

import (
	"context"
	"errors"
	"regexp"
	"sync"

	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/rar"
)

// This file is what is new: each tool gets a ceiling, each conversation a task.

var ticketID = regexp.MustCompile(`^tck_[0-9]{1,10}$`)

// guard wraps a tool whose calls may take one action on the ticket that they name.
func guard(t tool.Tool, action string, origin jit.Origin) (tool.Tool, error) {
	return jitmw.Wrap(t, jitmw.Config{Plan: func(args map[string]any) (jitmw.Plan, error) {
		id, ok := args["id"].(string)
		if !ok || !ticketID.MatchString(id) {
			return jitmw.Plan{}, errors.New("id must be a ticket's number such as tck_7")
		}
		return jitmw.Plan{
			Ceiling: []rar.Detail{{
				Type: "ticket", Actions: []string{action}, Identifier: id, Locations: []string{origin.String()},
			}},
			Justification: action + " ticket " + id,
		}, nil
	}})
}

// A conversation is named by its user and session: both, since session ids of
// different users may be equal.
type conversation struct{ user, session string }

// Tasks keeps the JIT task of each conversation. What one of them was granted
// serves no other. It is safe for concurrent use.
type tasks struct {
	engine  *jit.Engine
	observe func(conversation, jit.Event)

	mu   sync.Mutex
	open map[conversation]*jit.Task
}

// of returns the conversation's task, opening it with the first message.
func (t *tasks) of(ctx context.Context, c conversation) *jit.Task {
	t.mu.Lock()
	defer t.mu.Unlock()
	task := t.open[c]
	if task == nil {
		task = t.engine.Start(ctx, jit.TaskSpec{Name: "support desk, " + c.user, Session: c.session}, func(e jit.Event) { t.observe(c, e) })
		if t.open == nil {
			t.open = map[conversation]*jit.Task{}
		}
		t.open[c] = task
	}
	return task
}

// end completes the conversation's task, if it has one. After a failure it can be
// called again.
func (t *tasks) end(ctx context.Context, c conversation) error {
	t.mu.Lock()
	task := t.open[c]
	t.mu.Unlock()
	if task == nil {
		return nil
	}
	// A user who leaves cancels ctx. That must not keep authority alive.
	if err := task.Complete(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[c] == task {
		delete(t.open, c)
	}
	return nil
}

// close ends all conversations: call it when the program stops.
func (t *tasks) close(ctx context.Context) error {
	t.mu.Lock()
	var all []conversation
	for c := range t.open {
		all = append(all, c)
	}
	t.mu.Unlock()
	var errs []error
	for _, c := range all {
		errs = append(errs, t.end(ctx, c))
	}
	return errors.Join(errs...)
}
