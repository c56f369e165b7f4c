package tools_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/toolconfirmation"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

const baseToken = "base-canary-3f9a7c51e8d24b06"

// An authority approves every request, unless decide says otherwise.
type authority struct {
	decide func(jit.Request) jit.Decision
	down   bool

	mu       sync.Mutex
	requests []jit.Request
}

// unavailable is a fault of the authorization server.
type unavailable struct{}

func (unavailable) Error() string                    { return "Post https://auth.internal: 10.1.2.3 refused" }
func (unavailable) Temporary() (time.Duration, bool) { return 0, false }

func (a *authority) AgentToken(context.Context) (secret.String, error) {
	if a.down {
		return secret.String{}, unavailable{}
	}
	return secret.New(baseToken), nil
}

func (a *authority) CreateTask(context.Context, jit.TaskSpec) (jit.TaskInfo, error) {
	return jit.TaskInfo{ID: "task_1"}, nil
}

func (a *authority) CompleteTask(context.Context, string) error { return nil }

func (a *authority) Request(_ context.Context, r jit.Request) (jit.Decision, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, r)
	d := jit.Decision{Status: jit.StatusApproved}
	if a.decide != nil {
		d = a.decide(r)
	}
	d.RequestID = fmt.Sprintf("req_%d", len(a.requests))
	return d, nil
}

func (a *authority) Status(_ context.Context, id string) (jit.Decision, error) {
	return jit.Decision{RequestID: id, Status: jit.StatusPending}, nil
}

func (a *authority) Token(_ context.Context, id string) (jit.Issued, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var n int
	if _, err := fmt.Sscanf(id, "req_%d", &n); err != nil || n < 1 || n > len(a.requests) {
		return jit.Issued{}, errors.New("no such request")
	}
	return jit.Issued{Token: secret.New(tokenFor(a.requests[n-1].Detail)), ExpiresIn: time.Minute}, nil
}

func (a *authority) asked() []rar.Detail {
	a.mu.Lock()
	defer a.mu.Unlock()
	var details []rar.Detail
	for _, r := range a.requests {
		details = append(details, r.Detail)
	}
	return details
}

// tokenFor returns a token that names what it covers.
func tokenFor(d rar.Detail) string {
	digest, err := d.Digest()
	if err != nil {
		panic(err)
	}
	return "grant-canary-" + digest
}

func newTask(t testing.TB, a *authority) *jit.Task {
	t.Helper()
	engine, err := jit.New(jit.Config{Authority: a})
	if err != nil {
		t.Fatal(err)
	}
	task := engine.Start(t.Context(), jit.TaskSpec{}, nil)
	t.Cleanup(func() {
		if err := task.Complete(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return task
}

// toolCtx is what ADK gives a tool. Anything else panics.
type toolCtx struct{ agent.StrictContextMock }

func newCtx(ctx context.Context) *toolCtx { return &toolCtx{agent.NewStrictContextMock(ctx)} }

func (*toolCtx) SessionID() string                                    { return "session-1" }
func (*toolCtx) InvocationID() string                                 { return "inv-1" }
func (*toolCtx) FunctionCallID() string                               { return "call-1" }
func (*toolCtx) ToolConfirmation() *toolconfirmation.ToolConfirmation { return nil }

type runner interface {
	Declaration() *genai.FunctionDeclaration
	Run(agent.Context, any) (map[string]any, error)
}

func runnable(t testing.TB, v any) runner {
	t.Helper()
	r, ok := v.(runner)
	if !ok {
		t.Fatalf("%T cannot be called", v)
	}
	return r
}

// call runs one call of a tool under a new task.
func call(t testing.TB, a *authority, v tool.Tool, args any) map[string]any {
	t.Helper()
	return callIn(t.Context(), t, a, v, args)
}

func callIn(ctx context.Context, t testing.TB, a *authority, v tool.Tool, args any) map[string]any {
	t.Helper()
	result, err := runnable(t, v).Run(newCtx(jit.NewContext(ctx, newTask(t, a))), args)
	if err != nil {
		t.Fatalf("Run() = %v, want a result", err)
	}
	return result
}

// serve starts an API on loopback.
func serve(t testing.TB, h http.HandlerFunc) *url.URL {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func read(id string) rar.Detail {
	return rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: id}
}
