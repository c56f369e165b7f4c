package a2a

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/a2aproject/a2a-go/v2/a2a"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/approval"
	"github.com/jitagent/jitagent/state/journal"
)

// decide makes decisions about what a task waits for. All are checked before any is made, and
// one that was made before, in the same way, stands: a message may come twice. goOn says that
// something was decided, also where an error says what was not.
func (h *Handler) decide(ctx context.Context, at place, t *task, list []decision) (goOn bool, err error) {
	if len(list) > 0 && !h.turns.Decides(ctx) {
		return false, a2a.NewError(a2a.ErrUnauthorized, approval.ErrMayNot.Error())
	}
	all, err := h.asked(ctx, t)
	if err != nil {
		return false, err
	}
	open := map[string]approval.Decision{} // by the ids that hitl has of their requests
	for _, d := range list {
		i := slices.IndexFunc(all, func(r asked) bool { return r.id == d.ID })
		if i < 0 {
			if goOn, err := h.made(ctx, at, t, all, d); err != nil {
				return goOn, err
			}
			continue
		}
		how := approval.Decision{Approve: *d.Approved, Digest: all[i].Digest(), Reason: "over A2A", Message: d.Reason}
		if err := h.turns.Rights.Check(ctx, all[i].Request, how); err != nil {
			return false, h.refusal(ctx, all[i].ID, err)
		}
		open[d.ID] = how
	}
	var made, not []string
	var code error
	for _, d := range list {
		how, ok := open[d.ID]
		if !ok {
			continue
		}
		err := h.turns.Decider.Decide(ctx, d.request(), how)
		if errors.Is(err, approval.ErrDecided) { // somebody was quicker, maybe with the same message
			_, err = h.made(ctx, at, t, nil, d)
		}
		if err == nil || errors.Is(err, approval.ErrOneMore) { // which is noted
			made = append(made, d.request())
			continue
		}
		refused := h.refusal(ctx, d.request(), err)
		code, not = cmp.Or(code, refused.Err), append(not, refused.Message)
	}
	if code == nil {
		return true, nil
	}
	if len(made) > 0 {
		not = append(not, "request "+strings.Join(made, ", ")+": decided, and that counts")
	}
	return len(made) > 0, a2a.NewError(code, strings.Join(not, "; "))
}

// request returns the id of the request that a decision is about.
func (d decision) request() string {
	id, _, _ := strings.Cut(d.ID, ".")
	return id
}

// refusal says which request was not decided, and why, by a code that says whose fault it is.
func (h *Handler) refusal(ctx context.Context, id string, err error) *a2a.Error {
	for known, code := range map[error]error{
		approval.ErrMayNot: a2a.ErrUnauthorized, approval.ErrOwn: a2a.ErrUnauthorized,
		approval.ErrUnreadable: a2a.ErrInvalidParams, approval.ErrDecided: a2a.ErrInvalidParams, approval.ErrOtherRequest: a2a.ErrInvalidParams,
	} {
		if errors.Is(err, known) {
			return a2a.NewError(code, "request "+id+": not decided: "+known.Error())
		}
	}
	told, ok := errors.AsType[*a2a.Error](err)
	if !ok {
		told = a2a.NewError(a2a.ErrInternalError, "request "+id+": not decided: "+h.turns.Told(ctx, err).Text)
	}
	return told
}

// made fails for a decision about what is none of all that a task asks, but for one that was
// made before, in the same way, as far as the journal knows. While no run has read what was
// decided nobody knows: then the message may come again, and goOn says so.
func (h *Handler) made(ctx context.Context, at place, t *task, all []asked, d decision) (goOn bool, err error) {
	id := d.request()
	status, err := h.decided(ctx, at, id)
	switch about := func(w runner.Waiting) bool { return w.RequestID == id }; {
	case err != nil:
		return false, err
	case status == jit.StatusApproved && *d.Approved, status == jit.StatusDenied && !*d.Approved:
		return false, nil
	case status != jit.StatusUnknown:
		return false, invalid("request %s: not decided: it was %s before", id, status)
	case t.Status.State.Terminal():
		return false, over()
	case t.waits == nil:
		return false, working()
	case slices.ContainsFunc(t.waits.Waiting(), about) && !slices.ContainsFunc(all, func(r asked) bool { return about(r.call) }):
		return true, busy("request " + id + ": it was decided a moment ago: send the message again")
	}
	return false, invalid("decisions: what an id stands for does not wait for one: get the task again")
}

// recent is how many of a session's runs are looked at for what was decided.
const recent = 8

// decided returns what was decided about a request of a session, as its journal has it;
// unknown where it does not.
func (h *Handler) decided(ctx context.Context, at place, request string) (jit.Status, error) {
	if h.turns.Journal == nil {
		return jit.StatusUnknown, nil
	}
	runs, err := h.turns.Journal.Tasks(ctx, journal.TaskFilter{Session: runner.SessionName(h.app, at.user, at.session), Newest: recent})
	if err != nil {
		return jit.StatusUnknown, err
	}
	for _, run := range runs {
		for e, err := range h.turns.Journal.Query(ctx, journal.Filter{Run: run.Run, Kinds: []jit.EntryKind{jit.EntryDecision}}) {
			if err != nil || e.RequestID == request && e.Status != jit.StatusPending {
				return e.Status, err
			}
		}
	}
	return jit.StatusUnknown, nil
}
