package modeltest

import (
	"context"
	"runtime/debug"
	"testing"
	"time"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/dev/modelserver"
)

// RunSuite holds a [model.LLM] to the contract that this module's callers rely on,
// in subtests with plain names.
//
// newModel opens the model against up: with [Upstream.OpenAIURL] or
// [Upstream.GeminiURL] as its base URL, an API key of 16 characters or more (so
// that a leak can be told from chance), and waits between retries of a few
// milliseconds. The model must retry at least once. It is called
// several times. A model that speaks no wire calls [Upstream.InProcess] in its place, and
// is held to these subtests alone:
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
//
// The other subtests need a provider that says what the test wants said. Their
// failures must be a [github.com/jitagent/jitagent/models/provider.Error].
func RunSuite(t *testing.T, newModel func(t *testing.T, up *Upstream) model.LLM) {
	t.Helper()
	probe := Start(t, Always(Text("ok")))
	newModel(t, probe)
	wire, err := probe.used()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range contract() {
		t.Run(s.name, func(t *testing.T) {
			if s.wire && !wire {
				t.Skip("this model speaks no wire")
			}
			s.do(&trial{tb: t, wire: wire, patience: 20 * time.Second, open: func(up *Upstream) model.LLM { return newModel(t, up) }})
		})
	}
}

// A subtest is one promise of the contract.
type subtest struct {
	name string
	wire bool // it needs an upstream
	run  func(c *trial)
}

// do runs the subtest. A panic of the model fails it, and the others go on.
func (s subtest) do(c *trial) {
	defer func() {
		if v := recover(); v != nil {
			c.Errorf("panicked: %v\n%s", v, debug.Stack())
		}
	}()
	s.run(c)
}

// contract lists every subtest, those for any model first.
func contract() []subtest {
	var all []subtest
	for _, s := range anyModel() {
		all = append(all, subtest{name: s.name, run: s.run})
	}
	for _, group := range [][]subtest{requestTests(), answerTests(), streamTests(), failureTests(), cancelTests()} {
		for _, s := range group {
			all = append(all, subtest{name: s.name, wire: true, run: s.run})
		}
	}
	return all
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
	patience time.Duration // how long a call that should end may go on
	open     func(up *Upstream) model.LLM
}

// upstream starts a server for llm.
func (c *trial) upstream(config modelserver.Config) *Upstream {
	c.Helper()
	up, err := start(config)
	if err != nil {
		c.Fatalf("%v", err)
	}
	c.Cleanup(up.close)
	return up
}

// scripted opens the model before an upstream that says turns.
func (c *trial) scripted(turns ...Turn) (model.LLM, *Script, *Upstream) {
	c.Helper()
	script := NewScript(turns...)
	up := c.upstream(modelserver.Config{Fallback: script})
	return c.open(up), script, up
}

// always opens the model before an upstream that says turn to every request.
func (c *trial) always(turn Turn) (model.LLM, *Script, *Upstream) {
	c.Helper()
	script := Always(turn)
	up := c.upstream(modelserver.Config{Fallback: script})
	return c.open(up), script, up
}

// modes are the two ways to ask.
var modes = map[string]bool{"unstreamed": false, "streamed": true}
