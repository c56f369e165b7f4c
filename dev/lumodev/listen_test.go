package lumodev

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestListenRefusesRemote(t *testing.T) {
	for _, addr := range []string{
		":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[2001:db8::1]:0", "[::ffff:192.0.2.1]:0", "example.com:0",
		"127.0.0.1.example.com:0", "[fe80::1]:0", "0:0", "localhost.:0",
	} {
		l, err := Listen(addr, false)
		if err == nil {
			t.Errorf("Listen(%q) listens on %v", addr, l.Addr())
			_ = l.Close()
		} else if !strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("Listen(%q) = %v, want advice", addr, err)
		}
		if _, err := Start(t.Context(), Config{}, addr); err == nil {
			t.Errorf("Start(%q) serves", addr)
		}
	}
	for _, addr := range []string{"127.0.0.1", "nonsense", "[::1"} {
		if _, err := Listen(addr, true); err == nil {
			t.Errorf("Listen(%q) listens", addr)
		}
	}
	for _, addr := range []string{"", "127.0.0.1:0", "localhost:0", "127.8.8.8:0"} {
		l, err := Listen(addr, false)
		if err != nil {
			t.Errorf("Listen(%q) = %v", addr, err)
			continue
		}
		_ = l.Close()
	}
	run, err := Start(t.Context(), Config{AllowRemote: true}, "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(run.URL, "http://127.0.0.1:") {
		t.Errorf("URL = %s, want one that clients can use", run.URL)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
}

func TestConfigRefuses(t *testing.T) {
	good := Config{BaseURL: fixedURL}
	for name, row := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no base URL":       {func(c *Config) { c.BaseURL = "" }, "BaseURL"},
		"base URL path":     {func(c *Config) { c.BaseURL = fixedURL + "/x" }, "BaseURL"},
		"base URL scheme":   {func(c *Config) { c.BaseURL = "ftp://h" }, "BaseURL"},
		"base URL user":     {func(c *Config) { c.BaseURL = "http://u:canary@h" }, "BaseURL"},
		"base URL nonsense": {func(c *Config) { c.BaseURL = "http://u:canary@h:x" }, "BaseURL"},
		"org":               {func(c *Config) { c.Org = "a/b" }, "Org"},
		"agent twice":       {func(c *Config) { c.Agents = []Agent{{ClientID: "a"}, {ClientID: "a"}} }, `"a" is taken`},
		"agent id twice":    {func(c *Config) { c.Agents = []Agent{{ClientID: "a", AgentID: "x"}, {ClientID: "b", AgentID: "x"}} }, `"x" is taken`},
		"agent as client":   {func(c *Config) { c.Agents = []Agent{{ClientID: DefaultResourceServerID}} }, "is taken"},
		"agent as users":    {func(c *Config) { c.Agents = []Agent{{ClientID: userClientID}} }, "is taken"},
		"agent without id":  {func(c *Config) { c.Agents = []Agent{{}} }, "client id"},
		"agent name":        {func(c *Config) { c.Agents = []Agent{{ClientID: "a", Name: "a:task:b"}} }, "Name"},
		"agent scope":       {func(c *Config) { c.Agents = []Agent{{ClientID: "a", Scopes: []string{"ü"}}} }, "Scopes"},
		"user twice":        {func(c *Config) { c.Users = []User{{Email: "a"}, {Email: "a"}} }, "Email"},
		"user id twice":     {func(c *Config) { c.Users = []User{{ID: 1, Email: "a"}, {ID: 1, Email: "b"}} }, "ID 1"},
		"user without mail": {func(c *Config) { c.Users = []User{{}} }, "Email"},
		"fraction":          {func(c *Config) { c.TaskTTL = 1500 * time.Millisecond }, "TaskTTL"},
		"negative":          {func(c *Config) { c.HumanWindow = -time.Second }, "HumanWindow"},
		"default over most": {func(c *Config) { c.DefaultTTL = time.Hour }, "DefaultTTL"},
		"level":             {func(c *Config) { c.Risk.HumanLevels = []Risk{"odd"} }, "odd"},
	} {
		cfg := good
		row.change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: New() = %v, want %q", name, err, row.want)
		}
	}
}

func TestZeroConfigWorks(t *testing.T) {
	run, err := Start(t.Context(), Config{}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.Close() }()
	cfg := run.Server.Config()
	if len(cfg.Agents) != 1 || cfg.Agents[0].ClientSecret.IsZero() || cfg.ResourceServers[0].ClientSecret.IsZero() {
		t.Error("Config() has no secrets")
	}
	e := &env{T: t, Server: run.Server, url: run.URL, prefix: orgs}
	e.jit(e.login(DefaultAgentClientID))
	if _, err := run.Server.UserToken("nobody@acme-corp.example"); err == nil {
		t.Error("UserToken of an unknown user")
	}
	other, err := New(Config{BaseURL: run.URL})
	if err != nil {
		t.Fatal(err)
	}
	if other.Config().Agents[0].ClientSecret.Equal(cfg.Agents[0].ClientSecret) {
		t.Error("secrets are not fresh")
	}
}

func TestRunningEnds(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ctx, cancel := context.WithCancel(t.Context())
	run, err := Start(ctx, Config{}, "")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := run.Wait(); err != nil {
		t.Errorf("Wait() = %v after the context ended", err)
	}
	if err := run.Close(); err != nil {
		t.Errorf("Close() again = %v", err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", run.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Error("still serving")
	}
}

// TestCloseDoesNotWaitForSilence has clients that connect and say nothing: five
// seconds of waiting for them would be an error here.
func TestCloseDoesNotWaitForSilence(t *testing.T) {
	run, err := Start(t.Context(), Config{}, "")
	if err != nil {
		t.Fatal(err)
	}
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", run.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	e := &env{T: t, Server: run.Server, url: run.URL, prefix: orgs}
	e.get("/.well-known/jwks.json", "") // accepted after the other: both are known by now
	if err := run.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
}

func TestStartCannotListen(t *testing.T) {
	run, err := Start(t.Context(), Config{}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.Close() }()
	if _, err := Start(t.Context(), Config{}, run.addr); err == nil || errors.Is(err, ErrInUse) {
		t.Errorf("Start() on a port in use = %v", err)
	}
}
