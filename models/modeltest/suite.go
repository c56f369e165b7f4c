package modeltest

import (
	"context"
	"runtime/debug"
	"testing"
	"time"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/dev/modelserver"
)

// RunSuite holds a [model.LLM] that speaks to a server to the contract that this
// module's callers rely on, in subtests with plain names. Most ask twice: for a stream,
// and for one answer.
//
// newModel opens the model against up: with [Upstream.OpenAIURL],
// [Upstream.AnthropicURL] or [Upstream.GeminiURL] as its base URL, an API key of 16
// characters or more (so that a leak can be told from chance), and waits between retries
// of a few milliseconds. The model must retry at least once. It is called several times.
// Failures must be a [github.com/jitagent/jitagent/models/provider.Error].
//
// refuses names the settings that the API does not have, of temperature, top_p, json,
// seed and stop: they must be refused with nothing sent. All others must arrive.
func RunSuite(t *testing.T, newModel func(t *testing.T, up *Upstream) model.LLM, refuses ...string) {
	t.Helper()
	suite(t, true, newModel, refuses...)
}

// RunInProcess holds a [model.LLM] that asks no server to what such a model keeps, too:
//
//	it has a name
//	one last response
//	streamed and unstreamed say the same
//	the request is not changed
//	many calls at once
//	a caller may stop listening
//	cancelled before the call
//	any script of letters
//	a very long history
//	a tool's error is an answer
//	a call without a result is answered
//	equal calls with empty ids
//	a request with nothing in it
func RunInProcess(t *testing.T, newModel func(t *testing.T) model.LLM) {
	t.Helper()
	suite(t, false, func(t *testing.T, _ *Upstream) model.LLM { return newModel(t) })
}

func suite(t *testing.T, wire bool, newModel func(t *testing.T, up *Upstream) model.LLM, refuses ...string) {
	for _, s := range contract {
		if s.wire && !wire {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			s.do(trial{tb: t, wire: wire, refuses: refuses, patience: 20 * time.Second, open: func(up *Upstream) model.LLM { return newModel(t, up) }})
		})
	}
}

// A subtest is one promise of the contract.
type subtest struct {
	name string
	wire bool // it needs an upstream
	asks way
	run  func(c *trial)
}

// way says in which way a subtest is run.
type way uint8

const (
	bothWays way = iota // unstreamed, and then streamed
	streamed
	itself // it sees to that itself
)

// contract lists every subtest.
var contract = []subtest{
	// What every model keeps, with a wire or without.
	{name: "it has a name", asks: itself, run: hasName},
	{name: "one last response", run: oneLastResponse},
	{name: "streamed and unstreamed say the same", asks: itself, run: sameBothWays},
	{name: "the request is not changed", run: requestKept},
	{name: "many calls at once", asks: itself, run: manyAtOnce},
	{name: "a caller may stop listening", run: stopListening},
	{name: "cancelled before the call", run: cancelledBefore},
	{name: "any script of letters", run: anyLetters},
	{name: "a very long history", run: longHistory},
	{name: "a tool's error is an answer", run: toolError},
	{name: "a call without a result is answered", run: dangling},
	{name: "equal calls with empty ids", run: emptyIDs},
	{name: "a request with nothing in it", run: nothingAsked},

	// What reaches the provider.
	{wire: true, name: "system instruction", run: systemInstruction},
	{wire: true, name: "several turns", run: severalTurns},
	{wire: true, name: "tools are declared", run: toolsDeclared},
	{wire: true, name: "tool choice", run: toolChoice},
	{wire: true, name: "settings", run: settings},
	{wire: true, name: "results go to their calls", run: resultsPaired},
	{wire: true, name: "state comes back with its call", run: stateComesBack},
	{wire: true, name: "the request names the model", run: requestedModel},
	{wire: true, name: "a model name with slashes", run: slashes},

	// What a provider's answer becomes.
	{wire: true, name: "parallel calls", run: parallelCalls},
	{wire: true, name: "numbers keep their digits", run: numbersKept},
	{wire: true, name: "thoughts", run: thoughts},
	{wire: true, name: "usage", run: usage},
	{wire: true, name: "every finish reason", run: finishReasons},
	{wire: true, name: "a refusal", run: refusal},
	{wire: true, name: "a blocked prompt", run: blockedPrompt},
	{wire: true, name: "an empty answer", run: emptyAnswer},
	{wire: true, name: "the model's version", run: modelVersion},

	// Answers in pieces, whole and broken.
	{wire: true, name: "pieces come as they are", asks: streamed, run: piecesPass},
	{wire: true, name: "a call's arguments split at every byte", asks: streamed, run: argumentsSplit},
	{wire: true, name: "an answer split at every byte", run: answerSplit},
	{wire: true, name: "a stream cut at every event", asks: streamed, run: streamCut},
	{wire: true, name: "a stream cut at every byte", asks: streamed, run: streamCutBytes},
	{wire: true, name: "an answer cut at every byte", asks: itself, run: answerCutBytes},
	{wire: true, name: "an error within a stream", asks: streamed, run: errorWithin},
	{wire: true, name: "nothing is retried after the first piece", asks: streamed, run: noRetryWithin},

	// Providers that do not answer.
	{wire: true, name: "errors by status", run: statuses},
	{wire: true, name: "retried before the first piece", run: retried},
	{wire: true, name: "a wait that is too long is not waited", run: retryAfterStays},
	{wire: true, name: "context too long", run: tooLong},
	{wire: true, name: "garbage", run: garbage},
	{wire: true, name: "redirects are not followed", run: redirects},

	// Contexts that end.
	{wire: true, name: "cancelled while the provider thinks", run: cancelledWaiting},
	{wire: true, name: "cancelled within a stream", asks: streamed, run: cancelledWithin},
	{wire: true, name: "cancelled between retries", run: cancelledBetween},
	{wire: true, name: "a deadline passes", run: deadline},
}

// do runs the subtest. A panic of the model fails it, and the others go on.
func (s subtest) do(c trial) {
	defer func() {
		if v := recover(); v != nil {
			c.Errorf("panicked: %v\n%s", v, debug.Stack())
		}
	}()
	if s.asks != streamed {
		s.run(&c)
	}
	if c.stream = true; s.asks != itself {
		s.run(&c)
	}
}

// tb is what subtests need of a [testing.T], so that the suite's own tests can
// watch them fail.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
	Context() context.Context
}

// A trial is one run of a subtest.
type trial struct {
	tb
	wire     bool
	refuses  []string      // settings that the API does not have
	stream   bool          // how the model is asked
	patience time.Duration // how long a call that should end may go on
	open     func(up *Upstream) model.LLM
}

// Errorf says in which way the model was asked.
func (c *trial) Errorf(format string, args ...any) {
	c.Helper()
	way := "unstreamed: "
	if c.stream {
		way = "streamed: "
	}
	c.tb.Errorf(way+format, args...)
}

// A bench is the model under test before an upstream that follows a script.
type bench struct {
	*trial
	llm    model.LLM
	script *Script
	up     *Upstream
}

// before opens the model before an upstream that says turns in order, or one turn
// again and again.
func (c *trial) before(turns ...Turn) *bench {
	c.Helper()
	script := NewScript(turns...)
	script.loop = len(turns) == 1
	b := c.upstream(modelserver.Config{Fallback: script})
	b.script = script
	return b
}

// upstream opens the model before a server.
func (c *trial) upstream(config modelserver.Config) *bench {
	c.Helper()
	up, err := start(config)
	if err != nil {
		c.Fatalf("%v", err)
	}
	c.Cleanup(up.close)
	return &bench{trial: c, llm: c.open(up), up: up}
}

// try makes one call. It does not judge what comes.
func (b *bench) try(req *model.LLMRequest) *reply { return call(b.Context(), b.llm, req, b.stream) }

// ask makes one call that must be answered well.
func (b *bench) ask(req *model.LLMRequest) *reply {
	b.Helper()
	r := b.try(req)
	b.wellFormed(r)
	return r
}

// seen is the first request as the upstream's model was given it.
func (b *bench) seen() *model.LLMRequest {
	b.Helper()
	asked := b.script.Requests()
	if len(asked) == 0 {
		b.Fatalf("nothing reached the provider")
	}
	return asked[0]
}

// again makes the next requests meet the same fault, more of them than a model may send.
func (b *bench) again(f Fault) {
	for range 20 {
		b.up.Next(f)
	}
}
