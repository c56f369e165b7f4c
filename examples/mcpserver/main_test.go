package main

import (
	"os"
	"testing"

	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/tools/mcp"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestPolicy holds the file against what the server offers.
func TestPolicy(t *testing.T) {
	text, err := os.ReadFile("policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	set, err := mcp.Open(t.Context(), mcp.Config{Servers: []mcp.Server{{Name: "orders", Command: []string{self, "serve"}}}, Policy: p})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = set.Close() }()
	if len(set.Tools()) != 1 {
		t.Errorf("it offers %v", set.Tools())
	}
}
