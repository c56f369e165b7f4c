package modeltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

func requestFlaws() []flaw {
	return []flaw{
		{name: "no name", breaks: func(good model.LLM) model.LLM { return nameless{good} }, seen: []string{"it has a name"}},
		{name: "appends to the request", seen: []string{"the request is not changed"}, breaks: calls(func(ctx context.Context, good model.LLM, req ask, stream bool) iter.Seq2[heard, error] {
			out := *req
			out.Contents = append(req.Contents, user(say("Go on.")))
			return good.GenerateContent(ctx, &out, stream)
		})},
		{name: "writes into the config", seen: []string{"the request is not changed"}, breaks: calls(func(ctx context.Context, good model.LLM, req ask, stream bool) iter.Seq2[heard, error] {
			req.Config.Temperature = genai.Ptr[float32](1)
			return good.GenerateContent(ctx, req, stream)
		})},
		{name: "gives everybody the first answer", breaks: remembers, seen: []string{"many calls at once"}},
		{name: "drops the system instruction", breaks: asks(func(req ask) { req.Config.SystemInstruction = nil }), seen: []string{"system instruction"}},
		{name: "puts the system instruction into the contents", seen: []string{"system instruction", "a very long history"}, breaks: asks(func(req ask) {
			if req.Config.SystemInstruction == nil {
				req.Config.SystemInstruction = user(say("Be good."))
			}
			req.Contents = slices.Insert(req.Contents, 0, req.Config.SystemInstruction)
			req.Config.SystemInstruction = nil
		})},
		{name: "drops what the model said", seen: []string{"several turns"}, breaks: asks(func(req ask) {
			req.Contents = slices.DeleteFunc(req.Contents, func(c *genai.Content) bool { return c.Role == genai.RoleModel })
		})},
		{name: "cuts the history", seen: []string{"a very long history"}, breaks: asks(func(req ask) {
			req.Contents = req.Contents[max(0, len(req.Contents)-100):]
		})},
		{name: "knows only the basic plane", seen: []string{"any script of letters"}, breaks: asks(func(req ask) {
			eachPart(req.Contents, func(p *genai.Part) {
				p.Text = strings.Map(func(r rune) rune {
					if r > 0xffff {
						return -1
					}
					return r
				}, p.Text)
			})
		})},
		{name: "hides a tool's error", seen: []string{"a tool's error is an answer"}, breaks: asks(func(req ask) {
			eachPart(req.Contents, func(p *genai.Part) {
				if p.FunctionResponse != nil {
					delete(p.FunctionResponse.Response, "error")
				}
			})
		})},
		{name: "refuses dangling calls", breaks: calls(refusesDangling), seen: []string{"a call without a result is answered"}},
		{name: "drops results", seen: []string{"a call without a result is answered", "results go to their calls", "equal calls with empty ids"}, breaks: asks(func(req ask) {
			for _, c := range req.Contents {
				c.Parts = slices.DeleteFunc(c.Parts, func(p *genai.Part) bool { return p.FunctionResponse != nil })
			}
		})},
		{name: "pairs results by order", seen: []string{"results go to their calls"}, breaks: asks(func(req ask) {
			var ids []string
			eachPart(req.Contents, func(p *genai.Part) {
				if p.FunctionCall != nil {
					ids = append(ids, p.FunctionCall.ID)
				}
				if p.FunctionResponse != nil {
					p.FunctionResponse.ID, ids = ids[0], ids[1:]
				}
			})
		})},
		{name: "turns equal results round", seen: []string{"equal calls with empty ids"}, breaks: asks(func(req ask) {
			if len(req.Contents) > 2 {
				slices.Reverse(req.Contents[2].Parts)
			}
		})},
		{name: "panics on nothing", seen: []string{"a request with nothing in it"}, breaks: calls(func(ctx context.Context, good model.LLM, req ask, stream bool) iter.Seq2[heard, error] {
			_ = req.Contents[0].Parts[0].Text
			return good.GenerateContent(ctx, req, stream)
		})},
		{name: "drops a schema", seen: []string{"tools are declared"}, breaks: asks(func(req ask) {
			for _, t := range req.Config.Tools {
				for _, d := range t.FunctionDeclarations {
					d.Parameters = nil
				}
			}
		})},
		{name: "sends the first tools alone", seen: []string{"tools are declared"}, breaks: asks(func(req ask) { req.Config.Tools = req.Config.Tools[:1] })},
		{name: "drops the tool choice", breaks: asks(func(req ask) { req.Config.ToolConfig = nil }), seen: []string{"tool choice"}},
		{name: "drops the allowed names", breaks: asks(func(req ask) { req.Config.ToolConfig.FunctionCallingConfig.AllowedFunctionNames = nil }), seen: []string{"tool choice"}},
		{name: "forgets state", breaks: asks(func(req ask) { eachPart(req.Contents, func(p *genai.Part) { p.ThoughtSignature = nil }) }), seen: []string{"state comes back with its call"}},
		{name: "cannot send zero", breaks: asks(func(req ask) { req.Config.Temperature = nil }), seen: []string{"settings"}},
		{name: "knows one model", breaks: asks(func(req ask) { req.Model = "" }), seen: []string{"the request names the model"}},
		{name: "cleans the model's name", breaks: asks(func(req ask) { req.Model = strings.ReplaceAll(req.Model, "/", "-") }), seen: []string{"a model name with slashes"}},
	}
}

type nameless struct{ model.LLM }

func (nameless) Name() string { return "" }

// remembers answers every call with what the first one got.
func remembers(good model.LLM) model.LLM {
	var once sync.Once
	var first []heard
	return calls(func(ctx context.Context, good model.LLM, req ask, _ bool) iter.Seq2[heard, error] {
		once.Do(func() {
			for resp, err := range good.GenerateContent(ctx, req, false) {
				if err == nil {
					first = append(first, resp)
				}
			}
		})
		return func(yield func(heard, error) bool) {
			for _, resp := range first {
				if !yield(resp, nil) {
					return
				}
			}
		}
	})(good)
}

func refusesDangling(ctx context.Context, good model.LLM, req ask, stream bool) iter.Seq2[heard, error] {
	open := 0
	eachPart(req.Contents, func(p *genai.Part) {
		if p.FunctionCall != nil {
			open++
		}
		if p.FunctionResponse != nil {
			open--
		}
	})
	if open != 0 {
		return func(yield func(heard, error) bool) { yield(nil, errors.New("calls and results do not match")) }
	}
	return good.GenerateContent(ctx, req, stream)
}

func answerFlaws() []flaw {
	part := func(change func(p *genai.Part)) breaks {
		return hears(func(resp heard) heard {
			eachPart([]*genai.Content{resp.Content}, change)
			return resp
		})
	}
	drop := func(drop func(p *genai.Part) bool) func(resp heard) {
		return func(resp heard) {
			if resp.Content != nil {
				resp.Content.Parts = slices.DeleteFunc(resp.Content.Parts, drop)
			}
		}
	}
	isText := func(p *genai.Part) bool { return p.Text != "" && !p.Thought }
	isThought := func(p *genai.Part) bool { return p.Thought }
	return []flaw{
		{name: "calls in pieces", seen: []string{"one last response"}, breaks: hears(func(resp heard) heard {
			if resp.Partial {
				resp.Content.Parts = append(resp.Content.Parts, calling("call_a", "lookup", nil))
			}
			return resp
		})},
		{name: "a piece that ends the turn", seen: []string{"one last response"}, breaks: hears(func(resp heard) heard {
			resp.TurnComplete = true
			return resp
		})},
		{name: "no last response", seen: []string{"one last response"}, breaks: hears(func(resp heard) heard {
			resp.Partial = true
			return resp
		})},
		{name: "the last response twice", seen: []string{"one last response"}, breaks: calls(func(ctx context.Context, good model.LLM, req ask, stream bool) iter.Seq2[heard, error] {
			return func(yield func(heard, error) bool) {
				for resp, err := range good.GenerateContent(ctx, req, stream) {
					if !yield(resp, err) || err == nil && !resp.Partial && !yield(resp, nil) {
						return
					}
				}
			}
		})},
		{name: "the last response without the text", breaks: last(drop(isText)), seen: []string{"one last response", "streamed and unstreamed say the same"}},
		{name: "no role", breaks: last(func(resp heard) { resp.Content.Role = "" }), seen: []string{"one last response"}},
		{name: "the text twice", seen: []string{"streamed and unstreamed say the same", "any script of letters"}, breaks: part(func(p *genai.Part) { p.Text += p.Text })},
		{name: "pieces cut within characters", seen: []string{"any script of letters"}, breaks: hears(func(resp heard) heard {
			if resp.Partial && len(resp.Content.Parts[0].Text) > 1 {
				resp.Content.Parts[0].Text = resp.Content.Parts[0].Text[1:]
			}
			return resp
		})},
		{name: "does not stop", seen: []string{"a caller may stop listening"}, breaks: calls(func(ctx context.Context, good model.LLM, req ask, stream bool) iter.Seq2[heard, error] {
			return func(yield func(heard, error) bool) {
				for resp, err := range good.GenerateContent(ctx, req, stream) {
					yield(resp, err)
				}
				yield(nil, errors.New("and another thing"))
			}
		})},
		{name: "drops ids", seen: []string{"parallel calls"}, breaks: part(func(p *genai.Part) {
			if p.FunctionCall != nil {
				p.FunctionCall.ID = ""
			}
		})},
		{name: "reads numbers as floats", seen: []string{"numbers keep their digits"}, breaks: part(func(p *genai.Part) {
			if p.FunctionCall != nil {
				for name, v := range p.FunctionCall.Args {
					if n, ok := v.(json.Number); ok {
						p.FunctionCall.Args[name], _ = n.Float64()
					}
				}
			}
		})},
		{name: "makes one call of several", seen: []string{"parallel calls", "streamed and unstreamed say the same"}, breaks: last(func(resp heard) {
			n := 0
			drop(func(p *genai.Part) bool {
				if p.FunctionCall != nil {
					n++
				}
				return n > 1
			})(resp)
		})},
		{name: "drops the first byte of a piece", transport: replaces(`"arguments":"\"`, `"arguments":"`), seen: []string{"a call's arguments split at every byte"}},
		{name: "drops thoughts", breaks: last(drop(isThought)), seen: []string{"thoughts"}},
		{name: "takes thoughts for text", breaks: part(func(p *genai.Part) { p.Thought = false }), seen: []string{"thoughts"}},
		{name: "loses usage", breaks: last(func(resp heard) { resp.UsageMetadata = nil }), seen: []string{"usage"}},
		{name: "counts reasoning twice", seen: []string{"usage"}, breaks: last(func(resp heard) {
			if u := resp.UsageMetadata; u != nil {
				u.CandidatesTokenCount += u.ThoughtsTokenCount
			}
		})},
		{name: "always says STOP", breaks: last(func(resp heard) { resp.FinishReason = genai.FinishReasonStop }), seen: []string{"every finish reason", "a refusal"}},
		{name: "says nothing about a filter", breaks: last(func(resp heard) { resp.ErrorCode = "" }), seen: []string{"every finish reason", "a blocked prompt"}},
		{name: "hides a refusal", seen: []string{"a refusal"}, breaks: last(func(resp heard) {
			if resp.FinishReason == genai.FinishReasonSafety {
				drop(isText)(resp)
			}
		})},
		{name: "an empty answer is none", breaks: calls(inPlace(&model.LLMResponse{FinishReason: genai.FinishReasonStop, TurnComplete: true})), seen: []string{"an empty answer"}},
		{name: "an empty answer is silence", breaks: calls(inPlace(nil)), seen: []string{"an empty answer", "a request with nothing in it"}},
		{name: "forgets the version", breaks: last(func(resp heard) { resp.ModelVersion = "" }), seen: []string{"the model's version"}},
		{name: "holds pieces back", seen: []string{"pieces come as they are", "an error within a stream", "cancelled within a stream"}, breaks: hears(func(resp heard) heard {
			if resp.Partial {
				return nil
			}
			return resp
		})},
		{name: "decodes each piece by itself", transport: rewrites(oneByOne), seen: []string{"an answer split at every byte"}},
	}
}

// inPlace gives resp, or nothing, for an answer without content and for an error.
func inPlace(resp heard) func(context.Context, model.LLM, ask, bool) iter.Seq2[heard, error] {
	return func(ctx context.Context, good model.LLM, req ask, stream bool) iter.Seq2[heard, error] {
		return func(yield func(heard, error) bool) {
			for r, err := range good.GenerateContent(ctx, req, stream) {
				if err != nil || !r.Partial && len(r.Content.Parts) == 0 {
					if resp != nil {
						yield(resp, nil)
					}
					return
				}
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

func failureFlaws() []flaw {
	deaf := calls(func(ctx context.Context, good model.LLM, req ask, stream bool) iter.Seq2[heard, error] {
		return good.GenerateContent(context.WithoutCancel(ctx), req, stream)
	})
	return []flaw{
		{name: "takes half an answer", breaks: swallows, attempts: 1, seen: []string{
			"a stream cut at every event", "a stream cut at every byte", "an answer cut at every byte", "an error within a stream",
			"nothing is retried after the first piece", "errors by status", "garbage",
		}},
		{name: "starts again within a stream", breaks: calls(startsAgain), seen: []string{"nothing is retried after the first piece", "a stream cut at every event"}},
		{name: "goes on after an error", seen: []string{"an error within a stream"}, breaks: calls(func(ctx context.Context, good model.LLM, req ask, stream bool) iter.Seq2[heard, error] {
			return func(yield func(heard, error) bool) {
				for resp, err := range good.GenerateContent(ctx, req, stream) {
					if !yield(resp, err) || err != nil && !yield(&model.LLMResponse{}, nil) {
						return
					}
				}
			}
		})},
		{name: "plain errors", breaks: fails(func(error) error { return errors.New("it failed") }), seen: []string{"errors by status", "garbage", "context too long", "cancelled while the provider thinks"}},
		{name: "the key in an error", breaks: fails(func(err error) error { return fmt.Errorf("%w (with %s)", err, testKey) }), seen: []string{"errors by status", "a deadline passes"}},
		{name: "the key deep in an error", seen: []string{"errors by status"}, breaks: fails(func(err error) error {
			return &hidden{err, errors.New(testKey)}
		})},
		{name: "the body in an error", breaks: fails(func(err error) error { return fmt.Errorf("%w: %s", err, mark) }), seen: []string{"garbage", "context too long"}},
		{name: "no status", breaks: fails(func(err error) error { return withError(err, func(e *provider.Error) { e.Status = 0 }) }), seen: []string{"errors by status", "a wait that is too long is not waited"}},
		{name: "no remedy", breaks: fails(func(err error) error { return withError(err, func(e *provider.Error) { e.Remedy = "" }) }), seen: []string{"errors by status"}},
		{name: "two lines", breaks: fails(func(err error) error { return withError(err, func(e *provider.Error) { e.Problem += "\nmore" }) }), seen: []string{"errors by status"}},
		{name: "forgets how long to wait", breaks: fails(func(err error) error { return withError(err, func(e *provider.Error) { e.RetryAfter = 0 }) }), seen: []string{"a wait that is too long is not waited"}},
		{name: "waits for an hour", breaks: calls(waits), seen: []string{"a wait that is too long is not waited"}},
		{name: "does not say what is too long", breaks: fails(func(err error) error {
			return withError(err, func(e *provider.Error) { e.Problem, e.Remedy = "it was refused", "try another model" })
		}), seen: []string{"context too long"}},
		{name: "never tries again", attempts: 1, seen: []string{"retried before the first piece"}},
		{name: "tries too often", attempts: 12, seen: []string{"errors by status"}},
		{name: "tries the hopeless again", breaks: calls(startsAgain), seen: []string{"errors by status", "context too long"}},
		{name: "follows redirects", transport: follows, seen: []string{"redirects are not followed"}},
		{name: "does not hear a cancel", breaks: deaf, seen: []string{
			"cancelled before the call", "cancelled while the provider thinks", "cancelled within a stream", "cancelled between retries", "a deadline passes",
		}},
	}
}

// hidden shows one error and wraps another.
type hidden struct {
	error
	inside error
}

func (h *hidden) Unwrap() error { return h.inside }

func (h *hidden) As(target any) bool { return errors.As(h.error, target) }

// startsAgain makes a call that failed once more, whatever was passed on.
func startsAgain(ctx context.Context, good model.LLM, req ask, stream bool) iter.Seq2[heard, error] {
	return func(yield func(heard, error) bool) {
		for attempt := range 2 {
			failed := false
			for resp, err := range good.GenerateContent(ctx, req, stream) {
				if failed = err != nil && attempt == 0; failed {
					break
				}
				if !yield(resp, err) {
					return
				}
			}
			if !failed {
				return
			}
		}
	}
}

// waits as long as the provider asks.
func waits(ctx context.Context, good model.LLM, req ask, stream bool) iter.Seq2[heard, error] {
	return func(yield func(heard, error) bool) {
		for resp, err := range good.GenerateContent(ctx, req, stream) {
			if e, ok := errors.AsType[*provider.Error](err); ok && e.RetryAfter > 0 {
				select {
				case <-time.After(e.RetryAfter):
				case <-ctx.Done():
					err = ctx.Err()
				}
			}
			if !yield(resp, err) {
				return
			}
		}
	}
}
