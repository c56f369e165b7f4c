package a2a

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/a2aproject/a2a-go/v2/a2a"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/approval"
)

// hitl names the extension by which what waits is told and decided.
const hitl = "https://kagent.dev/extensions/hitl/v1"

// A toolRequest is what hitl has of a call that waits.
type toolRequest struct {
	ID     string         `json:"id"` // of the request, and the digest of what is shown
	CallID string         `json:"call_id"`
	Name   string         `json:"name"`
	Args   map[string]any `json:"args"`
}

// awaits tells what its user can do for a task that waits: decide here, or nothing but see
// that somebody decides elsewhere, after which it goes on: in-task authorization, in A2A.
func (h *Handler) awaits(ctx context.Context, t *task) a2a.TaskState {
	unnamed := func(w runner.Waiting) bool { return w.Unnamed != "" } // until its user can be asked
	if h.turns.Decides(ctx) || slices.ContainsFunc(t.waits.Waiting(), unnamed) {
		return a2a.TaskStateInputRequired
	}
	return a2a.TaskStateAuthRequired
}

// asks says in words what a task waits for.
func (h *Handler) asks(t *task) *a2a.Message {
	var text strings.Builder
	text.WriteString("Waiting for a person's decision:")
	waiting := t.waits.Waiting()
	for _, w := range waiting {
		fmt.Fprintf(&text, "\n- %s (request %s, risk %s)", w.Tool, cmp.Or(w.RequestID, "none yet"), cmp.Or(w.Risk, "unknown"))
		if w.DecideAt != "" {
			text.WriteString(": " + w.DecideAt)
		}
	}
	same, _ := json.Marshal(waiting) // texts and times
	sum := sha256.Sum256(same)
	return t.message(a2a.MessageRoleAgent, string(t.ID)+"."+hex.EncodeToString(sum[:8]), a2a.NewTextPart(text.String()))
}

// An asked is a request that a task waits for.
type asked struct {
	id   string // that hitl has of it
	call runner.Waiting
	approval.Request
}

// asked returns the requests that a task waits for, in the order of its calls.
func (h *Handler) asked(ctx context.Context, t *task) (all []asked, err error) {
	if t.waits == nil {
		return nil, nil
	}
	pending, _, err := h.turns.Decider.Pending(ctx)
	for _, w := range t.waits.Waiting() {
		i := slices.IndexFunc(pending, func(r approval.Request) bool { return r.ID == w.RequestID })
		if i >= 0 && !slices.ContainsFunc(all, func(r asked) bool { return r.ID == w.RequestID }) { // calls may share one
			all = append(all, asked{pending[i].ID + "." + pending[i].Digest(), w, pending[i]})
		}
	}
	return all, err
}

// request adds to a task that waits what its user may decide.
func (h *Handler) request(ctx context.Context, t *task) error {
	if t.Status.State != a2a.TaskStateInputRequired || !h.turns.Decides(ctx) {
		return nil
	}
	all, err := h.asked(ctx, t)
	if err != nil || len(all) == 0 {
		return err
	}
	var hint []string
	list := []toolRequest{}
	for _, r := range all {
		hint = append(hint, r.Text())
		args := map[string]any{}
		_ = strictjson.AsWritten(r.Args, &args) // what is no object is in the hint
		args, _ = strictjson.NumbersAsText(strictjson.Numbers(args)).(map[string]any)
		list = append(list, toolRequest{r.id, r.call.CallID, r.call.Tool, args})
	}
	t.Status.Message.Extensions = []string{hitl}
	t.Status.Message.Metadata = map[string]any{hitl: map[string]any{"type": "tool_approval_request", "hint": strings.Join(hint, "\n"), "tools": list}}
	return nil
}

// A decision is about one request.
type decision struct {
	ID       string `json:"id"`
	Approved *bool  `json:"approved"`
	Reason   string `json:"rejection_reason"`
}

// maxDecisions is how many a message has at most.
const maxDecisions = 100

// decisionsIn returns the decisions that a message has; nil where it has none to make.
func decisionsIn(m *a2a.Message) ([]decision, error) {
	said, ok := m.Metadata[hitl]
	if !ok {
		return nil, nil
	}
	if !slices.Contains(m.Extensions, hitl) {
		return nil, invalid("the message has decisions, but does not name the extension %s", hitl)
	}
	var response struct {
		Type      string     `json:"type"`
		Approvals []decision `json:"approvals"`
	}
	text, err := json.Marshal(said)
	if err == nil {
		err = strictjson.Exact(text, &response)
	}
	if err != nil {
		return nil, invalid("decisions: %v", err)
	}
	if response.Type != "tool_approval_response" {
		return nil, invalid("decisions: the type is tool_approval_response")
	}
	if len(response.Approvals) > maxDecisions {
		return nil, invalid("decisions: a message has up to %d", maxDecisions)
	}
	made, seen := []decision{}, map[string]bool{}
	for _, d := range response.Approvals {
		switch {
		case d.Approved == nil:
			continue // nothing is decided by saying nothing
		case d.ID == "" || seen[d.ID]:
			return nil, invalid("decisions: each is about another id")
		case *d.Approved && d.Reason != "":
			return nil, invalid("decisions: what is approved is not rejected for a reason")
		case len(d.Reason) > approval.MaxMessage:
			return nil, invalid("decisions: a reason is up to %d bytes", approval.MaxMessage)
		}
		seen[d.ID] = true
		made = append(made, d)
	}
	return made, nil
}
