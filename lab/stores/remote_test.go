package stores

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/a2aproject/a2a-go/v2/a2a"
	"github.com/a2aproject/a2a-go/v2/a2asrv"
	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/agent/remoteagent/v2"
	adkrunner "google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/server/adka2a/v2"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"

	"github.com/jitagent/jitagent/runner"
)

// served is an agent of ADK's that others reach over A2A, with a tool whose result
// comes later.
func served(t *testing.T, m *peer) *httptest.Server {
	t.Helper()
	act, err := functiontool.New(functiontool.Config{Name: "act", Description: "acts, later", IsLongRunning: true},
		func(adk.Context, struct{}) (map[string]any, error) { return map[string]any{"status": "pending"}, nil })
	if err != nil {
		t.Fatal(err)
	}
	a, err := llmagent.New(llmagent.Config{Name: "remote", Model: m, Tools: []tool.Tool{act}})
	if err != nil {
		t.Fatal(err)
	}
	execute := adka2a.NewExecutor(adka2a.ExecutorConfig{RunnerConfig: adkrunner.Config{AppName: "remote", Agent: a, SessionService: session.InMemoryService(), AutoCreateSession: true}})
	s := httptest.NewServer(a2asrv.NewJSONRPCHandler(a2asrv.NewHandler(execute)))
	t.Cleanup(s.Close)
	return s
}

// A conversation with an agent elsewhere can be gone on with, whatever became of its
// last turn. Its calls are in its own conversation: the repair finds nothing to do here,
// and nothing is sent that would be taken for what the person said.
func TestRemote(t *testing.T) {
	for _, what := range []string{"cancelled", "killed", "pending"} {
		t.Run(what, func(t *testing.T) {
			each(t, func(t *testing.T, p place) {
				w := newWorld(t, p)
				m := &peer{}
				s := served(t, m)
				var err error
				w.agent, err = remoteagent.NewA2A(remoteagent.A2AConfig{Name: "remote", AgentCard: &a2a.AgentCard{
					Name: "remote", Capabilities: a2a.AgentCapabilities{Streaming: true},
					SupportedInterfaces: []*a2a.AgentInterface{a2a.NewAgentInterface(s.URL, a2a.TransportProtocolJSONRPC)},
				}})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				switch what {
				case "cancelled":
					m.first = cancel
				case "killed":
					m.first = s.CloseClientConnections
				case "pending":
					m.calls = []map[string]any{{}}
				}
				last, err := end(w.process(nil).Run(ctx, input("begin")))
				if what == "cancelled" && (last.Outcome != runner.Interrupted || !errors.Is(err, context.Canceled)) || what == "killed" && (last.Outcome != runner.Failed || err == nil) {
					t.Errorf("the run ended with %+v, %v", last, err)
				}
				for _, text := range []string{"and now?", "and then?"} {
					last, err := end(w.process(nil).Run(t.Context(), input(text)))
					if err != nil || last.Outcome != runner.Done || last.Answer != "answer" {
						t.Errorf("%s: the run ended with %+v, %v", text, last, err)
					}
					if told := m.seen[len(m.seen)-1].Parts; told[len(told)-1].Text != text {
						t.Errorf("%s: the agent was told %q last", text, told[len(told)-1].Text)
					}
				}
			})
		})
	}
}
