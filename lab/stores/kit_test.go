package stores

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
	store "github.com/jitagent/jitagent/state/session"
)

// A place is a store of conversations that processes share.
type place struct {
	name string
	open func() (session.Service, runner.Suspensions) // as a process does
	lock func() (release func())                      // keeps all others from writing; nil: nobody can
}

// each runs a test on an empty store of each kind.
func each(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("memory", func(t *testing.T) {
		service, kept := session.InMemoryService(), &remembered{}
		test(t, place{"memory", func() (session.Service, runner.Suspensions) { return service, kept }, nil})
	})
	t.Run("SQLite", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		test(t, place{"SQLite", func() (session.Service, runner.Suspensions) {
			s, err := store.Open(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s, s
		}, func() func() {
			db, err := sqldb.Open(filepath.Join(dir, store.File), 1)
			if err == nil {
				_, err = db.ExecContext(t.Context(), "BEGIN IMMEDIATE")
			}
			if err != nil {
				t.Fatal(err)
			}
			return func() { _ = db.Close() }
		}})
	})
	t.Run("Postgres", func(t *testing.T) {
		dialect := database(t)
		test(t, place{"Postgres", func() (session.Service, runner.Suspensions) {
			s, err := store.New(dialect, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s, s
		}, func() func() {
			tx := connect(t, dialect).Begin()
			if err := tx.Exec("LOCK TABLE sessions, events IN EXCLUSIVE MODE").Error; err != nil {
				t.Fatal(err)
			}
			return func() { tx.Rollback() }
		}})
	})
}

// remembered is suspensions in memory.
type remembered struct{ texts sync.Map }

func (r *remembered) Save(_ context.Context, v *runner.Suspension) error {
	text, err := json.Marshal(v)
	r.texts.Store([3]string{v.App, v.User, v.Session}, text)
	return err
}

func (r *remembered) Load(_ context.Context, app, user, id string) (*runner.Suspension, error) {
	text, ok := r.texts.Load([3]string{app, user, id})
	if !ok {
		return nil, nil
	}
	v := new(runner.Suspension)
	return v, json.Unmarshal(text.([]byte), v)
}

func (r *remembered) Drop(ctx context.Context, app, user, id, run string) error {
	if v, err := r.Load(ctx, app, user, id); v == nil || err != nil || run != "" && v.Run != run {
		return err
	}
	r.texts.Delete([3]string{app, user, id})
	return nil
}

// A world is one authorization server and one journal, and processes that share them
// and a place.
type world struct {
	*testing.T
	place
	authority *fake.Authority
	journal   fake.Journal
	tool      acts
	agent     adk.Agent // nil: one with the model and the tool
	approved  bool      // of what the tool needs
}

func newWorld(t *testing.T, p place) *world {
	w := &world{T: t, place: p, approved: true}
	status := func() jit.Status {
		if w.approved {
			return jit.StatusApproved
		}
		return jit.StatusPending
	}
	w.authority = &fake.Authority{
		Decide: func(jit.Request) (jit.Decision, error) {
			return jit.Decision{RequestID: "jit_1", Status: status(), Risk: "high", ExpiresAt: time.Now().Add(time.Hour)}, nil
		},
		Look: func(string, int) (jit.Decision, error) { return jit.Decision{Status: status()}, nil },
	}
	w.tool.result = map[string]any{"ok": true}
	return w
}

// process is one of its own: it has nothing in common with others but what is kept.
func (w *world) process(m model.LLM) *runner.Runner {
	w.Helper()
	engine, err := jit.New(jit.Config{Authority: w.authority, Journal: &w.journal})
	if err != nil {
		w.Fatal(err)
	}
	guarded, err := jitmw.Wrap(&w.tool, jitmw.Config{Plan: func(map[string]any) (jitmw.Plan, error) {
		return jitmw.Plan{Ceiling: []rar.Detail{need}}, nil
	}})
	if err != nil {
		w.Fatal(err)
	}
	a := w.agent
	if a == nil {
		if a, err = llmagent.New(llmagent.Config{Name: "tester", Model: m, Tools: []tool.Tool{guarded}, Mode: llmagent.ModeChat}); err != nil {
			w.Fatal(err)
		}
	}
	cfg := runner.Config{App: "app", Agent: a, Engine: engine, AllowUnnamed: true}
	cfg.Sessions, cfg.Suspensions = w.open()
	r, err := runner.New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func input(text string) runner.Input { return runner.Input{User: "u", Session: "s", Text: text} }

// end ranges over a run and returns how it ended.
func end(events iter.Seq2[runner.Event, error]) (last runner.Finished, err error) {
	for ev, failure := range events {
		err = errors.Join(err, failure)
		if f, ok := ev.(runner.Finished); ok {
			last = f
		}
	}
	return last, err
}

// done reports an error unless a run came to its end.
func (w *world) done(events iter.Seq2[runner.Event, error]) {
	w.Helper()
	if last, err := end(events); err != nil || last.Outcome != runner.Done {
		w.Errorf("the run ended with %+v, %v", last, err)
	}
}

// history returns what is kept of the conversation.
func (w *world) history() []*session.Event {
	w.Helper()
	service, _ := w.open()
	got, err := service.Get(w.Context(), &session.GetRequest{AppName: "app", UserID: "u", SessionID: "s"})
	if err != nil {
		w.Fatal(err)
	}
	return slices.Collect(got.Session.Events().All())
}

var need = rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_1"}

// acts is a tool that needs authority and keeps what it was called with.
type acts struct {
	mu     sync.Mutex
	got    []any
	result map[string]any
}

func (a *acts) Name() string        { return "act" }
func (a *acts) Description() string { return "acts" }
func (a *acts) IsLongRunning() bool { return false }
func (a *acts) Declaration() *genai.FunctionDeclaration {
	return &genai.FunctionDeclaration{Name: "act"}
}

func (a *acts) Run(ctx adk.Context, args any) (map[string]any, error) {
	if _, err := jit.Acquire(ctx, need); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, args)
	return a.result, nil
}

func (a *acts) ProcessRequest(_ adk.Context, req *model.LLMRequest) error {
	req.Tools = map[string]any{"act": a}
	return nil
}

// A peer is a model that answers results, and messages it has no calls for, with a
// text, and is as strict about a history as providers are.
type peer struct {
	mu    sync.Mutex
	calls []map[string]any // arguments of the calls that it makes of act, one for each message
	seen  []*genai.Content // what it was shown last
	first func()           // called before its first answer
}

func (p *peer) Name() string { return "peer" }

func (p *peer) GenerateContent(_ context.Context, req *model.LLMRequest, _ bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.first != nil {
			p.first()
			p.first = nil
		}
		p.seen = req.Contents
		if err := wellFormed(p.seen); err != nil {
			yield(nil, err)
			return
		}
		last := p.seen[len(p.seen)-1]
		answer := genai.NewContentFromText("answer", genai.RoleModel)
		if last.Parts[0].FunctionResponse == nil && len(p.calls) > 0 {
			answer = genai.NewContentFromFunctionCall("act", p.calls[0], genai.RoleModel)
			answer.Parts[0].FunctionCall.ID = fmt.Sprintf("call_%d", len(p.seen))
			p.calls = p.calls[1:]
		}
		yield(&model.LLMResponse{Content: answer}, nil)
	}
}

// wellFormed says whether each call is followed by its result, as providers demand.
func wellFormed(contents []*genai.Content) error {
	var open []string
	for _, c := range contents {
		var calls, results []string
		for _, p := range c.Parts {
			if p.FunctionCall != nil {
				calls = append(calls, p.FunctionCall.ID)
			}
			if p.FunctionResponse != nil {
				results = append(results, p.FunctionResponse.ID)
			}
		}
		if fmt.Sprint(results) != fmt.Sprint(open) {
			return fmt.Errorf("400: calls %v are followed by results %v", open, results)
		}
		open = calls
	}
	if len(open) > 0 {
		return fmt.Errorf("400: calls %v have no results", open)
	}
	return nil
}
