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
	"google.golang.org/adk/v2/tool"
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

// mend makes a session fit to go on with: calls that an earlier process was at are gone on
// with, and those that will not be have results that say so.
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
	if gone, err := r.takeUp(); gone || err != nil {
		return err
	}
	if err := r.repair(ctx, s); err != nil {
		return fmt.Errorf("runner: session %s: repair the history: %w", s.ID(), err)
	}
	r.settled = r.over
	if r.in.resume && r.killed == nil && ended(eventsOf(s)) {
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

// maxSkew is how far the clock of a process that made a call again may be behind that of
// the one whose model had it made.
const maxSkew = 5 * time.Minute

// inherit reads what is known of the calls of earlier runs: of those that are open, and
// when their turn is gone on with, of all since the person spoke last.
func (r *run) inherit(ctx context.Context) error {
	var since time.Time
	at := map[string]bool{} // the calls that are open
	for _, o := range open(r.naming.past) {
		if at := o.event.Timestamp; since.IsZero() || at.Before(since) {
			since = at
		}
		for _, fc := range o.calls {
			at[fc.ID] = true
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
	since = since.Truncate(time.Microsecond) // which is what stores keep
	all, err := r.r.cfg.Engine.Calls(ctx, r.name(), since.Add(-maxSkew))
	if err != nil {
		return err
	}
	r.earlier = slices.DeleteFunc(all, func(e jit.Entry) bool { return e.Time.Before(since) && !at[e.CallID] })
	if r.in.resume && r.task != nil && !r.taken {
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
			c, err := r.came(fc)
			if err != nil {
				return err
			}
			part := &genai.Part{FunctionResponse: &genai.FunctionResponse{ID: fc.ID, Name: fc.Name, Response: c.shown}}
			content.Parts = append(content.Parts, part)
			switch {
			case c.kept:
				r.outcome.recall(call{fc.ID, fc.Name})
			case r.in.resume:
				r.outcome.lost(call{fc.ID, fc.Name}, c.result)
				r.mended = append(r.mended, ToolReturned{
					Time: time.Now(), CallID: fc.ID, Tool: fc.Name, Status: c.result.Status, Error: c.result.Message, RequestID: c.result.RequestID, Result: c.shown,
				})
			}
			if c.made && !r.passed(fc, c) {
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

// takeUp has the run go on with the calls that an earlier process was at when it ended, if
// the conversation ends with those: a model that is told of a call that was cut off may
// leave it at that, and the person did not. They are handed to ADK once more, and each that
// had no effect is made; what came of the others is their result. A call passes the gate
// again, since a conversation is not what a suspension is: clients may write to it.
func (r *run) takeUp() (gone bool, err error) {
	list, past := open(r.naming.past), r.naming.past
	if len(list) != 1 || !r.in.resume || r.drops || !r.r.cfg.Engine.CanSuspend() {
		return false, nil
	}
	o := list[0]
	first := slices.IndexFunc(past, func(ev *session.Event) bool {
		return ev.InvocationID == o.event.InvocationID && ev.Author != genai.RoleUser
	})
	if first < 0 || o.event != past[len(past)-1] || o.event.Author != past[first].Author || o.event.Branch != "" || o.event.IsolationScope != "" {
		return false, nil // ADK would not come back to the agent
	}
	s := r.callsOf(o.event)
	if t := r.over; t != nil && t.find(o.calls[0].ID) != nil {
		kept := *t
		kept.Run, kept.Calls, kept.Until = r.task.Run(), slices.Clone(t.Calls), time.Time{}
		s = &kept
	}
	if s == nil || len(s.Calls) != len(o.calls) || s.Waiting() == nil {
		return false, nil
	}
	all := map[string]came{}
	for _, fc := range o.calls {
		c, err := r.came(fc)
		switch {
		case err != nil:
			return false, err
		case !c.kept:
			r.passed(fc, c)
			all[fc.ID] = c
		}
	}
	r.turn.resumed, r.turn.came = s, all
	r.recount()
	return true, nil
}

// answered returns what came of a call that an earlier process was at, nil for one that is
// made. Where nothing is known of it, it is made if its tool works on an API: nothing is
// sent to that before the journal has it.
func (r *run) answered(id string, t tool.Tool, args map[string]any) map[string]any {
	c, open := r.turn.came[id]
	if !open || c.again {
		return nil
	}
	if o, _ := jitmw.OutlineOf(t); !c.known && c.result.Status == jit.CallInDoubt && o.Origin != "" {
		return nil
	}
	if c.made && !c.known && r.naming.gate != nil {
		r.naming.gate.Count(t.Name(), args)
	}
	r.outcome.end(id, c.result)
	return c.shown
}

// passed notes of a call that was sent that it was let through: made again, it is answered
// as it was.
func (r *run) passed(fc *genai.FunctionCall, c came) bool {
	if !c.made || !c.known || !r.in.resume {
		return false
	}
	r.naming.sent = append(r.naming.sent, fc)
	return true
}

// A came is what came of a call that an earlier run left open.
type came struct {
	result jit.Result
	shown  map[string]any // to the model
	made   bool           // it may have taken effect
	known  bool           // by what the journal has of its requests
	kept   bool           // by what a suspended run held back
	again  bool           // it had no effect, and nobody said no to it
}

// came returns what came of a call that an earlier run left open: what a suspended run
// held back, or else what is known of it.
func (r *run) came(fc *genai.FunctionCall) (c came, err error) {
	var waited *SuspendedCall
	if r.over != nil {
		if waited = r.over.find(fc.ID); waited != nil && waited.Result != nil {
			fr := &genai.FunctionResponse{}
			err = json.Unmarshal(waited.Result, fr)
			return came{result: r.outcome.of(fc.ID), shown: fr.Response, made: true, kept: true}, err
		}
	}
	calls := slices.DeleteFunc(slices.Clone(r.earlier), func(e jit.Entry) bool { return e.CallID != fc.ID })
	c.known = waited != nil || slices.ContainsFunc(calls, func(e jit.Entry) bool { // to send its requests through jit.Transport
		return e.Kind == jit.EntryRefused || e.Kind == jit.EntryUse || e.Kind == jit.EntryCallSent
	})
	if c.known {
		c.result, c.made = r.interrupted(jit.Effects(calls))
	} else {
		c.made, c.result = true, jit.Result{
			Status:  jit.CallInDoubt,
			Message: "the run was interrupted before this call's result was recorded; whether it took effect is not known",
		}
	}
	switch said := r.outcome.of(fc.ID); {
	case c.known && c.made:
	case said.Status == jit.CallDenied:
		c.result, c.made = said, false
	case waited != nil && !r.claimed:
		c.result = jit.Result{Status: jit.CallDenied, Message: "nobody decided and went on with it, so this call was not made", RequestID: waited.RequestID, Risk: waited.Risk}
	default:
		c.again = c.known
	}
	if c.shown = jitmw.Shown(c.result); c.result.Status == jit.CallOK {
		c.shown = map[string]any{"status": string(c.result.Status), "note": c.result.Message, "advice": c.result.Advice}
		c.result.Message = ""
	}
	return c, nil
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
