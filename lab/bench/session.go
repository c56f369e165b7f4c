package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
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
	report map[string]string // what the analyst posts
	n      atomic.Int64
}

func newAnalysts(ctx context.Context) (*analysts, error) {
	w, err := newWorld(ctx, true)
	if err != nil {
		return nil, err
	}
	a := &analysts{world: w, ctx: ctx, model: &parkable{LLM: offline.New()}}
	tap := &tap{base: w.base}
	if err = a.assemble(tap); err == nil {
		err = a.run() // once, to see what it posts
		err = errors.Join(err, json.Unmarshal(tap.body, &a.report), a.assemble(w.base))
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return a, nil
}

// assemble wires the analyst as the program does.
func (a *analysts) assemble(base http.RoundTripper) error {
	fetch, err := tools.FetchDocument(a.API, tools.Options{Base: base})
	if err != nil {
		return err
	}
	create, err := tools.CreateReport(a.API, tools.Options{Base: base})
	if err != nil {
		return err
	}
	analyst, err := agent.New(agent.Config{Model: a.model, Tools: []tool.Tool{fetch, create}})
	if err != nil {
		return err
	}
	a.runner, err = runner.New(runner.Config{App: app, Agent: analyst, Engine: a.engine})
	return err
}

// run is one session of the analyst, from the prompt to the completed task.
func (a *analysts) run() error {
	var last runner.Finished
	for e, err := range a.runner.Run(a.ctx, runner.Input{Text: prompt, Task: jit.TaskSpec{Name: "bench"}}) {
		if err != nil {
			return err
		}
		if f, ok := e.(runner.Finished); ok {
			last = f
		}
	}
	if last.Outcome != runner.Done || last.ToolCalls != 2 {
		return fmt.Errorf("the session ended %s after %d tool calls", last.Outcome, last.ToolCalls)
	}
	return nil
}

// byHand makes the round trips of run: a task, an escalation for the document and
// one for the report, and the completion.
func (a *analysts) byHand() error {
	h, err := a.hand(a.ctx)
	if err != nil {
		return err
	}
	if _, err := h.escalate(a.ctx, http.MethodGet, a.API.String()+"/v1/documents/"+document, nil, "Read document "+document); err != nil {
		return err
	}
	key := "bench-" + strconv.FormatInt(a.n.Add(1), 10)
	if _, err := h.escalate(a.ctx, http.MethodPost, a.API.String()+"/v1/reports", a.report, "Create a report", "Idempotency-Key", key); err != nil {
		return err
	}
	return h.complete(a.ctx)
}

func wholeSession(atonce int) measure {
	name := "whole analyst session"
	if atonce > 1 {
		name = fmt.Sprintf("whole analyst session, %d at once", atonce)
	}
	return measure{
		name: name, floor: "its HTTP round trips by hand", goal: goal{ratio: 1.5},
		open: func(ctx context.Context) (*pair, error) {
			a, err := newAnalysts(ctx)
			if err != nil {
				return nil, err
			}
			p := &pair{
				ours: side{run: a.run}, floor: side{run: a.byHand}, close: a.close,
				notes: func(r *Row) ([]string, error) {
					notes := []string{fmt.Sprintf("%.0f sessions a second, %.0f by hand", 1e9/r.Nanos, 1e9/r.FloorNanos)}
					if atonce == 1 {
						model, err := a.modelTime()
						return append(notes, "the offline model itself takes "+duration(model)+" of a session"), err
					}
					bytes, err := a.memory()
					return append(notes, fmt.Sprintf("%.0f KiB of live memory for each session under way, the servers' part included", bytes/1024)), err
				},
			}
			if atonce > 1 {
				p.each = atonce
				p.ours.run = func() error { return atOnce(a.run) }
				p.floor.run = func() error { return atOnce(a.byHand) }
			}
			return p, nil
		},
	}
}

// modelTime returns the nanoseconds that the model takes in one session.
func (a *analysts) modelTime() (float64, error) {
	var times []float64
	for range 50 {
		a.model.took.Store(0)
		if err := a.run(); err != nil {
			return 0, err
		}
		times = append(times, float64(a.model.took.Load()))
	}
	return quantile(times, undisturbed), nil
}

// memory returns the live bytes of one session whose tools have run and whose
// model is being asked for the answer, the mean over many.
func (a *analysts) memory() (float64, error) {
	park := &park{open: make(chan struct{})}
	park.arrived.Add(parallel)
	before := liveHeap()
	a.model.park.Store(park)
	done := make(chan error, 1)
	go func() { done <- atOnce(a.run) }()
	arrived := make(chan struct{})
	go func() { park.arrived.Wait(); close(arrived) }()
	select {
	case <-arrived:
	case err := <-done:
		return 0, errors.Join(errors.New("the sessions did not get to their last model call"), err)
	}
	after := liveHeap()
	a.model.park.Store(nil)
	close(park.open)
	return (after - before) / parallel, <-done
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

// A tap keeps the body of the last POST.
type tap struct {
	base http.RoundTripper
	body []byte
}

// RoundTrip implements [http.RoundTripper].
func (t *tap) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodPost {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		t.body = body
		clone := req.Clone(req.Context())
		clone.Body = io.NopCloser(bytes.NewReader(body))
		req = clone
	}
	return t.base.RoundTrip(req)
}
