package conformance

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/toolconfirmation"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/oauthz"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/tools/mcp"
)

func TestMain(m *testing.M) {
	if os.Getenv("MCP_CONFORMANCE_SCENARIO") == "" {
		os.Exit(m.Run())
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	if err := client(ctx, os.Getenv("MCP_CONFORMANCE_SCENARIO"), os.Args[len(os.Args)-1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A call is one that the client makes, with arguments as a model would.
type call struct {
	Name      string         `json:"name"`
	Arguments map[string]any `json:"arguments"`
}

// given is what the suite tells the client of a scenario.
type given struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	PrivateKey   string `json:"private_key_pem"`
	ToolCalls    []call `json:"toolCalls"`
}

// calls are what is called in a scenario, in order.
func calls(scenario string, g given) []call {
	switch scenario {
	case "tools_call":
		return []call{{"add_numbers", map[string]any{"a": 2, "b": 3}}}
	case "sep-2322-client-request-state":
		return []call{{"test_mrtr_echo_state", nil}, {"test_mrtr_unrelated", nil}, {"test_mrtr_no_state", nil}, {"test_mrtr_no_result_type", nil}}
	case "http-standard-headers":
		return []call{{"test_headers", nil}, {"my-hyphenated-tool", nil}}
	case "http-invalid-tool-headers":
		return []call{{"valid_tool", map[string]any{"region": "eu"}}}
	case "json-schema-2020-12-preservation":
		return []call{{"json_schema_echo", nil}}
	case "http-custom-headers":
		return g.ToolCalls
	}
	if strings.HasPrefix(scenario, "auth/") {
		return []call{{"test-tool", nil}}
	}
	return nil
}

// operator is the policy file of whoever runs the client: what is called only reads, and
// may ask for these scopes, or for a login without any.
func operator(calls []call) string {
	const ceilings = "    ceilings:\n      - scopes: [\"mcp:basic\", \"mcp:read\", \"mcp:write\", \"mcp:admin\"]\n      - scopes: []\n"
	file := "tools:\n  s__:\n" + ceilings
	for _, c := range calls {
		if entry := "  s__" + c.Name + ":\n    targets: {}\n" + ceilings; !strings.Contains(file, entry) {
			file += entry
		}
	}
	return file
}

func client(ctx context.Context, scenario, at string) error {
	var g given
	if text := os.Getenv("MCP_CONFORMANCE_CONTEXT"); text != "" {
		if err := json.Unmarshal([]byte(text), &g); err != nil {
			return err
		}
	}
	where, err := url.Parse(at)
	if err != nil {
		return err
	}
	planned := calls(scenario, g)
	rules, err := policy.Parse([]byte(operator(planned)), nil)
	if err != nil {
		return err
	}
	cfg, err := settings(ctx, scenario, at, g)
	if err != nil {
		return err
	}
	authority, err := oauthz.New(cfg)
	if err != nil {
		return err
	}
	engine, err := jit.New(jit.Config{Authority: authority, Wait: 20 * time.Second})
	if err != nil {
		return err
	}
	task := engine.Start(ctx, jit.TaskSpec{}, func(e jit.Event) { fmt.Fprintf(os.Stderr, "%T %+v\n", e, e) })
	defer func() { _ = task.Complete(context.WithoutCancel(ctx)) }()
	ctx = jit.NewContext(ctx, task)
	set, err := mcp.Open(ctx, mcp.Config{Servers: []mcp.Server{{Name: "s", URL: where}}, Policy: rules, Logger: slog.Default(), Answer: agree})
	if err != nil {
		return err
	}
	defer func() { _ = set.Close() }()
	for i, c := range planned {
		made := set.Tools()
		n := slices.IndexFunc(made, func(t tool.Tool) bool { return t.Name() == "s__"+c.Name })
		if n < 0 {
			return errors.New("there is no " + c.Name)
		}
		if c.Name == "json_schema_echo" { // with the schema of the other tool, as it came
			text, err := json.Marshal(made[1-n].(callable).Declaration().ParametersJsonSchema)
			var other map[string]any
			if err = errors.Join(err, json.Unmarshal(text, &other)); err != nil {
				return err
			}
			c.Arguments = map[string]any{"schema": other}
		}
		result, err := made[n].(callable).Run(&toolContext{agent.NewStrictContextMock(ctx), fmt.Sprint("call-", i)}, c.Arguments)
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, c.Name, result)
		if result["status"] != nil && result["status"] != "ok" {
			return fmt.Errorf("%s: %v", c.Name, result)
		}
	}
	return nil
}

// agree is a person who confirms whatever a server asks.
func agree(context.Context, string, string, json.RawMessage) (map[string]any, error) {
	return map[string]any{"confirmed": true}, nil
}

type callable interface {
	Declaration() *genai.FunctionDeclaration
	Run(agent.Context, any) (map[string]any, error)
}

type toolContext struct {
	agent.StrictContextMock
	id string
}

func (*toolContext) SessionID() string                                    { return "session" }
func (*toolContext) InvocationID() string                                 { return "invocation" }
func (c *toolContext) FunctionCallID() string                             { return c.id }
func (*toolContext) ToolConfirmation() *toolconfirmation.ToolConfirmation { return nil }

// settings are those of the authorization server, as an operator would make them.
func settings(ctx context.Context, scenario, at string, g given) (oauthz.Config, error) {
	cfg := oauthz.Config{
		Mode: oauthz.AuthorizationCode, Document: "https://conformance-test.local/client-metadata.json",
		DPoP: strings.HasPrefix(scenario, "auth/dpop"), Logger: slog.Default(),
		Open: func(ctx context.Context, address string) error { // in a browser whose user agrees to everything
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
			if err != nil {
				return err
			}
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			return err
		},
	}
	if g.ClientID == "" {
		return cfg, nil
	}
	// Whoever registered the client knows where; the suite does not say.
	var err error
	if cfg.Issuer, err = issuer(ctx, at); err != nil {
		return cfg, err
	}
	cfg.ClientID, cfg.ClientSecret, cfg.Document = g.ClientID, secret.New(g.ClientSecret), ""
	if strings.HasPrefix(scenario, "auth/client-credentials") {
		cfg.Mode, cfg.Resource = oauthz.ClientCredentials, at
	}
	if g.PrivateKey != "" {
		cfg.Key, err = key(g.PrivateKey)
	}
	return cfg, err
}

func issuer(ctx context.Context, at string) (string, error) {
	places, err := oauth.ResourcePlaces(at, "")
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, places[0].URL, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	m, err := oauth.ParseResource(body, at)
	if err != nil {
		return "", err
	}
	return m.Servers[0], nil
}

func key(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no key in PEM")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := k.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key does not sign")
	}
	return signer, nil
}
