package plan

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/session"
)

// A replayer decides anew about calls that were made.
type replayer struct {
	build func(api *url.URL) ([]tool.Tool, error)
	api   *url.URL
	kits  map[string][]tool.Tool // by the address of their API
	calls map[string]*pastCall   // by session and id
	found replayView
}

// A replayView is what --replay prints as JSON.
type replayView struct {
	Tasks int `json:"tasks"`
	Calls int `json:"calls"`
	// Unheard counts the tasks whose conversation is not kept: it cannot be told what was
	// named in them.
	Unheard     int          `json:"unheard"`
	Differences []difference `json:"differences"`
}

// A difference is a decision that would be another one.
type difference struct {
	Task   string          `json:"task"`
	CallID string          `json:"call_id"`
	Tool   string          `json:"tool"`
	Args   json.RawMessage `json:"args,omitempty"` // as the journal has them
	Demand *rar.Detail     `json:"demand,omitempty"`
	Then   string          `json:"then"` // of a demand: within, outside; of a call: made, refused
	Now    string          `json:"now"`  // the same, or asked
	Reason string          `json:"reason,omitempty"`
}

// A pastCall is what the journal knows of a call.
type pastCall struct {
	difference          // what they all begin with
	chosen     bool     // it is to be reported
	api        *url.URL // nil where no request of it was recorded
	demands    []rar.Detail
	blocked    []rar.Detail
	several    bool // more than one detail was demanded at once, which no policy allows
	result     jit.CallStatus
	unnamed    bool // it was refused since nobody had named it
	args       map[string]any
	plan       jitmw.Plan
	err        error // why it has no plan
}

func (o options) show(ctx context.Context, p *cli.Program, r *replayer) error {
	r.kits, r.calls, r.found.Differences = map[string][]tool.Tool{}, map[string]*pastCall{}, []difference{}
	j, err := p.OpenState(ctx, true, nil)
	switch {
	case err == nil:
		defer func() { _ = j.Close() }() // it only reads
		err = o.fill(ctx, j, r)
	case errors.Is(err, journal.ErrNotFound):
		err = nil
	}
	if err != nil {
		return err
	}
	if o.json {
		return p.PrintJSON(r.found)
	}
	for _, d := range r.found.Differences {
		what := fmt.Sprintf("%s %s", d.Tool, plain.JSON(d.Args))
		if d.Demand != nil {
			what += ", for which the API demanded " + d.Demand.String()
		}
		text := fmt.Sprintf("task %s: %s: then %s, now %s%s", d.Task, what, d.Then, d.Now, plain.Between(": ", d.Reason, ""))
		if _, err := fmt.Fprintln(p.Stdout, plain.Fold(plain.Line(text, 2000), cli.Columns, 2)); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(p.Stdout, "%s of %s: %s would differ\n", plain.Count(r.found.Calls, "call"), plain.Count(r.found.Tasks, "task"), plain.Count(len(r.found.Differences), "decision"))
	if err == nil && r.found.Unheard > 0 {
		p.Note("the conversation of %s is not kept, so it cannot be told what was named there", plain.Count(r.found.Unheard, "task"))
	}
	return err
}

// fill reads the journal and the conversations.
func (o options) fill(ctx context.Context, j *cli.State, r *replayer) error {
	chosen := func(journal.Task) bool { return true }
	switch {
	case o.task != "":
		s, err := cli.FindSubject(ctx, j, o.task)
		if err != nil {
			return err
		}
		chosen = func(t journal.Task) bool { return slices.Contains(s.Runs, t.Run) }
	case o.since != "":
		age, err := cli.ParseAge("--since", o.since)
		if err != nil {
			return err
		}
		chosen = func(t journal.Task) bool { return time.Since(t.Opened) <= age }
	}
	tasks, err := j.Tasks(ctx, journal.TaskFilter{})
	if err != nil {
		return cli.StateError(err, "")
	}
	sessions := map[string]int{} // how many chosen tasks each has
	for _, t := range tasks {
		if chosen(t) {
			r.found.Tasks++
			sessions[t.Session]++
		}
	}
	for _, t := range tasks {
		if sessions[t.Session] == 0 {
			continue
		}
		if err := r.task(ctx, j, t, chosen(t)); err != nil {
			return err
		}
	}
	return r.conversations(ctx, j, sessions)
}

// task reads the calls of a task, and reports which demands would be decided in another
// way.
func (r *replayer) task(ctx context.Context, j *cli.State, t journal.Task, chosen bool) error {
	var order []*pastCall
	grants := map[string]rar.Detail{} // by request
	for e, err := range j.Query(ctx, journal.Filter{Run: t.Run}) {
		if err != nil {
			return cli.StateError(err, cli.VerifyHint)
		}
		if e.Kind == jit.EntryCall {
			c := &pastCall{difference: difference{Task: t.Run, CallID: e.CallID, Tool: e.Tool, Args: e.Args}, chosen: chosen}
			c.Task = cmp.Or(t.ID, c.Task)
			order = append(order, c)
			r.calls[t.Session+"\x00"+e.CallID] = c
		}
		if e.Kind == jit.EntryGrant && e.Detail != nil {
			grants[e.RequestID] = *e.Detail
		}
		if c := r.calls[t.Session+"\x00"+e.CallID]; c != nil {
			c.see(e.Entry, grants)
		}
	}
	for _, c := range order {
		if err := r.plan(c); err != nil {
			return err
		}
		if chosen {
			r.found.Calls++
			r.demands(c)
		}
	}
	return nil
}

func (c *pastCall) see(e jit.Entry, grants map[string]rar.Detail) {
	if u, err := url.Parse(e.URL); err == nil && u.Host != "" && c.api == nil {
		c.api = u
	}
	switch e.Kind {
	case jit.EntryRefused:
		if c.several = len(e.Demanded) > 1; !c.several {
			c.demands = append(c.demands, e.Demanded...)
		}
	case jit.EntryBlocked:
		if e.Detail != nil && !c.several {
			c.blocked = append(c.blocked, *e.Detail)
		}
	case jit.EntryUse, jit.EntryCallSent: // perhaps with what another call had obtained
		if d, ok := grants[e.RequestID]; ok {
			c.demands = append(c.demands, d)
		}
	case jit.EntryRequest:
		if e.Detail != nil {
			c.demands = append(c.demands, *e.Detail)
		}
	case jit.EntryCallEnded:
		c.result, c.unnamed = jit.CallStatus(e.Result), e.Message != ""
	}
}

// plan has the tools of today plan the call.
func (r *replayer) plan(c *pastCall) error {
	api := r.api
	if origin, err := jit.OriginOf(c.api); c.api != nil && err == nil && !origin.Contains(r.api) {
		if api, err = url.Parse(origin.String()); err != nil {
			return err
		}
	}
	kit := r.kits[api.String()]
	if kit == nil {
		var err error
		if kit, err = r.build(api); err != nil {
			return err
		}
		r.kits[api.String()] = kit
	}
	i := slices.IndexFunc(kit, func(t tool.Tool) bool { return t.Name() == c.Tool })
	if i < 0 {
		c.err = errors.New("there is no such tool any more")
		return nil
	}
	if c.err = strictjson.AsWritten(c.Args, &c.args); c.err == nil {
		strictjson.Numbers(c.args)
		c.plan, c.err = jitmw.PlanOf(kit[i], c.args)
	}
	return nil
}

// demands reports what would be blocked, or not, in place of what was done.
func (r *replayer) demands(c *pastCall) {
	if c.err != nil {
		return // so it was not planned then either, or it is a tool that is gone
	}
	for _, d := range c.blocked {
		if c.within(d) == nil {
			r.differs(c, &d, "outside", "within", nil)
		}
	}
	for _, d := range c.demands {
		if slices.ContainsFunc(c.blocked, func(b rar.Detail) bool { return rar.Equal(b, d) }) {
			continue
		}
		if err := c.within(d); err != nil {
			r.differs(c, &d, "within", "outside", err)
			return // asked, granted and used are one decision
		}
	}
}

// within is what package jit holds a demand against.
func (c *pastCall) within(d rar.Detail) error {
	for _, at := range d.Locations {
		u, err := url.Parse(at)
		if origin, none := jit.OriginOf(c.api); err != nil || c.api != nil && none == nil && u.Host != "" && !origin.Contains(u) {
			return errors.New("a location is at another origin")
		}
	}
	_, err := rar.WithinAny(d, c.plan.Ceiling)
	return err
}

func (r *replayer) differs(c *pastCall, demand *rar.Detail, then, now string, why error) {
	if !c.chosen {
		return
	}
	d := c.difference
	d.Demand, d.Then, d.Now = demand, then, now
	if why != nil {
		d.Reason = why.Error()
	}
	r.found.Differences = append(r.found.Differences, d)
}

// conversations goes through those that are kept, of the sessions that are asked about.
func (r *replayer) conversations(ctx context.Context, j *cli.State, sessions map[string]int) error {
	var store *session.Store
	if there, err := j.HasSessions(ctx); err != nil {
		return err
	} else if there { // or else they would be made
		if store, _, err = j.Sessions(ctx, 0); err != nil {
			return err
		}
	}
	for id, tasks := range sessions {
		if err := r.conversation(ctx, store, id); err != nil {
			r.found.Unheard += tasks
		}
	}
	return nil
}
