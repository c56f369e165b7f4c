package lumodev_test

import (
	"fmt"

	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/rar"
)

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
