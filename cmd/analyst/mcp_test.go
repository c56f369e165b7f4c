package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/models/modeltest"
	"github.com/jitagent/jitagent/rar"
)

// orders is an MCP server with one tool.
func orders() *sdk.Server {
	s := sdk.NewServer(&sdk.Implementation{Name: "orders", Version: "1"}, &sdk.ServerOptions{Instructions: "canary-instructions"})
	s.AddTool(&sdk.Tool{
		Name: "find_orders", Description: "Finds orders", Annotations: &sdk.ToolAnnotations{ReadOnlyHint: true},
		InputSchema: json.RawMessage(`{"type":"object","properties":{"customer":{"type":"string"}},"required":["customer"]}`),
	}, func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "order_77"}}}, nil
	})
	return s
}

// serveOrders serves it as a program.
func serveOrders() { _ = orders().Run(context.Background(), &sdk.StdioTransport{}) }

// A crmServer is that server over HTTP, which demands authority.
type crmServer struct {
	url  string
	mu   sync.Mutex
	seen []string // the credentials of requests
	done int      // calls that were let through
}

func (c *crmServer) tokens() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, credential := range c.seen {
		if credential != "" {
			n++
		}
	}
	return n
}

// crm demands authority for each call and, where session says so, for all else.
func crm(t *testing.T, w *world, session bool) *crmServer {
	c := &crmServer{}
	served := orders()
	inner := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return served }, nil)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		granted := slices.Contains(w.grants, bearer)
		w.mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		call := strings.Contains(string(body), `"tools/call"`)
		c.mu.Lock()
		c.seen = append(c.seen, bearer)
		if call && granted {
			c.done++
		}
		c.mu.Unlock()
		switch {
		case call && !granted:
			_ = challenge.Write(rw, http.StatusForbidden, rar.Detail{Type: "order_access", Actions: []string{"read"}, Identifier: "customer_acme"}, "")
		case session && !granted:
			_ = challenge.Write(rw, http.StatusForbidden, rar.Detail{Type: "mcp_session", Actions: []string{"connect"}}, "")
		default:
			inner.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	c.url = server.URL
	return c
}

// TestMCPCallThatWaits is made once a person has decided, by a process that goes on.
func TestMCPCallThatWaits(t *testing.T) {
	w := newWorld(t, nil, func(c *lumodev.Config) { c.Risk.SensitiveIdentifiers = []string{"customer_acme"} })
	served := crm(t, w, false)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	const policy = `tools: {crm__find_orders: {effect: inquiry, asked_by: [find], targets: {customer: {type: customer}}, ceilings: [{type: order_access, actions: [read], identifier: "{customer}"}]}}`
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	script := modeltest.NewScript(modeltest.Calls(&genai.FunctionCall{Name: "crm__find_orders", Args: map[string]any{"customer": "customer_acme"}}), modeltest.Text("It is order_77."))
	w.env["OPENAI_BASE_URL"] = modeltest.Start(t, script).OpenAIURL()
	getenv := private(t, w.env)
	for _, step := range []struct {
		args []string
		code int
		done int
	}{
		{[]string{"run", "Find the orders of customer_acme."}, cli.ExitPending, 0},
		{[]string{"resume"}, cli.ExitDone, 1},
	} {
		var stdout, stderr strings.Builder
		args := append(step.args, "--model", "openai/scripted", "--mcp", "crm="+served.url, "--policy", file)
		code := run(t.Context(), args, getenv, strings.NewReader(""), &stdout, &stderr)
		if code != step.code || served.done != step.done {
			t.Fatalf("%s: exit %d with %d calls made, want %d with %d:\n%s", step.args[0], code, served.done, step.code, step.done, stderr.String())
		}
		if code == cli.ExitPending {
			decide(t, w.auth, "approve")
		}
	}
}

// TestMCPServer runs the program with a server that demands authority, for a call and,
// where session says so, for being connected to.
func TestMCPServer(t *testing.T) {
	const (
		tool    = "  crm__find_orders:\n    targets: {customer: {type: customer}}\n"
		ceiling = "    ceilings: [{type: order_access, actions: [read], identifier: \"{customer}\"}]\n"
		server  = "  crm__:\n    ceilings: [{type: mcp_session, actions: [connect]}]\n"
	)
	for name, test := range map[string]struct {
		policy, prompt string
		session        bool
		code           int
		asked          int
		stderr         string
	}{
		"within the policy":         {tool + ceiling, "Find the orders of customer_acme.", false, cli.ExitDone, 1, "granted"},
		"and for being connected":   {server + tool + ceiling, "Find the orders of customer_acme.", true, cli.ExitDone, 2, "granted"},
		"which a person decides":    {server + tool + ceiling, "Find the orders of customer_acme.", true, cli.ExitPending, 1, "hint: --wait waits for a person"},
		"nothing for the session":   {tool + ceiling, "Find the orders of customer_acme.", true, cli.ExitFailed, 0, "stands there as crm__"},
		"no ceiling":                {tool, "Find the orders of customer_acme.", false, cli.ExitDenied, 0, "not asked for"},
		"not what the person named": {tool + ceiling, "Find the orders of customer_bolt.", false, cli.ExitDenied, 0, "customer_acme"},
		"no policy":                 {"", "Find the orders of customer_acme.", false, cli.ExitDenied, 0, "a call of crm__find_orders"},
		"a tool that is not there":  {"  crm__orders: {effect: x}\n", "Find orders.", false, cli.ExitFailed, 0, "policy, line 2: there is no tool crm__orders: there are crm__find_orders"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil, func(c *lumodev.Config) {
				if test.code != cli.ExitPending {
					c.Risk.HumanLevels = []lumodev.Risk{}
				}
			})
			crm := crm(t, w, test.session)
			script := modeltest.NewScript(modeltest.Calls(&genai.FunctionCall{Name: "crm__find_orders", Args: map[string]any{"customer": "customer_acme"}}), modeltest.Text("The answer."))
			env := maps.Clone(w.env)
			env["OPENAI_BASE_URL"] = modeltest.Start(t, script).OpenAIURL()
			args := []string{"run", "--model", "openai/scripted", "--mcp", "crm=" + crm.url, test.prompt}
			if test.policy != "" {
				file := filepath.Join(t.TempDir(), "policy.yaml")
				if err := os.WriteFile(file, []byte("tools:\n"+test.policy), 0o600); err != nil {
					t.Fatal(err)
				}
				args = append(args, "--policy", file)
			}
			var stdout, stderr strings.Builder
			code := run(t.Context(), args, private(t, env), strings.NewReader(""), &stdout, &stderr)
			if code != test.code || len(w.bodies) != test.asked || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("exit %d after %d requests, want %d after %d, and %q:\n%s", code, len(w.bodies), test.code, test.asked, test.stderr, stderr.String())
			}
			if test.asked == 0 && crm.tokens() > 0 {
				t.Error("the server got a token")
			}
			if requests := fmt.Sprintf("%+v", script.Requests()); strings.Contains(requests, "canary-instructions") {
				t.Error("the server's instructions reached the model")
			}
		})
	}
}
