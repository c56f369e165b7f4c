package approval_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/approval"
)

// A desk keeps what was decided.
type desk struct {
	waits   []approval.Request
	decided []approval.Decision
}

func (d *desk) Pending(context.Context) ([]approval.Request, bool, error) { return d.waits, false, nil }

func (d *desk) Decide(_ context.Context, _ string, how approval.Decision) error {
	d.decided = append(d.decided, how)
	return nil
}

func TestRights(t *testing.T) {
	blue := []string{"blue"}
	ada, bob := approval.Approver{ID: "ada", Issuer: "https://id.example.com", Email: "ada@example.com", Groups: blue}, approval.Approver{ID: "bob", Issuer: "https://id.example.com", Groups: blue}
	eve := approval.Approver{ID: "eve", Issuer: "https://evil.example.com", Groups: blue}
	allow := []approval.Group{{Issuer: "https://id.example.com", Name: "blue"}}
	yes, no, less := approval.Decision{Approve: true, Reason: "by eve"}, approval.Decision{Reason: "by eve"}, approval.Decision{Approve: true, TTL: time.Minute}
	part := approval.Decision{Approve: true, TTL: time.Minute, Less: []rar.Detail{{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_1"}}}
	type step struct {
		who  approval.Approver
		how  approval.Decision
		want error
	}
	asker := func(id string, err error) func(context.Context, approval.Request) (string, error) {
		return func(context.Context, approval.Request) (string, error) { return id, err }
	}
	cyd := approval.Approver{ID: "cyd", Issuer: "https://id.example.com", Groups: blue}
	unknown := errors.New("the journal is gone")
	for name, tt := range map[string]struct {
		rights  approval.Rights
		steps   []step
		decided int
	}{
		"nobody":                 {approval.Rights{}, []step{{ada, yes, approval.ErrMayNot}, {ada, no, approval.ErrMayNot}}, 0},
		"nobody is known":        {approval.Rights{Allow: allow}, []step{{approval.Approver{}, yes, approval.ErrMayNot}}, 0},
		"a group without an id":  {approval.Rights{Allow: []approval.Group{{Name: "blue"}}}, []step{{approval.Approver{Groups: blue}, yes, approval.ErrMayNot}}, 0},
		"another issuer":         {approval.Rights{Allow: allow}, []step{{eve, yes, approval.ErrMayNot}, {eve, no, approval.ErrMayNot}}, 0},
		"any issuer":             {approval.Rights{Allow: []approval.Group{{Name: "blue"}}}, []step{{eve, yes, nil}}, 1},
		"one's own":              {approval.Rights{Allow: allow}, []step{{ada, yes, approval.ErrOwn}, {ada, no, nil}, {bob, yes, nil}}, 2},
		"one's own, by session":  {approval.Rights{Allow: allow, Asker: asker("bob", nil)}, []step{{bob, yes, approval.ErrOwn}}, 0},
		"one's own, it is said":  {approval.Rights{Allow: allow}, []step{{cyd, yes, approval.ErrOwn}, {cyd, no, nil}}, 1},
		"nobody knows whose":     {approval.Rights{Allow: allow, Asker: asker("", unknown)}, []step{{bob, yes, unknown}, {bob, no, nil}}, 1},
		"one's own is allowed":   {approval.Rights{Allow: allow, Own: true}, []step{{ada, yes, nil}}, 1},
		"two":                    {approval.Rights{Allow: allow, Own: true, Quorum: 2}, []step{{ada, yes, approval.ErrOneMore}, {ada, yes, approval.ErrOneMore}, {bob, yes, nil}}, 1},
		"two, of which one asks": {approval.Rights{Allow: allow, Quorum: 2}, []step{{bob, yes, approval.ErrOneMore}, {ada, yes, approval.ErrOwn}, {bob, yes, approval.ErrOneMore}}, 0},
		"two, about two things":  {approval.Rights{Allow: allow, Own: true, Quorum: 2}, []step{{ada, yes, approval.ErrOneMore}, {bob, less, approval.ErrOneMore}, {ada, less, nil}}, 1},
		"two, one for a part":    {approval.Rights{Allow: allow, Own: true, Quorum: 2}, []step{{ada, part, approval.ErrOneMore}, {bob, less, approval.ErrOneMore}, {bob, part, nil}}, 1},
		"one no is enough":       {approval.Rights{Allow: allow, Quorum: 2}, []step{{bob, yes, approval.ErrOneMore}, {ada, no, nil}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			at := &desk{waits: []approval.Request{{
				ID: "jit_1", OnBehalfOf: "Ada@example.com", User: "cyd", Details: []rar.Detail{{Type: "file_access", Actions: []string{"read"}}}, ExpiresAt: time.Now().Add(time.Hour),
			}}}
			guarded := tt.rights.Guard(at)
			for i, s := range tt.steps {
				if err := guarded.Decide(approval.WithApprover(t.Context(), s.who), "jit_1", s.how); !errors.Is(err, s.want) {
					t.Errorf("step %d: %v, want %v", i, err, s.want)
				}
			}
			if len(at.decided) != tt.decided {
				t.Errorf("decided %+v, want %d", at.decided, tt.decided)
			}
			for _, how := range at.decided {
				if who, _, _ := strings.Cut(how.Reason, ": by eve"); how.TTL == 0 && who != "by "+tt.steps[len(tt.steps)-1].who.ID && who != "by ada" && who != "by ada and bob" || name == "two" && who != "by ada and bob" {
					t.Errorf("reason %q", how.Reason)
				}
			}
		})
	}
}

// An approval is of what was shown, and one without a person is none.
func TestRightsBindToWhatWasShown(t *testing.T) {
	r := approval.Request{ID: "jit_1", Details: []rar.Detail{{Type: "file_access", Actions: []string{"read"}}}}
	at := &desk{waits: []approval.Request{r}}
	guarded := approval.Rights{Allow: []approval.Group{{Name: "blue"}}, Quorum: 2}.Guard(at)
	in := func(id string) context.Context {
		return approval.WithApprover(t.Context(), approval.Approver{ID: id, Groups: []string{"blue"}})
	}
	if err := guarded.Decide(in("ada"), "jit_1", approval.Decision{Approve: true, Digest: r.Digest()}); !errors.Is(err, approval.ErrOneMore) {
		t.Fatal(err)
	}
	changed := r
	changed.Details = []rar.Detail{{Type: "file_access", Actions: []string{"delete"}}}
	at.waits[0] = changed
	if err := guarded.Decide(in("bob"), "jit_1", approval.Decision{Approve: true, Digest: r.Digest()}); !errors.Is(err, approval.ErrOtherRequest) {
		t.Errorf("what was shown has changed: %v", err)
	}
	if err := guarded.Decide(in("bob"), "jit_1", approval.Decision{Approve: true, Digest: changed.Digest()}); !errors.Is(err, approval.ErrOneMore) {
		t.Errorf("the other's approval was of something else: %v", err)
	}
	if err := guarded.Decide(t.Context(), "jit_1", approval.Decision{Approve: true}); !errors.Is(err, approval.ErrMayNot) || len(at.decided) != 0 {
		t.Errorf("without a person: %v, decided %v", err, at.decided)
	}
	at.waits[0].Problem = "it names no type"
	if err := guarded.Decide(in("bob"), "jit_1", approval.Decision{Approve: true}); !errors.Is(err, approval.ErrUnreadable) || len(at.decided) != 0 {
		t.Errorf("what cannot be read: %v, decided %v", err, at.decided)
	}
	if err := guarded.Decide(in("bob"), "jit_1", approval.Decision{}); err != nil {
		t.Errorf("what cannot be read is denied: %v", err)
	}
	if err := guarded.Decide(in("bob"), "jit_2", approval.Decision{Approve: true}); !errors.Is(err, approval.ErrDecided) {
		t.Errorf("what does not wait: %v", err)
	}
}
