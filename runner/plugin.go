package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/plugin"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
)

// PluginConfig sets up [NewPlugin].
type PluginConfig struct {
	// Config is that of the Runner that goes on with what the plugin suspends ([Runner.GoOn]),
	// with these differences. Sessions is required, and that of the application, as in ADK's
	// launcher.Config. App and Agent are not looked at, and ManyUsers is always so. Names,
	// Unattended and Stream must not be set.
	//
	// Limits and Budget hold for one invocation, but for ParallelTools and History, which a
	// plugin cannot bound: for the latter see [Conversations]. A model that is being asked is
	// not stopped by Wall: the task ends, and the model is not asked again.
	//
	// With Suspensions, what ADK yields last of an invocation that ends since a call waits for
	// a person is an event of which [WaitingIn] tells, and which is not stored. A message to
	// the session is refused with [jit.ErrPending] until a Runner has gone on with it.
	Config

	// Agents are those of the application, as in ADK's launcher.Config. Required.
	Agents adk.Loader
	// Task says what the task of an invocation is for, whose message and session ctx has;
	// an error refuses the message. Who the user is, ADK's servers take from the request:
	// unless something in front of them knows better, anybody may be. nil names the
	// application, and acts on behalf of nobody. The task's Session is set in any case.
	Task func(ctx adk.InvocationContext) (jit.TaskSpec, error)
	// Observe receives what happens under the tasks, as [jit.Engine.Start] has it: one at a
	// time for each. nil ignores it.
	Observe func(user, session string, e jit.Event)
}

// NewPlugin returns a plugin for an application that is run by ADK's launcher, or by a
// runner of its own. It belongs before any other plugin, which could keep ADK from
// asking it. Each invocation gets a task, which is completed when the invocation ends,
// fails or is cancelled, and guarded tools find it; what [Runner] holds of user content,
// of what the person named, of call ids and of interrupted calls, holds as well.
//
// It refuses agents that run elsewhere, and tools that are not guarded, agents as tools
// among them: at once, as far as they can be seen, and otherwise before a model is told
// of them. A live session is refused, in which ADK would ask no plugin about the tools.
func NewPlugin(cfg PluginConfig) (*plugin.Plugin, error) {
	if cfg.Engine == nil || cfg.Agents == nil || cfg.Sessions == nil {
		return nil, errors.New("runner: plugin: Engine, Agents and Sessions are required")
	}
	if cfg.Names != nil || cfg.Unattended != "" || cfg.Stream {
		return nil, errors.New("runner: plugin: Names, Unattended and Stream are a Runner's alone")
	}
	var roots []adk.Agent
	for _, name := range cfg.Agents.ListAgents() {
		root, err := cfg.Agents.LoadAgent(name)
		if err == nil {
			err = wired(root)
		}
		if err != nil {
			return nil, fmt.Errorf("runner: plugin: agent %s: %w", name, err)
		}
		roots = append(roots, root)
	}
	lines, err := linesOf(cfg.Engine, cfg.Ceilings, roots...)
	if err != nil {
		return nil, fmt.Errorf("runner: plugin: %w", err)
	}
	if err := cfg.Limits.fill(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Runs == nil {
		cfg.Runs = &localRuns{}
	}
	own := cfg.Config
	own.App, own.Agent, own.ManyUsers, own.Sessions = "", nil, true, Conversations(cfg.Sessions, cfg.Limits.History)
	p := &invocations{cfg: cfg, open: map[conversation]*invocation{}, r: &Runner{log: cfg.Logger, lines: lines, cfg: own}}
	of := func(ctx adk.Context) *invocation {
		return p.of(conversation{ctx.AppName(), ctx.UserID(), ctx.SessionID()}, ctx.InvocationID())
	}
	hooks := guard(func(ctx adk.Context) *run {
		if i := of(ctx); i != nil {
			return i.run
		}
		return nil
	})
	limits, holds := hooks.BeforeModelCallback, hooks.BeforeToolCallback
	hooks.OnUserMessageCallback = p.message
	hooks.BeforeRunCallback = p.begin
	hooks.AfterRunCallback = p.end
	hooks.OnEventCallback = p.event
	hooks.BeforeModelCallback = func(ctx adk.Context, req *model.LLMRequest) (*model.LLMResponse, error) {
		resp, err := limits(ctx, req)
		if errors.Is(err, errSuspended) {
			return &model.LLMResponse{}, nil // of which ADK makes no event: the agent ends
		}
		if resp != nil || err != nil {
			return resp, err
		}
		i := of(ctx)
		if i == nil {
			return nil, errors.New("the invocation is over")
		}
		return nil, i.bind(req)
	}
	hooks.BeforeToolCallback = func(ctx adk.Context, t tool.Tool, args map[string]any) (map[string]any, error) {
		if err := jitmw.Check(t); err != nil { // a hook of the agent's may have brought it
			return nil, err
		}
		return holds(ctx, t, args)
	}
	return plugin.New(hooks)
}

// wired refuses agents below root, and itself, whose calls would pass no guard.
func wired(root adk.Agent) error {
	// ADK tells nobody of what kind an agent is, and has no way to its tools, but the
	// fields are exported. Where they are gone, nothing is known, and the agent refused.
	v := reflect.Indirect(reflect.ValueOf(root))
	if v.Kind() != reflect.Struct {
		return fmt.Errorf("%s (%T) is no agent of ADK's", root.Name(), root)
	}
	kind, known := v.FieldByName("AgentType"), []string{"LLMAgent", "LoopAgent", "SequentialAgent", "ParallelAgent", "CustomAgent"}
	if !kind.IsValid() || !slices.Contains(known, kind.String()) {
		return fmt.Errorf("%s (%T) runs where no tool can be guarded: leave it out", root.Name(), root)
	}
	if tools := v.FieldByName("Tools"); tools.IsValid() && tools.CanInterface() {
		all, _ := tools.Interface().([]tool.Tool)
		for _, t := range all {
			if err := jitmw.Check(t); err != nil {
				return fmt.Errorf("%s: tool %s: %w", root.Name(), t.Name(), err)
			}
		}
	}
	for _, a := range root.SubAgents() {
		if err := wired(a); err != nil {
			return err
		}
	}
	return nil
}

// invocations are what the plugin knows of the runs that are under way.
type invocations struct {
	cfg PluginConfig
	r   *Runner

	mu   sync.Mutex
	open map[conversation]*invocation
}

// A conversation takes one invocation at a time.
type conversation struct{ app, user, session string }

// SessionName is how the journal names a session where those of different users may have
// one id: with [NewPlugin], and with [Config.ManyUsers]. [jit.SessionUser] reads it.
func SessionName(app, user, session string) string { return conversation{app, user, session}.String() }

// String names it for the journal.
func (c conversation) String() string {
	return url.PathEscape(c.app) + "/" + url.PathEscape(c.user) + "/" + url.PathEscape(c.session)
}

func conversationOf(ctx adk.InvocationContext) conversation {
	s := ctx.Session()
	return conversation{s.AppName(), s.UserID(), s.ID()}
}

// An invocation is a run that ADK drives.
type invocation struct {
	*run
	id      string
	ctx     context.Context // ends with the wall time, and when the run is to stop
	unbegun *time.Timer
	over    bool       // guarded by the invocations' mu, as the run's task is
	storing sync.Mutex // held while an event is looked at, and while the invocation ends
	end     func()     // gives the conversation and the task back, once
}

// of returns the invocation that a hook is called for, or nil.
func (p *invocations) of(c conversation, id string) *invocation {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.open[c]; i != nil && i.id == id {
		return i
	}
	return nil
}

// toBegin is how long an invocation may take from its message to its beginning. Where it
// fails between the two, ADK tells nobody.
const toBegin = time.Minute

// enter lets an invocation into its conversation, alone.
func (p *invocations) enter(ctx adk.InvocationContext) (*invocation, error) {
	c := conversationOf(ctx)
	under, lease, err := p.cfg.Runs.Begin(ctx, c.app, c.user, c.session)
	if err != nil {
		return nil, err
	}
	i := &invocation{run: p.newRun(c), id: ctx.InvocationID()}
	wall, cancel := context.WithTimeoutCause(under, p.cfg.Limits.Wall, ErrWall)
	i.ctx, i.abort = context.WithCancelCause(wall)
	i.lease = lease
	i.unbegun = time.AfterFunc(toBegin, cancel)
	i.end = sync.OnceFunc(func() {
		i.unbegun.Stop()
		cancel()
		p.leave(context.WithoutCancel(ctx), c, i)
	})
	// Also where nobody tells of the end: a hook of another plugin may panic before ours.
	context.AfterFunc(i.ctx, i.end)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[c] = i
	return i, nil
}

// newRun returns a run that nobody ranges over.
func (p *invocations) newRun(c conversation) *run {
	r := &run{r: p.r, place: place{conversation: c}, outcome: newTally(), done: make(chan struct{})}
	close(r.done)
	return r
}

// message checks a message before it is stored, and mends the conversation that it is
// about to go on with.
func (p *invocations) message(ctx adk.InvocationContext, message *genai.Content) (*genai.Content, error) {
	i, err := p.enter(ctx)
	if err != nil {
		return nil, err
	}
	if err = onlyMedia(message); err == nil {
		err = i.resumable(ctx)
	}
	if err == nil {
		i.naming.past = eventsOf(ctx.Session())
		err = i.repair(ctx, ctx.Session())
	}
	if err != nil {
		i.end()
	}
	return nil, err
}

// resumable fails where the session is to be gone on with first.
func (i *invocation) resumable(ctx context.Context) error {
	if i.r.cfg.Suspensions == nil {
		return nil
	}
	s, err := i.r.cfg.Suspensions.Load(ctx, i.place.app, i.place.user, i.place.session)
	if err == nil && s != nil {
		i.suspended = s // and stays so
		err = fmt.Errorf("the message was not said: session %s is still %w", i.place.session, jit.ErrPending)
	}
	return err
}

// begin opens the task of an invocation.
func (p *invocations) begin(ctx adk.InvocationContext) (_ *genai.Content, err error) {
	if ctx.RunConfig() == nil { // and where it fails to begin, its end is not told
		return nil, errors.New("a live session asks no plugin about its tools, so it is refused")
	}
	c, spec := conversationOf(ctx), jit.TaskSpec{}
	i := p.of(c, ctx.InvocationID())
	if i == nil { // there is no message, or another plugin kept ADK from telling of it
		if i, err = p.enter(ctx); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			i.end()
		}
	}()
	if err := onlyMedia(ctx.UserContent()); err != nil {
		return nil, err
	}
	if p.cfg.Task != nil {
		if spec, err = p.cfg.Task(ctx); err != nil {
			return nil, err
		}
	}
	spec.Name, spec.Session = cmp.Or(spec.Name, c.app), c.String()
	if !p.cfg.AllowUnnamed {
		i.naming.gate = &jitmw.Gate{Ask: p.cfg.Ask}
		i.naming.past = slices.DeleteFunc(eventsOf(ctx.Session()), func(ev *session.Event) bool { return ev.InvocationID == i.id })
		if err := i.unshown(ctx, ctx.Session()); err != nil {
			return nil, err
		}
		i.naming.hear(ctx.UserContent())
	}
	i.unbegun.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	if i.over {
		return nil, fmt.Errorf("the invocation is over: %w", context.Cause(i.ctx))
	}
	i.task = p.cfg.Engine.Start(i.ctx, spec, func(e jit.Event) {
		i.observe(e)
		if p.cfg.Observe != nil {
			p.cfg.Observe(c.user, c.session, e)
		}
	})
	i.lease.Opened()
	return nil, nil
}

// end ends an invocation. ADK calls it on every path but that of a panic in a hook.
func (p *invocations) end(ctx adk.InvocationContext) {
	c := conversationOf(ctx)
	if i := p.of(c, ctx.InvocationID()); i != nil {
		i.end()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.open[c] == i {
			delete(p.open, c)
		}
	}
}

// leave gives back the conversation, and then the task, if it is still ours.
func (p *invocations) leave(ctx context.Context, c conversation, i *invocation) {
	p.mu.Lock()
	i.over = true
	task := i.task
	p.mu.Unlock()
	i.storing.Lock()
	defer i.storing.Unlock()
	err := i.run.leave(ctx, i.outcome.decide(nil))
	if err != nil {
		p.cfg.Logger.ErrorContext(ctx, "the conversation could not be given back", "session", c.String(), "error", err)
	}
	if task == nil || i.suspended != nil || errors.Is(err, ErrLost) {
		return
	}
	if err := task.Complete(ctx); err != nil {
		p.cfg.Logger.ErrorContext(ctx, "the task could not be completed, so its tokens live until they expire",
			"session", c.String(), "error", task.Scrub(err.Error()))
	}
}

// event looks at an event before it is stored: it suspends the invocation where calls wait,
// and marks what others say under the person's name.
func (p *invocations) event(ctx adk.InvocationContext, ev *session.Event) (*session.Event, error) {
	i := p.of(conversationOf(ctx), ctx.InvocationID())
	if i == nil || ev == nil || i.task == nil {
		return nil, nil
	}
	i.storing.Lock()
	defer i.storing.Unlock()
	if i.turn.left.Load() { // what another agent still says
		return &session.Event{ID: ev.ID, InvocationID: ev.InvocationID, Author: ev.Author, Timestamp: ev.Timestamp, LLMResponse: model.LLMResponse{Partial: true}}, nil
	}
	stored, err := i.run.storing(i.ctx, ev)
	switch {
	case errors.Is(err, errSuspended):
		return i.suspended.event(ev), nil
	case err != nil:
		return nil, err
	}
	i.counted(stored)
	if marked := i.naming.attributed(stored); marked != ev {
		return marked, nil
	}
	return nil, nil // another plugin may still have something to say
}

// counted takes note of what the results of an event came to.
func (r *run) counted(ev *session.Event) {
	results := false
	for _, fr := range parts(ev) {
		if fr != nil {
			r.outcome.returned(fr.ID, fr.Name)
			results = true
		}
	}
	if results {
		r.outcome.nextTurn()
	}
}

// waitingKey is that of the calls that wait, in the metadata of the event that tells of
// them.
const waitingKey = "jitagent_waiting"

// event returns what is yielded in place of the results of calls that wait. It is partial,
// so that ADK stores nothing of it: the results come when the calls have them.
func (s *Suspension) event(ev *session.Event) *session.Event {
	var text strings.Builder
	text.WriteString("Waiting for a person's decision:")
	for _, w := range s.Waiting() {
		fmt.Fprintf(&text, "\n- %s (request %s, risk %s)", w.Tool, w.RequestID, cmp.Or(w.Risk, "unknown"))
		if w.DecideAt != "" {
			text.WriteString(": " + w.DecideAt)
		}
	}
	return &session.Event{
		ID: ev.ID, InvocationID: ev.InvocationID, Author: ev.Author, Timestamp: ev.Timestamp,
		LLMResponse: model.LLMResponse{
			Content: genai.NewContentFromText(text.String(), genai.RoleModel), Partial: true, CustomMetadata: map[string]any{waitingKey: s.Waiting()},
		},
	}
}

// WaitingIn returns the calls for which an invocation under [NewPlugin] was suspended, of
// the event that tells so; nil of any other.
func WaitingIn(ev *session.Event) []Waiting {
	waiting, _ := ev.CustomMetadata[waitingKey].([]Waiting)
	return waiting
}

// bind has the calls of the model's next answer find the task.
func (i *invocation) bind(req *model.LLMRequest) error {
	if i.ctx.Err() != nil {
		return context.Cause(i.ctx)
	}
	return jitmw.Bind(req, i.toTools)
}
