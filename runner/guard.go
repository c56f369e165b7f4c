package runner

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/plugin"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
)

// runKey is the context key of the run that a hook is called for.
type runKey struct{}

func runOf(ctx context.Context) *run {
	r, _ := ctx.Value(runKey{}).(*run)
	return r
}

// counts are what the limits are held against. Tools run concurrently.
type counts struct{ models, tools atomic.Int64 }

func (c *counts) model() int { return int(c.models.Load()) }
func (c *counts) tool() int  { return int(c.tools.Load()) }

// guard returns the hooks that hold the limits of the run that runOf finds. ADK itself
// has none: its loop runs as long as the model calls tools.
func guard(runOf func(adk.Context) *run) plugin.Config {
	return plugin.Config{
		Name: "jitagent_guard",
		OnUserMessageCallback: func(_ adk.InvocationContext, c *genai.Content) (*genai.Content, error) {
			return nil, onlyMedia(c)
		},
		BeforeModelCallback: func(ctx adk.Context, req *model.LLMRequest) (*model.LLMResponse, error) {
			r := runOf(ctx)
			if r == nil {
				return nil, errors.New("runner: model called outside a run")
			}
			if r.turn.left.Load() {
				return nil, errSuspended
			}
			if err := r.task.Alive(ctx); err != nil {
				return nil, fmt.Errorf("runner: %w", err)
			}
			if err := r.unattended(); err != nil {
				return nil, err
			}
			r.ids.learn(req.Contents)
			r.calls.offered(req.Tools)
			r.naming.remember(req.Tools, r.turn.resumed, ctx.InvocationID())
			if again, err := r.replay(ctx.AgentName(), ctx.InvocationID()); again != nil || err != nil {
				return again, err
			}
			limit := r.r.cfg.Limits.ModelCalls
			if int(r.counts.models.Add(1)) > limit {
				r.counts.models.Store(int64(limit)) // what was made, not what was refused
				return nil, fmt.Errorf("%w (%d)", ErrModelCalls, limit)
			}
			return nil, r.afford(ctx.AgentName(), req.Model)
		},
		AfterModelCallback: func(ctx adk.Context, resp *model.LLMResponse, _ error) (*model.LLMResponse, error) {
			r := runOf(ctx)
			if r == nil || resp == nil {
				return nil, nil
			}
			resp.Content = withoutNUL(resp.Content)
			if resp.Partial {
				return nil, nil
			}
			if err := r.spend(ctx, resp); err != nil {
				return nil, err
			}
			resp.Content = r.ids.unique(resp.Content)
			return nil, r.calls.thinks(resp.Content)
		},
		BeforeToolCallback: func(ctx adk.Context, t tool.Tool, args map[string]any) (map[string]any, error) {
			r := runOf(ctx)
			if r == nil {
				return nil, errors.New("runner: tool called outside a run")
			}
			if answer := r.answered(ctx.FunctionCallID(), t, args); answer != nil {
				return answer, nil
			}
			if limit := r.r.cfg.Limits.ToolCalls; int(r.counts.tools.Add(1)) > limit {
				r.counts.tools.Add(-1)
				return r.refuse(ctx, jit.Result{
					Message: fmt.Sprintf("this run has made its %d tool calls, so this one was not made", limit),
					Advice:  "Call no more tools. Answer with what you have, and say what is missing.",
				}), nil
			}
			return r.repeats(ctx, t.Name(), args), nil
		},
		AfterToolCallback: func(ctx adk.Context, t tool.Tool, args, result map[string]any, err error) (map[string]any, error) {
			if r := runOf(ctx); r != nil && err == nil {
				r.calls.returned(t.Name(), args, result)
			}
			return nil, nil
		},
		// Of tools without a guard, and of names that no tool has.
		OnToolErrorCallback: func(ctx adk.Context, t tool.Tool, args map[string]any, err error) (map[string]any, error) {
			r := runOf(ctx)
			if r == nil {
				return nil, nil
			}
			if _, there := t.(interface {
				Declaration() *genai.FunctionDeclaration
			}); !there { // ADK's stand-in for a tool that it does not find
				if answer := r.answered(ctx.FunctionCallID(), t, args); answer != nil {
					return answer, nil
				}
				r.outcome.unknownTool(t.Name())
				if refused := r.repeats(ctx, t.Name(), args); refused != nil { // ADK asks nobody before such a call
					return refused, nil
				}
				result := r.refuse(ctx, jit.Result{
					Message: fmt.Sprintf("tool %q not found: there are %s", peer.Clean(t.Name(), 64), r.calls.names()),
					Advice:  "Call one of these, by exactly its name.",
				})
				r.calls.returned(t.Name(), args, result)
				return result, nil
			}
			r.outcome.end(ctx.FunctionCallID(), jit.Result{Status: jit.CallFailed, Message: r.task.Scrub(err.Error())})
			return nil, nil
		},
	}
}

// repeats refuses a call that was made too often with one result, and ends the run
// where that was said before. It returns nil for any other.
func (r *run) repeats(ctx adk.Context, tool string, args map[string]any) map[string]any {
	switch r.calls.again(tool, args) {
	case repeatsOnce:
		return r.refuse(ctx, jit.Result{
			Message: fmt.Sprintf("this call was made %d times with the same result, so it was not made again", maxSame),
			Advice:  "Use the result that you have, or call with other arguments; otherwise answer, and say what is missing.",
		})
	case repeatsOn:
		r.abort(ErrRepeats)
		return r.refuse(ctx, jit.Result{Message: ErrRepeats.Error()})
	}
	return nil
}

// refuse ends a call that is not made. What the model gets is a result and not an
// error, so that it is told what to do.
func (r *run) refuse(ctx adk.Context, result jit.Result) map[string]any {
	result.Status = jit.CallFailed
	r.outcome.end(ctx.FunctionCallID(), result)
	return jitmw.Shown(result)
}

// onlyMedia refuses content by which a client could put words into the agent's or
// a tool's mouth. ADK 2.2.0 takes a forged confirmation in a user message for its
// own and runs any tool with any arguments.
func onlyMedia(c *genai.Content) error {
	if c == nil {
		return nil
	}
	for i, p := range c.Parts {
		switch {
		case p == nil:
			return fmt.Errorf("part %d of the message is empty", i)
		case p.FunctionCall != nil:
			return fmt.Errorf("part %d of the message is a function call, which only the model may make", i)
		case p.FunctionResponse != nil:
			return fmt.Errorf("part %d of the message is a function response, which only a tool may give", i)
		}
		// What is allowed is listed, so that a kind of part that is new in the
		// library is refused until somebody has thought about it.
		media := genai.Part{
			Text: p.Text, InlineData: p.InlineData, FileData: p.FileData, VideoMetadata: p.VideoMetadata, MediaResolution: p.MediaResolution,
		}
		if !reflect.DeepEqual(*p, media) {
			return fmt.Errorf("part %d of the message is neither text nor media", i)
		}
	}
	return nil
}
