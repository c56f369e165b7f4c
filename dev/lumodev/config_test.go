package lumodev

import (
	"strings"
	"testing"
	"time"
)

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
		"agent as client":   {func(c *Config) { c.Agents = []Agent{{ClientID: DefaultResourceServerID}} }, "is taken"},
		"agent as users":    {func(c *Config) { c.Agents = []Agent{{ClientID: userClientID}} }, "is taken"},
		"agent without id":  {func(c *Config) { c.Agents = []Agent{{}} }, "client id"},
		"agent name":        {func(c *Config) { c.Agents = []Agent{{ClientID: "a", Name: "a:task:b"}} }, "Name"},
		"agent scope":       {func(c *Config) { c.Agents = []Agent{{ClientID: "a", Scopes: []string{"ü"}}} }, "Scopes"},
		"user twice":        {func(c *Config) { c.Users = []User{{Email: "a"}, {Email: "a"}} }, "Email"},
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
	server, url := served(t, Config{})
	cfg := server.Config()
	if len(cfg.Agents) != 1 || cfg.Agents[0].ClientSecret.IsZero() || cfg.ResourceServers[0].ClientSecret.IsZero() {
		t.Error("Config() has no secrets")
	}
	e := &env{T: t, Server: server, url: url, prefix: orgs}
	e.jit(e.login(DefaultAgentClientID))
	if _, err := server.UserToken("nobody@acme-corp.example"); err == nil {
		t.Error("UserToken of an unknown user")
	}
	other, err := New(Config{BaseURL: url})
	if err != nil {
		t.Fatal(err)
	}
	if other.Config().Agents[0].ClientSecret.Equal(cfg.Agents[0].ClientSecret) {
		t.Error("secrets are not fresh")
	}
}
