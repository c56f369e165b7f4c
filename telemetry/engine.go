package telemetry

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/secret"
)

// Engine returns cfg with an Authority and a Journal that tell of what goes through them:
// a span for each task, from its opening to its end here, below it one for each question to
// the authorization server, and the metrics of calls, requests and grants. Entries that
// open or resume a task get the id of the trace, if it is sampled.
func (t *Telemetry) Engine(cfg jit.Config) jit.Config {
	if t == nil {
		return cfg
	}
	seen := &engine{Telemetry: t, tasks: map[string]trace.Span{}}
	j := journal{cfg.Journal, seen}
	cfg.Authority, cfg.Journal = authority{cfg.Authority, seen}, j
	reads, rereads := j.Journal.(reader)
	kills, killed := j.Journal.(jit.Killer)
	switch { // what the journal can do besides, it can still
	case rereads && killed:
		cfg.Journal = struct {
			journal
			reader
			jit.Killer
		}{j, reads, kills}
	case rereads:
		cfg.Journal = struct {
			journal
			reader
		}{j, reads}
	case killed:
		cfg.Journal = struct {
			journal
			jit.Killer
		}{j, kills}
	}
	return cfg
}

// An engine is what is known of the tasks of one.
type engine struct {
	*Telemetry
	mu    sync.Mutex
	tasks map[string]trace.Span // that are open here, by their ids
}

// span begins a span under that of the task. Its end takes what became of it.
func (e *engine) span(ctx context.Context, name, task string, about ...attribute.KeyValue) (context.Context, func(error, ...attribute.KeyValue)) {
	e.mu.Lock()
	if of := e.tasks[task]; of != nil {
		ctx = trace.ContextWithSpan(ctx, of)
	}
	e.mu.Unlock()
	if task != "" {
		about = append(about, attribute.String("jit.task.id", task))
	}
	ctx, span := e.tracer.Start(ctx, name, trace.WithAttributes(about...))
	return ctx, func(err error, more ...attribute.KeyValue) { end(span, err, more...) }
}

func end(span trace.Span, err error, about ...attribute.KeyValue) {
	span.SetAttributes(about...)
	if err != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// left ends the span of a task that this process is done with.
func (e *engine) left(task, status string, about ...attribute.KeyValue) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if span := e.tasks[task]; span != nil {
		end(span, nil, append(about, attribute.String("jit.status", status))...)
		delete(e.tasks, task)
	}
}

// open begins the span of a task.
func (e *engine) open(ctx context.Context, begun time.Time, task string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tasks[task] == nil {
		_, e.tasks[task] = e.tracer.Start(ctx, "jit task", trace.WithTimestamp(begun), trace.WithAttributes(attribute.String("jit.task.id", task)))
	}
}

// An authority is one whose answers are told of.
type authority struct {
	jit.Authority
	*engine
}

func (a authority) CreateTask(ctx context.Context, spec jit.TaskSpec) (jit.TaskInfo, error) {
	begun := time.Now()
	inner, done := a.span(ctx, "jit open", "")
	info, err := a.Authority.CreateTask(inner, spec)
	done(err)
	if info.ID != "" {
		a.open(ctx, begun, info.ID)
	}
	return info, err
}

func (a authority) CompleteTask(ctx context.Context, task string) error {
	ctx, done := a.span(ctx, "jit complete", task)
	err := a.Authority.CompleteTask(ctx, task)
	done(err)
	return err
}

func (a authority) Request(ctx context.Context, req jit.Request) (jit.Decision, error) {
	ctx, done := a.span(ctx, "jit request", req.TaskID, attribute.String("gen_ai.tool.name", req.For.Tool), attribute.String("gen_ai.tool.call.id", req.For.CallID))
	dec, err := a.Authority.Request(ctx, req)
	done(err, decided(dec)...)
	return dec, err
}

func (a authority) Status(ctx context.Context, request string) (jit.Decision, error) {
	ctx, done := a.span(ctx, "jit status", "", attribute.String("jit.request.id", request))
	dec, err := a.Authority.Status(ctx, request)
	done(err, decided(dec)...)
	return dec, err
}

func (a authority) Token(ctx context.Context, request string) (jit.Issued, error) {
	ctx, done := a.span(ctx, "jit token", "", attribute.String("jit.request.id", request))
	issued, err := a.Authority.Token(ctx, request)
	done(err)
	return issued, err
}

func decided(d jit.Decision) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("jit.request.id", d.RequestID), attribute.String("jit.decision", d.Status.String()), attribute.String("jit.risk", d.Risk),
	}
}

// Revoke implements [jit.Revoker]. It fails where the authority is none.
func (a authority) Revoke(ctx context.Context, token secret.String) error {
	ctx, done := a.span(ctx, "jit revoke", "")
	err := errors.ErrUnsupported
	if r, ok := a.Authority.(jit.Revoker); ok {
		err = r.Revoke(ctx, token)
	}
	done(err)
	return err
}

// Discover implements [jit.Discoverer]. An authority that is none has no use for it.
func (a authority) Discover(ctx context.Context, origin jit.Origin, api, metadata string) ([]string, error) {
	d, ok := a.Authority.(jit.Discoverer)
	if !ok {
		return nil, nil
	}
	ctx, done := a.span(ctx, "jit discover", "")
	scopes, err := d.Discover(ctx, origin, api, metadata)
	done(err)
	return scopes, err
}

// A journal is one whose entries are told of. Its Journal may be nil.
type journal struct {
	jit.Journal
	*engine
}

func (j journal) Append(ctx context.Context, entries ...jit.Entry) error {
	for i := range entries {
		if e := &entries[i]; e.Kind == jit.EntryTaskOpening || e.Kind == jit.EntryTaskResumed {
			if of := trace.SpanContextFromContext(ctx); of.IsSampled() { // one that can be found
				e.Trace = of.TraceID().String()
			}
		}
	}
	if j.Journal != nil {
		if err := j.Journal.Append(ctx, entries...); err != nil {
			return err
		}
	}
	for _, e := range entries {
		if e.Kind == jit.EntryTaskResumed {
			j.open(ctx, e.Time, e.TaskID)
		}
		j.see(e)
	}
	return nil
}

func (j journal) Note(e jit.Entry) {
	if j.Journal != nil {
		j.Journal.Note(e)
	}
	j.see(e)
}

// see counts what an entry tells.
func (e *engine) see(entry jit.Entry) {
	e.counts.see(entry)
	switch entry.Kind {
	case jit.EntryCall:
		e.filter.learn(entry.Tool)
	case jit.EntryTaskSuspended:
		e.left(entry.TaskID, "suspended", attribute.Int("jit.revoked", entry.Revoked))
	case jit.EntryTaskCompleted:
		e.left(entry.TaskID, "completed", attribute.Int("jit.revoked", entry.Revoked))
	}
}

// A reader is what a [jit.Rereader] has more than a journal.
type reader interface {
	Entries(ctx context.Context, run string) ([]jit.Entry, error)
	Runs(ctx context.Context, session string) ([]string, error)
	Below(ctx context.Context, run string) ([]string, error)
}
