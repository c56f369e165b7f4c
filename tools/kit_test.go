package tools_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/toolconfirmation"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

// unavailable is a fault of the authorization server.
type unavailable struct{}

func (unavailable) Error() string                    { return "Post https://auth.internal: 10.1.2.3 refused" }
func (unavailable) Temporary() (time.Duration, bool) { return 0, false }

// down is an authorization server that is out of order.
func down() *fake.Authority {
	return &fake.Authority{Login: func() (jit.Credential, error) { return jit.Credential{}, unavailable{} }}
}

// toolCtx is what ADK gives a tool. Anything else panics.
type toolCtx struct{ agent.StrictContextMock }

func newCtx(ctx context.Context) *toolCtx { return &toolCtx{agent.NewStrictContextMock(ctx)} }

func (*toolCtx) SessionID() string                                    { return "session-1" }
func (*toolCtx) InvocationID() string                                 { return "inv-1" }
func (*toolCtx) FunctionCallID() string                               { return "call-1" }
func (*toolCtx) ToolConfirmation() *toolconfirmation.ToolConfirmation { return nil }

type callable interface {
	Declaration() *genai.FunctionDeclaration
	Run(agent.Context, any) (map[string]any, error)
}

func runnable(t testing.TB, v any) callable {
	t.Helper()
	r, ok := v.(callable)
	if !ok {
		t.Fatalf("%T cannot be called", v)
	}
	return r
}

// call runs one call of a tool under a new task.
func call(t testing.TB, a *fake.Authority, v tool.Tool, args any) map[string]any {
	t.Helper()
	return callIn(t.Context(), t, a, v, args)
}

func callIn(ctx context.Context, t testing.TB, a *fake.Authority, v tool.Tool, args any) map[string]any {
	t.Helper()
	result, err := runnable(t, v).Run(newCtx(jit.NewContext(ctx, fake.Task(t, a))), args)
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
