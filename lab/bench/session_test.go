package bench

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/models/offline"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools"
)

const (
	prompt   = "Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'."
	document = "doc_9982"
)

// analysts is a world with the sample API, the analyst, and its work by hand.
type analysts struct {
	*world
	ctx    context.Context
	runner *runner.Runner
	model  *parkable
	report map[string]any // what the analyst posts
	n      atomic.Int64
}

// newAnalysts wires the analyst as the program does.
func newAnalysts(t *testing.T) *analysts {
	w := newWorld(t, true)
	a := &analysts{world: w, ctx: t.Context(), model: &parkable{LLM: offline.New()}}
	opts := tools.Options{Base: w.base}
	fetch, create := must(tools.FetchDocument(a.API, opts))(t), must(tools.CreateReport(a.API, opts))(t)
	analyst := must(agent.New(agent.Config{Model: a.model, Tools: []tool.Tool{fetch, create}}))(t)
	a.runner = must(runner.New(runner.Config{App: app, Agent: analyst, Engine: a.engine}))(t)
	a.report = must(a.session())(t)
	return a
}

func (a *analysts) run() error {
	_, err := a.session()
	return err
}

// session is one session of the analyst, from the prompt to the completed task. It
// returns the arguments of its last call, which is for a report.
func (a *analysts) session() (report map[string]any, err error) {
	var last runner.Finished
	for e, err := range a.runner.Run(a.ctx, runner.Input{Text: prompt, Task: jit.TaskSpec{Name: app}}) {
		if err != nil {
			return nil, err
		}
		switch e := e.(type) {
		case runner.ToolCalled:
			report = e.Args
		case runner.Finished:
			last = e
		}
	}
	if last.Outcome != runner.Done || last.ToolCalls != 2 {
		err = fmt.Errorf("the session ended %s after %d tool calls", last.Outcome, last.ToolCalls)
	}
	return report, err
}

// byHand makes the round trips of run: a task, an escalation for the document and
// one for the report, and the completion.
func (a *analysts) byHand() error {
	h, err := a.world.byHand(a.ctx)
	if err == nil {
		_, err = h.escalate(http.MethodGet, a.API.String()+"/v1/documents/"+document, nil)
	}
	if err == nil {
		_, err = h.escalate(http.MethodPost, a.API.String()+"/v1/reports", a.report, "Idempotency-Key", "bench-"+strconv.FormatInt(a.n.Add(1), 10))
	}
	if err != nil {
		return err
	}
	return h.complete()
}

func wholeSession(atonce int) measure {
	m := measure{name: "whole analyst session", floor: "its HTTP round trips by hand", goal: goal{ratio: 1.5}}
	if atonce > 1 {
		m.name += fmt.Sprintf(", %d at once", atonce)
	}
	m.open = func(t *testing.T) pair {
		a := newAnalysts(t)
		p := pair{ours: does(a.run), floor: does(a.byHand), each: atonce}
		if atonce > 1 {
			p.ours = does(func() error { return atOnce(a.run) })
			p.floor = does(func() error { return atOnce(a.byHand) })
		}
		p.notes = func(r row) []string {
			rate := fmt.Sprintf("%.0f sessions a second, %.0f by hand", 1e9/r.Nanos, 1e9/r.FloorNanos)
			if atonce == 1 {
				return []string{rate, "the offline model itself takes " + duration(a.modelTime(t)) + " of a session"}
			}
			return []string{rate, fmt.Sprintf("%.0f KiB of live memory for each session under way, the servers' part included", a.memory(t)/1024)}
		}
		return p
	}
	return m
}

// modelTime returns the nanoseconds that the model takes in one session.
func (a *analysts) modelTime(t *testing.T) float64 {
	var times []float64
	for range 50 {
		a.model.took.Store(0)
		check(t, a.run())
		times = append(times, float64(a.model.took.Load()))
	}
	return quantile(times, undisturbed)
}

// memory returns the live bytes of one session whose tools have run and whose
// model is being asked for the answer, the mean over many.
func (a *analysts) memory(t *testing.T) float64 {
	park := &park{open: make(chan struct{})}
	park.arrived.Add(parallel)
	before := liveHeap()
	a.model.park.Store(park)
	done, arrived := make(chan error, 1), make(chan struct{})
	go func() { done <- atOnce(a.run) }()
	go func() { park.arrived.Wait(); close(arrived) }()
	select {
	case <-arrived:
	case err := <-done:
		t.Fatal(errors.Join(errors.New("the sessions did not get to their last model call"), err))
	}
	after := liveHeap()
	a.model.park.Store(nil)
	close(park.open)
	check(t, <-done)
	return (after - before) / parallel
}

func liveHeap() float64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held on to
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// A parkable model can be made to wait in its third call of a session, when both
// tools have answered.
type parkable struct {
	model.LLM
	park atomic.Pointer[park]
	took atomic.Int64 // nanoseconds, of all calls together
}

type park struct {
	arrived sync.WaitGroup
	open    chan struct{}
}

// GenerateContent implements [model.LLM].
func (m *parkable) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	if p := m.park.Load(); p != nil {
		last := req.Contents[len(req.Contents)-1]
		if fr := last.Parts[0].FunctionResponse; fr != nil && fr.Name == "create_report" {
			p.arrived.Done()
			<-p.open
		}
	}
	return func(yield func(*model.LLMResponse, error) bool) {
		start := time.Now()
		for resp, err := range m.LLM.GenerateContent(ctx, req, stream) {
			m.took.Add(int64(time.Since(start)))
			if !yield(resp, err) {
				return
			}
			start = time.Now()
		}
	}
}
