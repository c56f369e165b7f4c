package jit_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

func TestJournalHasEveryKindInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, authority := &journal{}, undecided(time.Hour, 2, jit.StatusApproved)
		c := offline(t, jit.Config{Authority: authority, Journal: log, Wait: time.Hour}, nil)
		synctest.Wait() // the task is open
		if status, _, err := c.send(t.Context(), reports(), "POST", c.base+"/reports", "text"); err != nil || status != 200 {
			t.Fatalf("POST = %d, %v", status, err)
		}
		if err := c.task.Complete(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"task_opening", "task_opened", "call", "call_sent", "call_returned", "refused", "demand", "decision", "decision", "grant",
			"call_sent", "call_returned", "task_completing", "task_completed",
		}
		if diff := cmp.Diff(want, log.kinds()); diff != "" {
			t.Errorf("journal (-want +got):\n%s", diff)
		}
		run := log.all()[0].Run
		for _, e := range log.all() {
			if e.Run == "" || e.Run != run || e.Time.IsZero() || (e.TaskID != "task_1" && e.Kind != jit.EntryTaskOpening) {
				t.Errorf("entry %s of run %q, task %q at %s, want all of one", e.Kind, e.Run, e.TaskID, e.Time)
			}
			switch e.Kind {
			case jit.EntryRequest, jit.EntryDecision, jit.EntryGrant:
				if e.Detail == nil || !rar.Equal(*e.Detail, write("reports")) || e.CallID != "call-1" || e.Tool != "create" {
					t.Errorf("entry %s of call %q, tool %q: %v", e.Kind, e.CallID, e.Tool, e.Detail)
				}
				if e.Kind != jit.EntryRequest && e.RequestID != "jit_1" {
					t.Errorf("entry %s of request %q, want jit_1", e.Kind, e.RequestID)
				}
			}
			if (e.Kind == jit.EntryGrant) != (e.TokenHash != "") {
				t.Errorf("entry %s has the token hash %q", e.Kind, e.TokenHash)
			}
		}
	})
}

// What an entry announces does not happen without it. Whatever the journal does,
// authority is given back.
func TestNothingHappensThatTheJournalDoesNotHave(t *testing.T) {
	for kind, want := range map[jit.EntryKind]struct{ created, sent, asked, redeemed, used int }{
		jit.EntryTaskOpening: {0, 0, 0, 0, 0},
		jit.EntryCallSent:    {1, 0, 0, 0, 0},
		jit.EntryRequest:     {1, 1, 0, 0, 0},
		jit.EntryGrant:       {1, 1, 1, 1, 0},
	} {
		t.Run(string(kind), func(t *testing.T) {
			authority, got := &fake.Authority{}, want
			got.created, got.sent, got.used = 0, 0, 0
			cfg := jit.Config{Authority: &counting{authority, &got.created}, Journal: &journal{fail: failOn(kind, 1)}}
			answer := guarded(needsPath)
			c := offline(t, cfg, nil).over(tripper(func(r *http.Request) (*http.Response, error) {
				got.sent++
				if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer grant-") {
					got.used++
				}
				return answer(r)
			}))
			_, _, err := c.send(t.Context(), reports(), "POST", c.base+"/reports", "text")
			if err == nil || !strings.Contains(err.Error(), "disk full") {
				t.Errorf("POST = %v", err)
			}
			if err := c.task.Complete(t.Context()); err != nil || len(authority.Completed()) != want.created {
				t.Errorf("Complete() = %v, completed %v, want %d", err, authority.Completed(), want.created)
			}
			got.asked, got.redeemed = len(authority.Requests()), authority.Redeemed()
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// The writes that wait for the disk, of a run that reads a document and makes a report.
// Each holds a promise: see docs/reliability.md.
func TestWritesThatWait(t *testing.T) {
	log := &journal{}
	c := offline(t, jit.Config{Authority: &fake.Authority{}, Journal: log}, nil).over(guarded(needsPath))
	want := func(of string, kinds ...string) {
		t.Helper()
		if diff := cmp.Diff(kinds, log.waited); diff != "" {
			t.Errorf("%s waits for (-want +got):\n%s", of, diff)
		}
		log.waited = nil
	}
	c.opened(t)
	want("the beginning", "task_opening")
	c.want200(t, "doc_1")
	want("a read that is refused first", "demand", "grant")
	c.want200(t, "doc_1")
	want("a read under a live grant")
	post := func(text string) {
		t.Helper()
		if _, _, err := c.send(t.Context(), reports(), "POST", c.base+"/reports", text); err != nil {
			t.Fatal(err)
		}
	}
	post("one")
	want("an effect that is refused first", "call_sent", "demand", "grant call_sent")
	post("two")
	want("an effect under a live grant", "call_sent")
	if err := c.task.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("the end")
}

// A token that comes when the task is over is on record, though nothing uses it.
func TestLateGrantIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &journal{}
		var c *client
		authority := &fake.Authority{Redeem: func(int) error { return c.task.Complete(context.Background()) }}
		c = offline(t, jit.Config{Authority: authority, Journal: log}, nil)
		if err := fetch(t.Context(), c, "doc_1"); !errors.Is(err, jit.ErrTaskEnded) {
			t.Errorf("GET = %v, want ErrTaskEnded", err)
		}
		synctest.Wait()
		if !slices.Contains(log.kinds(), string(jit.EntryGrant)) {
			t.Errorf("no grant in %v", log.kinds())
		}
	})
}

// A token whose grant the journal did not take is alive, though nobody uses it.
func TestUnrecordedTokenCountsAsIssued(t *testing.T) {
	seen := &events{}
	c := offline(t, jit.Config{Authority: &fake.Authority{}, Journal: &journal{fail: failOn(jit.EntryGrant, 1)}}, seen.observe)
	if err := fetch(t.Context(), c, "doc_1"); err == nil {
		t.Fatal("GET works, want an error")
	}
	if err := c.task.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if last, ok := seen.list()[len(seen.list())-1].(jit.Completed); !ok || last.Issued != 1 || last.Revoked != 1 {
		t.Errorf("last event %+v, want 1 issued, 1 revoked", last)
	}
}

func TestTokenHashesJoinUnderOneKeyOnly(t *testing.T) {
	hash := func(key []byte) string {
		log := &journal{}
		c := offline(t, jit.Config{Authority: &fake.Authority{}, Journal: log, TokenHashKey: key}, nil)
		c.want200(t, "doc_1")
		for _, e := range log.all() {
			if e.Kind == jit.EntryGrant {
				return e.TokenHash
			}
		}
		t.Fatal("no grant in the journal")
		return ""
	}
	key := []byte("a key of the operator")
	if a, b := hash(key), hash(key); a != b {
		t.Errorf("%s and %s under one key, want the same", a, b)
	}
	if a, b := hash(nil), hash(nil); a == b {
		t.Errorf("%s twice under random keys", a)
	}
}

func TestConfigIsChecked(t *testing.T) {
	ok := &fake.Authority{}
	for name, cfg := range map[string]jit.Config{
		"Authority":                            {},
		"Policy[1]":                            {Authority: ok, Policy: []rar.Detail{read("doc_1"), {}}},
		"TTL":                                  {Authority: ok, TTL: -1},
		"TTL is not a whole number of seconds": {Authority: ok, TTL: 500 * time.Millisecond},
		"Wait":                                 {Authority: ok, Wait: -1},
		"PollInterval":                         {Authority: ok, PollInterval: -1},
		"MaxPending":                           {Authority: ok, MaxPending: -1},
		"CompleteTimeout":                      {Authority: ok, CompleteTimeout: -1},
		"MaxEscalations":                       {Authority: ok, MaxEscalations: -1},
	} {
		if _, err := jit.New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New() without a good %s = %v, want an error that names it", name, err)
		}
	}
}

// What the engine was configured with holds, whatever the caller does to it later.
func TestConfigIsCopied(t *testing.T) {
	policy := []rar.Detail{read("doc_1")}
	rules := rar.Rules{}
	authority := &fake.Authority{}
	c := offline(t, jit.Config{Authority: authority, Policy: policy, Rules: rules}, nil)
	policy[0].Actions[0] = "write"
	policy[0].Identifier = "doc_2"
	rules["file_access"] = func(_, _ rar.Detail) error { return nil }
	if err := fetch(t.Context(), c, "doc_2"); !errors.Is(err, jit.ErrOutsideCeiling) {
		t.Errorf("GET doc_2 = %v, want outside the ceiling", err)
	}
	c.want200(t, "doc_1")
}
