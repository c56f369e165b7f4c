package policy_test

import (
	"strings"
	"testing"

	"github.com/jitagent/jitagent/policy"
)

// TestToolsOfServers: what the file says of them is held against them once they are known.
func TestToolsOfServers(t *testing.T) {
	p, err := policy.Parse([]byte(`tools:
  files__read:
    targets: {path: {type: file}}
    ceilings:
      - {type: file, actions: [read], identifier: "{path}"}
  files__:
    ceilings:
      - {type: session, actions: [connect]}
  other__read:
    effect: reading`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check("files__", map[string][]string{"files__read": {"path"}}); err != nil {
		t.Errorf("Check() = %v, want nil", err)
	}
	err = p.Check("files__", map[string][]string{"files__read": {"name"}})
	if err == nil || strings.Count(err.Error(), "has no argument path") != 2 || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("Check() = %v, want both places", err)
	}
	if err := p.Check("files__", nil); err == nil || !strings.Contains(err.Error(), "line 2: there is no tool files__read") {
		t.Errorf("Check() = %v, want no tool", err)
	}
	if !p.Aims("files__read") || p.Aims("files__") || !p.Aims("other__read") {
		t.Error("Aims() is not what the file says")
	}
	if _, err := policy.Parse([]byte("tools: {fetch: {effect: x}}"), nil); err == nil {
		t.Error("Parse() took a tool that there is not")
	}
}
