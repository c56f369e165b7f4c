package runner_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools"
)

// A mortal is a process that dies at one of the points at which something leaves it:
// from then on nothing does. What it keeps outlives it.
type mortal struct {
	*fake.Journal
	session.Service
	*suspensions
	api    http.Handler
	kill   context.CancelFunc
	handed bool // it takes over the tasks of those that are dead

	mu   sync.Mutex
	left int // points until it dies
}

var errDead = errors.New("the process is dead")

// lives passes a point.
func (m *mortal) lives() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left--; m.left < 0 {
		m.kill()
		return errDead
	}
	return nil
}

func (m *mortal) dead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.left < 0
}

func (m *mortal) Append(ctx context.Context, entries ...jit.Entry) error {
	return m.around(func() error {
		if m.handed && entries[0].Kind == jit.EntryTaskResumed { // what a process that is gone had
			m.Journal.Note(entries[0])
			return nil
		}
		return m.Journal.Append(ctx, entries...)
	})
}

func (m *mortal) Note(e jit.Entry) {
	if m.lives() == nil {
		m.Journal.Note(e)
	}
}

func (m *mortal) AppendEvent(ctx context.Context, s session.Session, ev *session.Event) error {
	return m.around(func() error { return m.Service.AppendEvent(ctx, s, ev) })
}

func (m *mortal) Save(ctx context.Context, s *runner.Suspension) error {
	return m.around(func() error { return m.suspensions.Save(ctx, s) })
}

func (m *mortal) Drop(ctx context.Context, app, user, id, run string) error {
	return m.around(func() error { return m.suspensions.Drop(ctx, app, user, id, run) })
}

// RoundTrip is to the API.
func (m *mortal) RoundTrip(req *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	if err := m.around(func() error { m.api.ServeHTTP(answer, req); return nil }); err != nil {
		return nil, err
	}
	resp := answer.Result()
	resp.Request = req
	return resp, nil
}

// around does what leaves the process between two points.
func (m *mortal) around(do func() error) error {
	if err := m.lives(); err != nil {
		return err
	}
	return errors.Join(do(), m.lives())
}

// A process that dies at any point is gone on with, and so is the one that goes on, twice,
// at any point: the effect that the person asked for happens once, or is in doubt. The model
// makes no call again that it is told has failed.
func TestRunIsTakenOverAtEveryPoint(t *testing.T) {
	for name, c := range map[string]struct{ waits, handed bool }{
		"nobody is asked":  {false, false},
		"a person decides": {true, false},
		"a person decides, and its task is not given back": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() {
				t.Skip("it is taken over some thousand times")
			}
			t.Parallel()
			points, ended := 0, false
			for ; !ended; points++ {
				for again, ends := (points+1)%3, false; !ends; again += 3 {
					ended, ends = takenOver(t, c.waits, c.handed, points, again)
				}
			}
			if points < 10 {
				t.Errorf("a run has %d points", points)
			}
		})
	}
}

// takenOver has a run end after some points, and two that go on with it after others. It
// reports whether the first, and whether those, came to an end by themselves. The task of
// one that died is given back, unless whoever goes on takes it over.
func takenOver(t *testing.T, waits, handed bool, points, again int) (ended, ends bool) {
	const all = 1 << 30
	journal, store, kept := &fake.Journal{}, session.InMemoryService(), &suspensions{}
	effects, decided := 0, !waits
	authority := newAuthority(func(a *fake.Authority) {
		decision := func(id string) jit.Decision {
			status := jit.StatusPending
			if decided {
				status = jit.StatusApproved
			}
			return jit.Decision{RequestID: id, Status: status, Risk: "high", ExpiresAt: time.Now().Add(time.Hour)}
		}
		a.Decide = func(jit.Request) (jit.Decision, error) { return decision(""), nil }
		a.Look = func(id string, _ int) (jit.Decision, error) { return decision(id), nil }
	})
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.Contains(r.Header.Get("Authorization"), grantToken):
			_ = challenge.Write(w, http.StatusForbidden, demanded(r.URL.Path[1:]), "")
		case r.Method == http.MethodPost:
			effects++
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"id":"r1"}`))
		default:
			_, _ = w.Write([]byte(`{"text":"it says so"}`))
		}
	})
	process := func(left int, do func(context.Context, *runner.Runner)) bool {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		m := &mortal{Journal: journal, Service: store, suspensions: kept, api: api, kill: cancel, handed: handed, left: left}
		w := &world{llm: plays(careless), authority: authority, engine: jit.Config{Journal: m, Attempts: 1}}
		w.tools = []tool.Tool{
			onAPI(m, "fetch", http.MethodGet, nil),
			onAPI(m, "report", http.MethodPost, &policy.Aim{Effect: "report", AskedBy: []string{"report"}, Max: 1}),
		}
		w.config = func(cfg *runner.Config) { cfg.Sessions, cfg.Suspensions, cfg.AllowUnnamed = m, m, false }
		do(ctx, w.runner(t))
		if m.dead() && !handed {
			for _, run := range must(journal.Runs(t.Context(), "s")) {
				suspended := false
				for _, e := range must(journal.Entries(t.Context(), run)) {
					suspended = e.Kind == jit.EntryTaskSuspended || suspended && e.Kind != jit.EntryTaskResumed
				}
				if !suspended {
					journal.Note(jit.Entry{Kind: jit.EntryTaskCompleted, Run: run, Time: time.Now()})
				}
			}
		}
		return !m.dead()
	}
	in := runner.Input{User: "u", Session: "s"}
	resume := func(ctx context.Context, r *runner.Runner) { collect(t, r.Resume(ctx, in)) }
	ended = process(points, func(ctx context.Context, r *runner.Runner) {
		said := in
		said.Text = "make a report about doc_1"
		follow(ctx, t, r, said)
	})
	ends = process(again, resume)
	decided = true
	ends = process(again, resume) && ends
	var last report
	process(all, func(ctx context.Context, r *runner.Runner) { last = collect(t, r.Resume(ctx, in)) })
	if last.finished.Waiting != nil {
		process(all, func(ctx context.Context, r *runner.Runner) { last = collect(t, r.Resume(ctx, in)) })
	}
	doubt := false
	for _, run := range must(journal.Runs(t.Context(), "s")) {
		for _, e := range jit.Effects(must(journal.Entries(t.Context(), run))) {
			doubt = doubt || e.Outcome == jit.OutcomeInDoubt
		}
	}
	got, err := store.Get(t.Context(), &session.GetRequest{AppName: "app", UserID: "u", SessionID: "s"})
	began := err == nil && got.Session.Events().Len() > 0
	over := last.err == nil || errors.Is(last.err, runner.ErrNothingToResume)
	if effects > 1 || began && (!over || effects == 0 && !doubt) || !began && effects > 0 {
		t.Fatalf("points %d, %d: %d effects, in doubt: %t; %s, %v", points, again, effects, doubt, last.finished.Outcome, last.err)
	}
	return ended, ends
}

// careless asks for a report of what it read, and leaves it at what fails.
func careless(ctx context.Context, req *model.LLMRequest, stream bool, yield func(*model.LLMResponse, error) bool) {
	next := "fetch doc_1"
	for _, c := range req.Contents {
		for _, p := range c.Parts {
			switch fr := p.FunctionResponse; {
			case fr == nil:
			case fr.Response["error"] != nil:
				says("it failed")(ctx, req, stream, yield)
				return
			case fr.Name == "fetch":
				next = "report doc_1"
			default:
				says("done")(ctx, req, stream, yield)
				return
			}
		}
	}
	asks(next)(ctx, req, stream, yield)
}

// onAPI is a tool that gets what the path of its name has.
func onAPI(base http.RoundTripper, name, method string, aim *policy.Aim) tool.Tool {
	return must(tools.New(tools.Spec[args]{
		Name: name, Description: "acts", API: &url.URL{Scheme: "https", Host: "api.test"}, Base: base, Aim: aim,
		Ceiling: func(args) []rar.Detail { return []rar.Detail{demanded(name)} },
	}, func(ctx tools.Context, _ args) (map[string]any, error) {
		req := must(http.NewRequestWithContext(ctx, method, "https://api.test/"+name, http.NoBody))
		resp, err := ctx.HTTPClient().Do(req)
		if err != nil {
			return nil, err
		}
		return map[string]any{"status": resp.StatusCode}, resp.Body.Close()
	}))
}

// demanded is what the API demands for a path.
func demanded(name string) rar.Detail {
	return rar.Detail{Type: "file_access", Actions: []string{name}, Identifier: "doc_1", Locations: []string{"https://api.test"}}
}
