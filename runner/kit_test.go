package runner_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/tools"
)

const grantToken = "grant-canary-8e17b2d94c605fa3"

// newAuthority approves everything, with one token for all, as each change says.
func newAuthority(changes ...func(*fake.Authority)) *fake.Authority {
	a := &fake.Authority{Issue: func(_ string, d rar.Detail) jit.Issued {
		return jit.Issued{Token: secret.New(grantToken), ExpiresIn: time.Minute, Details: []rar.Detail{d}}
	}}
	for _, change := range changes {
		change(a)
	}
	return a
}

// decides answers every request with a status, for good.
func decides(status jit.Status) func(*fake.Authority) {
	return func(a *fake.Authority) {
		a.Decide = func(jit.Request) (jit.Decision, error) { return jit.Decision{Status: status}, nil }
		a.Look = func(string, int) (jit.Decision, error) { return jit.Decision{Status: status}, nil }
	}
}

// opensNone opens no task.
func opensNone(a *fake.Authority) {
	a.Create = func(context.Context) (jit.TaskInfo, error) { return jit.TaskInfo{}, errProvider }
}

// completesNone completes no task.
func completesNone(a *fake.Authority) {
	a.Complete = func(context.Context, int) error { return errProvider }
}

// completesLate completes a task at the third try.
func completesLate(a *fake.Authority) {
	a.Complete = func(ctx context.Context, n int) error {
		if n <= 2 && ctx.Err() == nil {
			return transient{}
		}
		return nil
	}
}

// transient is a fault that is worth another try.
type transient struct{}

func (transient) Error() string                    { return "overloaded" }
func (transient) Temporary() (time.Duration, bool) { return 0, true }

// A step is one answer of a scripted model.
type step func(ctx context.Context, req *model.LLMRequest, stream bool, yield func(*model.LLMResponse, error) bool)

// A script is a model that gives its answers in order, and the last one for ever.
// It is as strict as providers are: a call without its result right after it, or a
// result without its call, is an error.
type script struct {
	steps []step

	mu    sync.Mutex
	calls int
	seen  []*model.LLMRequest
}

func plays(steps ...step) *script { return &script{steps: steps} }

func (s *script) Name() string { return "script" }

func (s *script) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		s.mu.Lock()
		n := min(s.calls, len(s.steps)-1)
		s.calls++
		s.seen = append(s.seen, req)
		s.mu.Unlock()
		if err := wellFormed(req.Contents); err != nil {
			yield(nil, err)
			return
		}
		s.steps[n](ctx, req, stream, yield)
	}
}

func wellFormed(contents []*genai.Content) error {
	var open []string
	for _, c := range contents {
		var calls, results []string
		for _, p := range c.Parts {
			if p.FunctionCall != nil {
				calls = append(calls, p.FunctionCall.Name)
			}
			if p.FunctionResponse != nil {
				results = append(results, p.FunctionResponse.Name)
			}
		}
		if fmt.Sprint(results) != fmt.Sprint(open) {
			return fmt.Errorf("strict provider: 400: calls %v are followed by results %v", open, results)
		}
		open = calls
	}
	if len(open) > 0 {
		return fmt.Errorf("strict provider: 400: calls %v have no results", open)
	}
	return nil
}

// says answers with a text.
func says(text string) step {
	return func(_ context.Context, _ *model.LLMRequest, _ bool, yield func(*model.LLMResponse, error) bool) {
		yield(&model.LLMResponse{Content: genai.NewContentFromText(text, genai.RoleModel)}, nil)
	}
}

// asks calls tools, each "name" or "name argument".
func asks(calls ...string) step {
	return func(_ context.Context, _ *model.LLMRequest, _ bool, yield func(*model.LLMResponse, error) bool) {
		c := &genai.Content{Role: genai.RoleModel}
		for i, call := range calls {
			name, arg, _ := strings.Cut(call, " ")
			c.Parts = append(c.Parts, &genai.Part{FunctionCall: &genai.FunctionCall{
				ID: fmt.Sprintf("call_%d", i), Name: name, Args: map[string]any{"arg": arg},
			}})
		}
		yield(&model.LLMResponse{Content: c}, nil)
	}
}

func fails(err error) step {
	return func(_ context.Context, _ *model.LLMRequest, _ bool, yield func(*model.LLMResponse, error) bool) {
		yield(nil, err)
	}
}

type args struct {
	Arg string `json:"arg"`
}

// act is a guarded tool that may read anything.
func act(t testing.TB, name string, fn func(tools.Context, string) (map[string]any, error)) tool.Tool {
	t.Helper()
	made, err := tools.New(tools.Spec[args]{
		Name: name, Description: "acts", Ceiling: func(args) []rar.Detail { return []rar.Detail{read} },
	}, func(ctx tools.Context, a args) (map[string]any, error) { return fn(ctx, a.Arg) })
	if err != nil {
		t.Fatal(err)
	}
	return made
}

var read = rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_1"}

// fetches is a tool that obtains authority.
func fetches(t testing.TB) tool.Tool {
	return act(t, "fetch", func(ctx tools.Context, _ string) (map[string]any, error) {
		_, err := jit.Acquire(ctx, read)
		return map[string]any{"content": "text"}, err
	})
}

// world is what a run is made of.
type world struct {
	llm       model.LLM
	tools     []tool.Tool
	authority *fake.Authority
	config    func(*runner.Config)
	engine    jit.Config
}

func (w *world) runner(t testing.TB) *runner.Runner {
	t.Helper()
	if w.authority == nil {
		w.authority = newAuthority()
	}
	w.engine.Authority = w.authority
	engine, err := jit.New(w.engine)
	if err != nil {
		t.Fatal(err)
	}
	a, err := llmagent.New(llmagent.Config{Name: "tester", Model: w.llm, Tools: w.tools, Mode: llmagent.ModeChat})
	if err != nil {
		t.Fatal(err)
	}
	cfg := runner.Config{App: "app", Agent: a, Engine: engine, AllowUnnamed: true}
	if w.config != nil {
		w.config(&cfg)
	}
	r, err := runner.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// balanced reports an error unless every task that was opened was completed.
func (w *world) balanced(t testing.TB, want int) {
	t.Helper()
	if opened, completed := w.authority.Opened(), len(w.authority.Completed()); opened != want || completed != want {
		t.Errorf("%d tasks were opened and %d completed, want %d and %d", opened, completed, want, want)
	}
}

// report is what a run yielded.
type report struct {
	events   []runner.Event
	finished runner.Finished
	err      error
}

func (r report) kinds() string {
	var kinds []string
	for _, e := range r.events {
		kinds = append(kinds, e.Kind())
	}
	return strings.Join(kinds, " ")
}

// follow ranges over a run to its end.
func follow(ctx context.Context, t testing.TB, r *runner.Runner, in runner.Input) report {
	t.Helper()
	if in.Text == "" && in.Content == nil {
		in.Text = "go"
	}
	return collect(t, r.Run(ctx, in))
}

// collect ranges over events to their end.
func collect(t testing.TB, events iter.Seq2[runner.Event, error]) report {
	t.Helper()
	var got report
	for e, err := range events {
		switch {
		case got.err != nil:
			t.Errorf("something follows the error: %v, %v", e, err)
		case err != nil:
			got.err = err
		case e == nil:
			t.Error("a nil event")
		default:
			if got.finished.Outcome != "" {
				t.Errorf("%s follows finished", e.Kind())
			}
			got.events = append(got.events, e)
			if f, ok := e.(runner.Finished); ok {
				got.finished = f
			}
		}
	}
	return got
}

// clean fails the test when goroutines of it are left over.
func clean(t testing.TB) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// raw is an ADK tool without a guard.
type raw struct {
	name string
	run  func(adk.Context) (map[string]any, error)
}

func (r raw) Name() string        { return r.name }
func (r raw) Description() string { return "acts" }
func (r raw) IsLongRunning() bool { return false }
func (r raw) Declaration() *genai.FunctionDeclaration {
	return &genai.FunctionDeclaration{Name: r.name}
}
func (r raw) Run(ctx adk.Context, _ any) (map[string]any, error) { return r.run(ctx) }

func (r raw) ProcessRequest(_ adk.Context, req *model.LLMRequest) error {
	if req.Tools == nil {
		req.Tools = map[string]any{}
	}
	req.Tools[r.name] = r
	return nil
}

// sessions is a session service that fails where it is told to.
type sessions struct {
	session.Service
	create, get error
	failAt      int64 // the n-th appended event fails; 0 means none
	panicAt     int64
	appended    atomic.Int64
}

var errDisk = errors.New("disk full")

func (s *sessions) Create(ctx context.Context, r *session.CreateRequest) (*session.CreateResponse, error) {
	if s.create != nil {
		return nil, s.create
	}
	return s.Service.Create(ctx, r)
}

func (s *sessions) Get(ctx context.Context, r *session.GetRequest) (*session.GetResponse, error) {
	if s.get != nil {
		return nil, s.get
	}
	return s.Service.Get(ctx, r)
}

func (s *sessions) AppendEvent(ctx context.Context, sess session.Session, e *session.Event) error {
	switch s.appended.Add(1) {
	case s.failAt:
		return errDisk
	case s.panicAt:
		panic("disk " + grantToken)
	}
	return s.Service.AppendEvent(ctx, sess, e)
}

var allowed = []rar.Detail{read}
