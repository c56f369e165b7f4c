package runner

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
)

// A place names a conversation.
type place struct {
	conversation
	fresh bool // nobody named it, so it is new
}

// place returns where the input belongs.
func (in Input) place(app string) place {
	p := place{conversation: conversation{app, cmp.Or(in.User, "user"), in.Session}}
	if p.session == "" {
		p.session, p.fresh = rand.Text(), true
	}
	return p
}

// name is how the journal names the conversation.
func (r *run) name() string {
	if r.r.cfg.ManyUsers {
		return r.place.String()
	}
	return r.place.session
}

// prepare creates the session, or repairs the one that is there. It returns how many
// events of it are shown to the model, or keptAll. A session that is named but unknown
// is created: ADK's services have no error for "not found" that could be told from
// others, so Create decides.
func (r *run) prepare(ctx context.Context) (history int, err error) {
	cfg, id := r.r.cfg, r.place.session
	var unread error
	if !r.place.fresh {
		got, err := cfg.Sessions.Get(ctx, &session.GetRequest{AppName: cfg.App, UserID: r.place.user, SessionID: id})
		if err == nil {
			r.naming.past = eventsOf(got.Session)
			history, err = kept(got.Session), r.mend(ctx, got.Session)
			if err == nil && !cfg.AllowUnnamed {
				err = r.unshown(ctx, got.Session)
			}
			if got.Session.Events().Len() == len(r.naming.past) { // otherwise the store knows better
				r.read = got
			}
			return history, err
		}
		if unread = err; r.in.resume || r.turn.resumed != nil {
			return 0, fmt.Errorf("runner: session %s: %w", id, err)
		}
	}
	_, err = cfg.Sessions.Create(ctx, &session.CreateRequest{AppName: cfg.App, UserID: r.place.user, SessionID: id})
	switch {
	case err != nil && unread != nil:
		return 0, fmt.Errorf("runner: session %s: %w (and it could not be read: %w)", id, err, unread)
	case err != nil:
		return 0, fmt.Errorf("runner: session %s: %w", id, err)
	}
	return keptAll, nil
}

// unshown reads the calls of a session that is not shown whole: they count, too.
func (r *run) unshown(ctx context.Context, s session.Session) (err error) {
	if kept(s) != keptAll {
		r.naming.older, err = r.r.cfg.Engine.Calls(ctx, r.name(), time.Time{})
	}
	return err
}

// mend makes a session fit to go on with: calls that will not be made have results
// that say so.
func (r *run) mend(ctx context.Context, s session.Session) error {
	if t := r.turn.resumed; t != nil {
		for _, o := range open(r.naming.past) {
			if slices.ContainsFunc(o.calls, func(fc *genai.FunctionCall) bool { return t.find(fc.ID) != nil }) {
				return r.inherit(ctx) // its open calls are those that wait
			}
		}
		// Whoever went on with it before got further, and is gone.
		r.over, r.claimed, r.turn.resumed = t, true, nil
	}
	if err := r.inherit(ctx); err != nil {
		return fmt.Errorf("runner: session %s: %w", s.ID(), err)
	}
	if err := r.repair(ctx, s); err != nil {
		return fmt.Errorf("runner: session %s: repair the history: %w", s.ID(), err)
	}
	r.settled = r.over
	if r.in.resume && ended(eventsOf(s)) {
		return fmt.Errorf("runner: session %s: %w", s.ID(), ErrNothingToResume)
	}
	return nil
}

// ended reports whether a conversation has nothing to go on with.
func ended(events []*session.Event) bool {
	n := len(events)
	return n == 0 || open(events) == nil && events[n-1].IsFinalResponse() && events[n-1].Author != genai.RoleUser
}

func eventsOf(s session.Session) []*session.Event { return slices.Collect(s.Events().All()) }

// unfinished fails for a session that has nothing to go on with, before a task is
// opened for it.
func (r *run) unfinished(ctx context.Context) error {
	got, err := r.r.cfg.Sessions.Get(ctx, &session.GetRequest{AppName: r.r.cfg.App, UserID: r.place.user, SessionID: r.place.session})
	if err == nil {
		if !ended(eventsOf(got.Session)) {
			return nil
		}
		err, r.settled = ErrNothingToResume, r.over
	}
	return fmt.Errorf("runner: session %s: %w", r.place.session, err)
}

// An openCall is an event with calls that have no result.
type openCall struct {
	event *session.Event
	calls []*genai.FunctionCall
}

// open returns the events whose calls have no results, in order. Stores may give events
// in another order than they came in, so results are not looked for behind their calls.
// A call that began the task of another agent is left out while that is at it: its id is
// the scope of that agent's events, and ADK leads messages there until it has finished.
func open(events []*session.Event) (list []openCall) {
	results := map[call]int{}
	finished := map[string]bool{} // the scopes of tasks, and whether they are over
	for _, ev := range events {
		scope := ev.IsolationScope
		finished[scope] = finished[scope] || scope == ""
		for _, fr := range parts(ev) {
			if fr == nil {
				continue
			}
			results[call{fr.ID, fr.Name}]++
			if fr.Name == "finish_task" && fr.Response["error"] == nil {
				finished[scope] = true
			}
		}
	}
	for _, ev := range events {
		o := openCall{event: ev}
		for fc := range parts(ev) {
			if fc == nil {
				continue
			}
			if id := (call{fc.ID, fc.Name}); results[id] > 0 {
				results[id]--
			} else if over, task := finished[fc.ID]; over || !task {
				o.calls = append(o.calls, fc)
			}
		}
		if o.calls != nil {
			list = append(list, o)
		}
	}
	return list
}

// inherit reads what is known of the calls of earlier runs: of those that are open, and
// when their turn is gone on with, of all since the person spoke last.
func (r *run) inherit(ctx context.Context) error {
	var since time.Time
	for _, o := range open(r.naming.past) {
		if at := o.event.Timestamp; since.IsZero() || at.Before(since) {
			since = at
		}
	}
	if r.in.resume {
		for _, ev := range r.naming.past {
			if Said(ev) != nil {
				since = ev.Timestamp
			}
		}
	}
	if since.IsZero() {
		return nil
	}
	var err error
	r.earlier, err = r.r.cfg.Engine.Calls(ctx, r.name(), since.Truncate(time.Microsecond)) // which is what stores keep
	if err != nil {
		return err
	}
	if r.in.resume && !r.taken {
		r.task.Inherit(r.earlier)
	}
	r.recount()
	return nil
}

// recount counts the calls that ended in an earlier process, as far as the task has
// told of them. Those that were suspended are not in the conversation yet.
func (r *run) recount() {
	for _, ev := range r.naming.past {
		var made []call
		for _, fr := range parts(ev) {
			if fr != nil {
				made = append(made, call{fr.ID, fr.Name})
			}
		}
		r.outcome.recall(made...)
	}
	if r.turn.resumed == nil {
		return
	}
	for _, c := range r.turn.resumed.Calls {
		if c.Result != nil {
			r.outcome.recall(call{c.CallID, c.Tool})
		}
	}
}

// repair gives every call of the history that has no result one that says so.
// An interrupted run leaves such calls, and strict providers refuse a history that has
// them. Each event of calls gets one event of results, of its own agent, branch,
// invocation and scope; the innermost first, whose results come before those of the
// calls that led to it.
func (r *run) repair(ctx context.Context, s session.Session) error {
	var budget []*session.Event // of the calls that may have done something
	for _, o := range slices.Backward(open(r.naming.past)) {
		content, sent := &genai.Content{Role: genai.RoleUser}, &genai.Content{}
		for _, fc := range o.calls {
			fr, made, err := r.lost(fc)
			if err != nil {
				return err
			}
			part := &genai.Part{FunctionResponse: fr}
			content.Parts = append(content.Parts, part)
			if made {
				sent.Parts = append(sent.Parts, part)
			}
		}
		ev := session.NewEvent(ctx, o.event.InvocationID)
		ev.Author, ev.Branch, ev.IsolationScope = o.event.Author, o.event.Branch, o.event.IsolationScope
		ev.Content = content
		if err := r.r.cfg.Sessions.AppendEvent(ctx, s, ev); err != nil {
			return err
		}
		counted := *ev
		counted.Content = sent
		budget = append(budget, &counted)
	}
	r.naming.past = append(r.naming.past, budget...)
	return nil
}

// lost returns the result of a call that an earlier run left open: the one that a
// suspended run held back, or else what is known of it; and whether it counts as
// made, besides those that are let through again.
func (r *run) lost(fc *genai.FunctionCall) (fr *genai.FunctionResponse, made bool, err error) {
	fr = &genai.FunctionResponse{ID: fc.ID, Name: fc.Name}
	result, made := jit.Result{
		Status:  jit.CallInDoubt,
		Message: "the run was interrupted before this call's result was recorded; whether it took effect is not known",
	}, true
	var c *SuspendedCall
	if r.over != nil {
		if c = r.over.find(fc.ID); c != nil && c.Result != nil {
			r.outcome.recall(call{fc.ID, fc.Name})
			return fr, true, json.Unmarshal(c.Result, fr)
		}
	}
	calls := slices.DeleteFunc(slices.Clone(r.earlier), func(e jit.Entry) bool { return e.CallID != fc.ID })
	known := slices.ContainsFunc(calls, func(e jit.Entry) bool { // to send its requests through jit.Transport
		return e.Kind == jit.EntryRefused || e.Kind == jit.EntryUse || e.Kind == jit.EntryCallSent
	})
	if known || c != nil { // of what a later turn sent in other ways, nothing is known
		if result, made = r.interrupted(jit.Effects(calls)); !made && c != nil && !r.claimed {
			result = jit.Result{Status: jit.CallDenied, Message: "nobody decided and went on with it, so this call was not made", RequestID: c.RequestID, Risk: c.Risk}
		}
	}
	if known && made && r.in.resume { // it was let through: made again, it is answered as it was
		r.naming.sent, made = append(r.naming.sent, fc), false
	}
	fr.Response = jitmw.Shown(result)
	if result.Status == jit.CallOK {
		fr.Response = map[string]any{"status": string(result.Status), "note": result.Message, "advice": result.Advice}
		result.Message = ""
	}
	if r.in.resume {
		r.outcome.lost(call{fc.ID, fc.Name}, result)
		r.mended = append(r.mended, ToolReturned{
			Time: time.Now(), CallID: fc.ID, Tool: fc.Name, Status: result.Status, Error: result.Message, RequestID: result.RequestID, Result: fr.Response,
		})
	}
	return fr, made, nil
}

// interrupted returns what came of a call whose process is gone, by the effects that it
// sent, if there are any: it is in doubt only where one of those is.
func (r *run) interrupted(effects []jit.Entry) (result jit.Result, sent bool) {
	const interrupted = "the run was interrupted before this call had a result; "
	result = jit.Result{
		Status: jit.CallFailed, Message: interrupted + "no request that may have changed something is known", Advice: "Make the call again if it is still wanted.",
	}
	for _, e := range effects {
		switch {
		case e.Outcome == jit.OutcomeInDoubt:
			if event := (jit.LeftInDoubt{
				About: jit.About{Time: time.Now(), TaskID: e.TaskID, CallID: e.CallID, Tool: e.Tool}, Method: e.Method, URL: e.URL, IdempotencyKey: e.IdempotencyKey,
				Error: cmp.Or(e.Error, "the process that sent it is gone"),
			}); !r.in.resume && !r.taken { // or else the task has told
				r.outcome.see(event)
				r.mended = append(r.mended, event)
			}
			return jit.Result{
				Status: jit.CallInDoubt, Message: interrupted + "whether it took effect is not known",
				Advice: "Do not make the call again: say in your answer that it may have happened and has to be checked.",
			}, true
		case e.Outcome == jit.OutcomeAnswered && (e.HTTPStatus/100 == 2 || e.HTTPStatus == http.StatusSeeOther):
			result, sent = jit.Result{
				Status: jit.CallOK, Message: fmt.Sprintf("%sit took effect: the API answered it with HTTP status %d, and the rest of the answer is lost", interrupted, e.HTTPStatus),
				Advice: "Do not make the call again: say in your answer that it was done.",
			}, true
		case e.Outcome == jit.OutcomeAnswered:
			result, sent = jit.Result{Status: jit.CallFailed, Message: fmt.Sprintf("%sthe API had answered it with HTTP status %d", interrupted, e.HTTPStatus)}, true
		}
	}
	return result, sent
}
