package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/platform"
	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
)

// talk opens the session and runs the agent: on the calls that wait, then on the
// message.
func (r *run) talk(ctx context.Context) error {
	history, err := r.prepare(ctx)
	if err = cmp.Or(err, r.killed); err != nil {
		return err
	}
	r.emit(Started{Time: time.Now(), Session: r.place.session, Agent: r.r.cfg.Agent.Name(), Resumed: r.turn.resumed != nil})
	for _, e := range r.mended {
		r.emit(e)
	}
	r.outcome.nextTurn()
	if history != keptAll {
		r.emit(HistoryCut{Time: time.Now(), Session: r.place.session, Kept: history})
		r.r.log.InfoContext(ctx, "the beginning of the conversation is not shown to the model",
			"session", r.place.session, "events_kept", history)
	}

	if !r.r.cfg.AllowUnnamed {
		r.naming.gate = &jitmw.Gate{Ask: r.r.cfg.Ask, Later: r.r.cfg.Unattended == UnattendedSuspend}
	}
	r.naming.hear(r.content)
	ctx = context.WithValue(r.toTools(ctx), runKey{}, r)
	ctx = platform.WithTaskRunner(ctx, r.tools)
	cfg := adk.RunConfig{}
	if r.r.cfg.Stream {
		cfg.StreamingMode = adk.StreamingModeSSE
	}
	if s := r.turn.resumed; s != nil || r.in.resume {
		var invocation string // what is gone on with
		if s != nil {
			invocation = s.Invocation
		} else if n := len(r.naming.past); n > 0 {
			invocation = r.naming.past[n-1].InvocationID
		}
		if err := r.asked(sameInvocation(ctx, invocation), nil, cfg); err != nil || r.in.resume {
			return err
		}
		if r.suspended != nil {
			return fmt.Errorf("runner: the message was not said: session %s is still %w", r.place.session, jit.ErrPending)
		}
		r.answer.Reset()
		r.turn.first.Store(nil)
	}
	if err := r.asked(ctx, r.content, cfg); err != nil || r.suspended != nil {
		return err
	}
	return r.unread()
}

// toTools returns a context in which guarded tools find what the run holds them to.
func (r *run) toTools(ctx context.Context) context.Context {
	ctx = jit.NewContext(ctx, r.task)
	if r.r.lines != nil {
		ctx = jitmw.WithTasks(ctx, r.taskOf)
	}
	if r.naming.gate != nil {
		ctx = r.naming.gate.NewContext(ctx)
	}
	return ctx
}

// asked runs the agent on a message, or on what the conversation ends with.
func (r *run) asked(ctx context.Context, message *genai.Content, cfg adk.RunConfig) error {
	for ev, err := range r.r.runner.Run(ctx, r.place.user, r.place.session, message, cfg) {
		switch {
		case errors.Is(err, errSuspended):
			return r.see(r.held)
		case err != nil:
			return fmt.Errorf("runner: %w", err)
		}
		if err := r.see(ev); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("runner: %w", err)
	}
	if err := r.unattended(); err != nil {
		return err
	}
	if strings.TrimSpace(r.answer.String()) == "" {
		return fmt.Errorf("runner: %w", ErrNoAnswer)
	}
	return nil
}

// unattended fails once a person would have to be asked, where that ends the run.
func (r *run) unattended() error {
	if why := r.outcome.asks(); r.r.cfg.Unattended == UnattendedFail && why != nil {
		return fmt.Errorf("runner: %w: %s: %s", ErrUnattended, why.Tool, why.Error)
	}
	return nil
}

// unread fails when a run passes as done in which the model asked no tool for what the
// message names, nor in an earlier run of the session: for any of it where it made no call
// at all, which is what comes of a server that drops tools; for all of it where it made
// others, such as one of a report on what it never saw.
func (r *run) unread() error {
	if r.r.cfg.Names == nil || r.outcome.decide(nil) != Done {
		return nil
	}
	var text strings.Builder
	for _, p := range r.content.Parts {
		text.WriteString(p.Text)
	}
	names := r.r.cfg.Names(text.String())
	missed := slices.DeleteFunc(slices.Clone(names), r.ids.called)
	if len(missed) == 0 || r.counts.tool() > 0 && len(missed) < len(names) {
		return nil
	}
	return fmt.Errorf("runner: %w: it never asked a tool for %s", ErrUnread, peer.Clean(missed[0], 64))
}

// see turns one event of ADK into ours.
func (r *run) see(ev *session.Event) error {
	if ev == nil {
		return nil
	}
	if ev.ErrorCode != "" || ev.ErrorMessage != "" && whole(ev.FinishReason) { // that of a text which was stopped goes with its reason
		return fmt.Errorf("runner: %w", &ModelError{Code: ev.ErrorCode, Message: r.task.Scrub(ev.ErrorMessage)})
	}
	if ev.UsageMetadata != nil && !ev.Partial {
		r.usage.add(ev.UsageMetadata)
	}
	if ev.Content == nil {
		return nil
	}
	final := ev.IsFinalResponse() && !ev.Partial
	if final && r.answer.Len() > 0 { // another agent's, or another of the same
		r.answer.WriteString("\n\n")
	}
	for _, p := range ev.Content.Parts {
		switch {
		case p == nil:
		case p.FunctionCall != nil && !ev.Partial:
			r.emit(ToolCalled{Time: time.Now(), CallID: p.FunctionCall.ID, Tool: p.FunctionCall.Name, Args: p.FunctionCall.Args})
		case p.FunctionResponse != nil && !ev.Partial:
			fr := p.FunctionResponse
			result := r.outcome.returned(fr.ID, fr.Name)
			r.emit(ToolReturned{
				Time: time.Now(), CallID: fr.ID, Tool: fr.Name, Status: result.Status, Error: result.Message, RequestID: result.RequestID, Result: fr.Response,
			})
		case p.Text != "" && !p.Thought:
			r.emit(Text{Time: time.Now(), Text: p.Text, Partial: ev.Partial, Final: final})
			if final {
				r.answer.WriteString(p.Text)
			}
		}
	}
	if !ev.Partial && len(ev.Content.Parts) > 0 && ev.Content.Parts[0].FunctionResponse != nil {
		r.outcome.nextTurn()
	}
	if final && !whole(ev.FinishReason) {
		return fmt.Errorf("runner: %w", &ModelError{Code: string(ev.FinishReason), Message: r.task.Scrub(ev.ErrorMessage)})
	}
	return nil
}

// whole reports whether an answer that ended for the reason is all the model meant
// to say. Not every model gives a reason.
func whole(reason genai.FinishReason) bool {
	return reason == "" || reason == genai.FinishReasonStop || reason == genai.FinishReasonUnspecified
}

// tools runs a turn's tool calls, ParallelTools at once. A panic of one, which ADK
// leaves to the process, ends the run. Guarded tools do not get so far.
func (r *run) tools(ctx context.Context, calls []func(context.Context)) {
	slots := make(chan struct{}, r.r.cfg.Limits.ParallelTools)
	var wg sync.WaitGroup
	for i, call := range calls {
		slots <- struct{}{}
		run := func() {
			defer func() { <-slots }()
			defer r.recovered(ctx, func(p error) { r.abort(p) })
			call(ctx)
		}
		if i < len(calls)-1 {
			wg.Go(run)
		} else { // usually the only one, and a goroutine has to grow its stack first
			run()
		}
	}
	wg.Wait()
}
