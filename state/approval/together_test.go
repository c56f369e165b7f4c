package approval_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/approval"
)

// recorder is a decider that keeps what it is told.
type recorder struct{ ids, digests []string }

func (*recorder) Pending(context.Context) ([]approval.Request, error) { return nil, nil }

func (r *recorder) Decide(_ context.Context, id string, d approval.Decision) error {
	r.ids, r.digests = append(r.ids, id), append(r.digests, d.Digest)
	if id == "jitr_1" {
		return approval.ErrDecided
	}
	return nil
}

// Only what a person would be shown the same of, but for whose task it is, is one
// question.
func TestTogether(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*approval.Request)
		one    bool
	}{
		"another task":       {func(*approval.Request) {}, true},
		"in other words":     {func(r *approval.Request) { r.Justification = "please" }, true},
		"arguments in order": {func(r *approval.Request) { r.Args = []byte(`{"document_id":"doc_7310","n":1234567890123456789}`) }, true},
		"until later":        {func(r *approval.Request) { r.ExpiresAt = r.ExpiresAt.Add(time.Minute) }, true},
		"the same task":      {func(r *approval.Request) { r.TaskID = "task_1" }, false},
		"other arguments":    {func(r *approval.Request) { r.Args = []byte(`{"n":1234567890123456788,"document_id":"doc_7310"}`) }, false},
		"no arguments":       {func(r *approval.Request) { r.Args = nil }, false},
		"more actions":       {func(r *approval.Request) { r.Details[0].Actions = append(r.Details[0].Actions, "write") }, false},
		"another limit":      {func(r *approval.Request) { r.Details[0].Extra = map[string]json.RawMessage{"limit": []byte("4")} }, false},
		"two details":        {func(r *approval.Request) { r.Details = append(r.Details, rar.Detail{Type: "x"}) }, false},
		"another tool":       {func(r *approval.Request) { r.Tool = "other" }, false},
		"another API":        {func(r *approval.Request) { r.Origin = "https://other.example" }, false},
		"another agent":      {func(r *approval.Request) { r.Agent = "other (agt_2)" }, false},
		"for somebody else":  {func(r *approval.Request) { r.OnBehalfOf = "" }, false},
		"another risk":       {func(r *approval.Request) { r.Risk = "low" }, false},
		"for longer":         {func(r *approval.Request) { r.TTL = time.Hour }, false},
		"nothing before":     {func(r *approval.Request) { r.Before = nil }, false},
		"unreadable":         {func(r *approval.Request) { r.Problem = "broken" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := request(), request()
			second.ID, second.TaskID, second.TaskName, second.CallID = "jitr_2", "task_2", "Clean up too", "call_2"
			tt.change(&second)
			list := approval.Together([]approval.Request{first, second})
			if one := len(list) == 1; one != tt.one {
				t.Fatalf("Together() gives %d, want one question: %t", len(list), tt.one)
			}
			if !tt.one {
				return
			}
			text := list[0].Text()
			for _, want := range []string{"Clean up (task_1)", "Clean up too (task_2)", "“I need it”", "“" + second.Justification + "”"} {
				if !strings.Contains(text, want) {
					t.Errorf("the text does not show %q:\n%s", want, text)
				}
			}
			var r recorder
			err := list[0].Decide(t.Context(), &r, approval.Decision{Approve: true})
			if !errors.Is(err, approval.ErrDecided) || !slices.Equal(r.ids, []string{"jitr_1", "jitr_2"}) || !slices.Equal(r.digests, []string{first.Digest(), second.Digest()}) {
				t.Errorf("Decide() = %v, of %q bound to %q", err, r.ids, r.digests)
			}
		})
	}
	unknown := request()
	unknown.Tool = ""
	other := unknown
	other.TaskID = "task_2"
	if n := len(approval.Together([]approval.Request{unknown, other})); n != 2 {
		t.Errorf("calls that nobody knows of are %d questions, want 2", n)
	}
}
