package lumodev_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/rar"
)

// A test starts a server on a free port and points its client at it.
func ExampleStart() {
	ctx := context.Background()
	run, err := lumodev.Start(ctx, lumodev.Config{}, "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = run.Close() }()

	agent := run.Server.Config().Agents[0]
	form := url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {agent.ClientID},
		"client_secret": {agent.ClientSecret.Reveal()}, // to the server
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		run.URL+"/orgs/acme-corp/api/v1/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	var token struct {
		Type      string `json:"token_type"`
		ExpiresIn int    `json:"expires_in"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&token); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Header.Get("Server"))
	fmt.Println(token.Type, token.ExpiresIn)
	// Output:
	// lumodev (development only)
	// Bearer 3600
}

// One sensitive document makes reading it a person's decision.
func ExampleRiskPolicy() {
	cfg := lumodev.DefaultConfig()
	cfg.Risk.SensitiveIdentifiers = []string{"doc_payroll"}
	cfg.Risk.Assess = func(d rar.Detail) lumodev.Risk {
		if d.Type == "calendar_access" {
			return lumodev.Low
		}
		return "" // the rules decide
	}
	cfg.BaseURL = "http://127.0.0.1:9000"
	server, err := lumodev.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Close() }()
	fmt.Println(server.Issuer())
	// Output: http://127.0.0.1:9000/orgs/acme-corp
}
