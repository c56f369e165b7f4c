package plan

import (
	"context"
	"errors"

	adk "google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/session"
)

// A talk is a conversation as far as it has been gone through.
type talk struct {
	said    []string
	past    []func(*policy.Conversation) // what came of calls
	task    string
	now     *policy.Conversation
	pending map[string]*genai.FunctionCall
}

// conversation judges the calls of a conversation anew, each task with what was known
// when it began.
func (r *replayer) conversation(ctx context.Context, store *session.Store, id string) error {
	if store == nil {
		return errors.New("no conversations are kept")
	}
	got, err := store.Get(ctx, &adk.GetRequest{AppName: cli.App, UserID: cli.User, SessionID: id})
	if err != nil {
		return err
	}
	t := talk{pending: map[string]*genai.FunctionCall{}}
	for ev := range got.Session.Events().All() {
		if ev.Content == nil {
			continue
		}
		t.said = append(t.said, runner.Said(ev)...)
		if t.now == nil || t.task != ev.InvocationID {
			t.begin(ev.InvocationID)
		}
		for _, p := range ev.Content.Parts {
			switch {
			case p == nil:
			case p.FunctionCall != nil:
				if c := r.calls[id+"\x00"+p.FunctionCall.ID]; c != nil && c.err == nil {
					t.pending[p.FunctionCall.ID] = p.FunctionCall
					r.judge(&t, c, p.FunctionCall)
				}
			case p.FunctionResponse != nil:
				if fc := t.pending[p.FunctionResponse.ID]; fc != nil {
					t.returned(r.calls[id+"\x00"+fc.ID], fc, p.FunctionResponse)
				}
			}
		}
	}
	return nil
}

// begin begins a task as the runner does: with what was said until now, and the calls of
// earlier ones.
func (t *talk) begin(task string) {
	t.task, t.now = task, new(policy.Conversation)
	for _, text := range t.said {
		t.now.Said(text)
	}
	for _, recall := range t.past {
		recall(t.now)
	}
	t.now.Task(task)
}

func (r *replayer) judge(t *talk, c *pastCall, fc *genai.FunctionCall) {
	v := t.now.Judge(c.Tool, *c.plan.Aim, fc.Args)
	switch made := v.Named() || v.Unnamed == policy.Allow; {
	case made && c.unnamed:
		r.differs(c, nil, "refused", "made", nil)
	case !made && !c.unnamed && v.Unnamed == policy.Ask:
		r.differs(c, nil, "made", "asked", errors.New(v.String()))
	case !made && !c.unnamed:
		r.differs(c, nil, "made", "refused", errors.New(v.String()))
	}
	if !v.Named() && !c.unnamed { // what followed, followed from it
		t.now.Allowed(c.Tool, fc.Args)
	}
}

// returned takes in what came of a call then.
func (t *talk) returned(c *pastCall, fc *genai.FunctionCall, fr *genai.FunctionResponse) {
	task, aim := t.task, *c.plan.Aim
	switch c.result {
	case jit.CallOK:
		t.now.Returned(aim, fr.Response)
	case jit.CallPending, jit.CallInDoubt:
	default:
		if !c.unnamed { // or else nothing was tried
			t.now.Failed(c.Tool, fc.Args)
		}
	}
	t.past = append(t.past, func(later *policy.Conversation) {
		later.Task(task)
		later.Counted(c.Tool, fc.Args)
		later.Returned(aim, fr.Response)
	})
}
