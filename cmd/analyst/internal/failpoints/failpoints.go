//go:build failpoints

package failpoints

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"

	"google.golang.org/adk/v2/session"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lab/failpoint"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/recovery"
)

// What this file wraps dies at a named point when the environment says so: see
// package failpoint. The program that people run is built without the tag, and then
// off.go stands here. lab/faults names the points.

// armed reads the environment. A mistake there is one in a test: it must not pass for
// a point that is never reached.
func armed() *failpoint.Set {
	set, err := failpoint.New(os.Getenv)
	if err != nil {
		panic(err)
	}
	return set
}

// Journal dies around each entry that is appended, and after each that is noted.
func Journal(j Kept) jit.Rereader { return dyingJournal{j, armed()} }

// Kept is what the engine may find in a journal.
type Kept interface {
	jit.Rereader
	jit.Killer
}

type dyingJournal struct {
	Kept
	at *failpoint.Set
}

func (j dyingJournal) Append(ctx context.Context, entries ...jit.Entry) error {
	for _, e := range entries {
		j.at.Hit("journal", "before", string(e.Kind))
	}
	err := j.Kept.Append(ctx, entries...)
	for _, e := range entries {
		j.at.Hit("journal", "after", string(e.Kind))
	}
	return err
}

func (j dyingJournal) Note(e jit.Entry) {
	j.Kept.Note(e)
	j.at.Hit("journal", "noted", string(e.Kind))
}

// Sessions dies when an event is stored.
func Sessions(s session.Service) session.Service { return dyingSessions{s, armed()} }

type dyingSessions struct {
	session.Service
	at *failpoint.Set
}

func (s dyingSessions) AppendEvent(ctx context.Context, to session.Session, ev *session.Event) error {
	defer s.at.Hit("sessions", "appended")
	return s.Service.AppendEvent(ctx, to, ev)
}

// Suspensions dies around what is kept of a suspended session.
func Suspensions(s runner.Suspensions) runner.Suspensions { return dyingSuspensions{s, armed()} }

type dyingSuspensions struct {
	runner.Suspensions
	at *failpoint.Set
}

func (s dyingSuspensions) Save(ctx context.Context, v *runner.Suspension) error {
	s.at.Hit("suspensions", "before", "save")
	defer s.at.Hit("suspensions", "after", "save")
	return s.Suspensions.Save(ctx, v)
}

func (s dyingSuspensions) Drop(ctx context.Context, app, user, id, run string) error {
	s.at.Hit("suspensions", "before", "drop")
	defer s.at.Hit("suspensions", "after", "drop")
	return s.Suspensions.Drop(ctx, app, user, id, run)
}

// Authority dies when the authorization server has answered, before anybody has
// kept what it said, and before it is asked to end the task.
func Authority(a jit.Authority) jit.Authority { return dyingAuthority{a, armed()} }

type dyingAuthority struct {
	jit.Authority
	at *failpoint.Set
}

func (a dyingAuthority) AgentToken(ctx context.Context) (jit.Credential, error) {
	defer a.at.Hit("authority", "agent_token")
	return a.Authority.AgentToken(ctx)
}

func (a dyingAuthority) CreateTask(ctx context.Context, spec jit.TaskSpec) (jit.TaskInfo, error) {
	defer a.at.Hit("authority", "task_created")
	return a.Authority.CreateTask(ctx, spec)
}

func (a dyingAuthority) Request(ctx context.Context, req jit.Request) (jit.Decision, error) {
	defer a.at.Hit("authority", "requested")
	return a.Authority.Request(ctx, req)
}

func (a dyingAuthority) Token(ctx context.Context, requestID string) (jit.Issued, error) {
	defer a.at.Hit("authority", "token_issued")
	return a.Authority.Token(ctx, requestID)
}

func (a dyingAuthority) CompleteTask(ctx context.Context, taskID string) error {
	a.at.Hit("authority", "completing")
	defer a.at.Hit("authority", "completed")
	return a.Authority.CompleteTask(ctx, taskID)
}

// Base dies in the middle of a tool's HTTP call. nil is the base of package jit,
// as everywhere.
func Base(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = &jit.Transport{} // of no origin, so all that it does is to pass requests on
	}
	return dyingBase{base, armed()}
}

type dyingBase struct {
	base http.RoundTripper
	at   *failpoint.Set
}

func (b dyingBase) RoundTrip(req *http.Request) (*http.Response, error) {
	method := strings.ToLower(req.Method)
	trace := &httptrace.ClientTrace{
		WroteHeaders: func() { b.at.Hit("api", method, "headers") },                        // the body is not
		WroteRequest: func(httptrace.WroteRequestInfo) { b.at.Hit("api", method, "sent") }, // nothing is read yet
	}
	b.at.Hit("api", method, "before")
	defer b.at.Hit("api", method, "answered")
	return b.base.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
}

// Recovery dies in the middle of a recovery: before the server is asked to end a
// task, when it has said yes and nobody has noted that, and when it is noted.
func Recovery(cfg recovery.Config) recovery.Config {
	at := armed()
	if cfg.Completer != nil {
		cfg.Completer = dyingCompleter{cfg.Completer, at}
	}
	progress := cfg.Progress
	cfg.Progress = func(r recovery.Report) {
		if r.Done() > 0 {
			at.Hit("recovery", "noted")
		}
		if progress != nil {
			progress(r)
		}
	}
	return cfg
}

type dyingCompleter struct {
	recovery.Completer
	at *failpoint.Set
}

func (c dyingCompleter) CompleteTask(ctx context.Context, taskID string) error {
	c.at.Hit("recovery", "completing")
	defer c.at.Hit("recovery", "completed")
	return c.Completer.CompleteTask(ctx, taskID)
}
