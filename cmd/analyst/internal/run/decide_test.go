package run

import (
	"testing"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/approval"
)

// The prompt for several calls shows all that each asks.
func TestPromptShowsEveryDetail(t *testing.T) {
	r := approval.Request{
		Details: []rar.Detail{{Type: "file_access", Identifier: "doc_1"}, {Type: "file_access", Identifier: "doc_2"}},
		Also:    []approval.Request{{}},
	}
	if got, want := wants(r), "   wants file_access * doc_1\n   wants file_access * doc_2\n   wants that, and so for 1 other task\n"; got != want {
		t.Errorf("wants() = %q, want %q", got, want)
	}
}
