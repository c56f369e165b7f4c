package run

import (
	"errors"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/jit"
)

// An MCP server gets no key, so nobody is sent to look for one there.
func TestDoubtNamesAKeyOnlyWhereOneWent(t *testing.T) {
	for tool, want := range map[string]string{"create_report": "for Idempotency-Key jit-1", "crm__pay": "from the MCP server crm whether"} {
		s := &summary{doubt: jit.LeftInDoubt{About: jit.About{Tool: tool}, IdempotencyKey: "jit-1"}}
		if e, ok := errors.AsType[*cli.ExitError](s.inDoubt()); !ok || !strings.Contains(e.Hint, want) {
			t.Errorf("%s: %v, want %s", tool, e, want)
		}
	}
}
