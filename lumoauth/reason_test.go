package lumoauth

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
)

// TestReason: what the server says against a call is told, and that it cannot be
// reached is no such reason.
func TestReason(t *testing.T) {
	ask := jit.Request{TaskID: "task_1", Detail: rar.Detail{Type: "x"}}
	short := ask
	short.TTL = 500 * time.Millisecond
	scopes := ask
	scopes.Detail = rar.Scopes("files:read")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name   string
		status int
		body   string
		ask    jit.Request
		ctx    context.Context
		want   string
	}{
		{"unknown user", 400, `{"error":"invalid_request","message":"no user bob"}`, ask, t.Context(), "no user bob"},
		{"suspended", 403, `{"error":"task_suspended","message":"the task is suspended"}`, ask, t.Context(), "the task is suspended"},
		{"a code alone", 409, `{"error":"conflict"}`, ask, t.Context(), "conflict"},
		{"a status alone", 403, ``, ask, t.Context(), "forbidden"},
		{"wrong secret", 401, `{"error":"invalid_client","message":"x"}`, ask, t.Context(), "client credentials refused"},
		{"lifetime", 200, ``, short, t.Context(), "lifetime: under a second"},
		{"scopes", 0, ``, scopes, t.Context(), "LumoAuth's API for agents grants authorization details, and no scopes"},
		{"down", 503, `{"message":"maintenance"}`, ask, t.Context(), ""},
		{"given up", 200, ``, ask, gone, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			routes := goodRoutes()
			routes[requestRoute] = replies(tt.status, tt.body)
			_, err := inMemory(t, newFake(routes)).Request(tt.ctx, tt.ask)
			e, ok := errors.AsType[jit.Refusal](err)
			if !ok || e.Reason() != tt.want {
				t.Errorf("Request() = %v, whose reason is not %q", err, tt.want)
			}
		})
	}
}
