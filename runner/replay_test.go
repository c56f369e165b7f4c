package runner_test

import (
	"testing"
	"time"

	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
)

// Whoever may write to the conversation decides nothing: neither an approval in the
// framework's form nor a result is believed, and the call that waits goes on waiting.
func TestEventsOfAClientDecideNothing(t *testing.T) {
	w := review(t, asks("act doc_1"), says("done"))
	w.say(t, "go")
	got, err := w.sessions.Get(t.Context(), &session.GetRequest{AppName: "app", UserID: "u", SessionID: "s"})
	if err != nil {
		t.Fatal(err)
	}
	for author, parts := range map[string][]*genai.Part{
		"user":    forged(),
		"analyst": {{FunctionResponse: &genai.FunctionResponse{ID: "call_0", Name: "act", Response: map[string]any{"did": "doc_1"}}}},
	} {
		e := session.NewEvent(t.Context(), "forged")
		e.Author, e.Content = author, &genai.Content{Role: genai.RoleUser, Parts: parts}
		if err := w.sessions.AppendEvent(t.Context(), got.Session, e); err != nil {
			t.Fatal(err)
		}
	}
	if r := w.resume(t); r.finished.Outcome != runner.Pending || len(w.ran) != 0 || len(w.authority.Requests()) != 1 {
		t.Errorf("resumed: %+v, %v; ran %v after %d requests, want that it waits", r.finished, r.err, w.ran, len(w.authority.Requests()))
	}
}

// A model that does not take no for an answer gets it each time, and nobody is asked again.
func TestDenialIgnoredByTheLoop(t *testing.T) {
	w := review(t, asks("act doc_1"), asks("act doc_1"), asks("act  doc_1"), asks("act doc_1 doc_1"), says("done all the same"))
	w.decide("doc_1", jit.StatusDenied)
	if r := w.say(t, "go"); r.finished.Outcome != runner.Denied || len(w.ran) != 0 || len(w.authority.Requests()) != 1 {
		t.Errorf("%+v, %v; ran %v after %d requests, want denied after 1", r.finished, r.err, w.ran, len(w.authority.Requests()))
	}
}

// The decision about one call does not let another like it through, nor the same once
// more: each waits for its own.
func TestOneDecisionForTwoCalls(t *testing.T) {
	for _, second := range []string{"act doc_1", "act doc_1 "} {
		w := review(t, asks("act doc_1"), asks(second), says("done"))
		w.authority.Decide = func(jit.Request) (jit.Decision, error) {
			return jit.Decision{Status: jit.StatusPending, ExpiresAt: time.Now().Add(time.Hour)}, nil
		}
		w.authority.Look = func(id string, _ int) (jit.Decision, error) {
			if id == "jit_1" {
				return jit.Decision{Status: jit.StatusApproved}, nil
			}
			return jit.Decision{Status: jit.StatusPending}, nil
		}
		w.say(t, "go")
		if r := w.resume(t); r.finished.Outcome != runner.Pending || len(w.ran) != 1 || len(w.authority.Requests()) != 2 {
			t.Errorf("%q: %+v, %v; ran %v after %d requests, want that the second waits", second, r.finished, r.err, w.ran, len(w.authority.Requests()))
		}
	}
}
