package stores

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/platform"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/session/sessiontestsuite"

	"github.com/jitagent/jitagent/runner"
	store "github.com/jitagent/jitagent/state/session"
)

// ADK's own tests of a session service hold on Postgres too.
func TestServiceContract(t *testing.T) {
	sessiontestsuite.RunServiceTests(t, sessiontestsuite.SuiteOptions{SupportsUserProvidedSessionID: true}, func(t *testing.T) session.Service {
		s, err := store.New(database(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}

// What a call says reaches the tool unchanged after a decision and a restart, and what
// the model is shown in later turns is the same whatever keeps it.
func TestValuesAreKept(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		w := newWorld(t, p)
		w.approved = false
		w.tool.result = map[string]any{"id": int64(1234567890123456789), "none": map[string]any{}, "nul": "a\x00b"}
		want := map[string]any{"big": json.Number("1234567890123456789"), "none": map[string]any{}, "list": []any{}, "nul": "a\x00b", "small": 1.5}
		m := &peer{calls: []map[string]any{want}}
		if last, err := end(w.process(m).Run(t.Context(), input("wait\x00"))); err != nil || len(last.Waiting) != 1 {
			t.Fatalf("%+v, %v, want it suspended", last, err)
		}
		w.approved = true
		w.done(w.process(m).Resume(t.Context(), input("")))
		if diff := cmp.Diff([]any{want}, w.tool.got); diff != "" {
			t.Errorf("the tool got (-want +got):\n%s", diff)
		}
		m.calls = []map[string]any{{}}
		w.tool.result = map[string]any{}
		w.done(w.process(m).Run(t.Context(), input("nothing")))
		w.done(w.process(m).Run(t.Context(), input("and now?")))
		var shown []string
		for _, c := range m.seen {
			text, err := json.Marshal(c.Parts[0])
			if err != nil {
				t.Fatal(err)
			}
			shown = append(shown, string(text))
		}
		if diff := cmp.Diff([]string{
			`{"text":"wait�"}`,
			`{"functionCall":{"id":"call_1","args":{"big":"1234567890123456789","list":[],"none":{},"nul":"a�b","small":1.5},"name":"act"}}`,
			`{"functionResponse":{"id":"call_1","name":"act","response":{"id":"1234567890123456789","none":{},"nul":"a�b"}}}`,
			`{"text":"answer"}`,
			`{"text":"nothing"}`,
			`{"functionCall":{"id":"call_5","name":"act"}}`,
			`{"functionResponse":{"id":"call_5","name":"act"}}`,
			`{"text":"answer"}`,
			`{"text":"and now?"}`,
		}, shown); diff != "" {
			t.Errorf("the next turn is shown (-want +got):\n%s", diff)
		}
	})
}

// Events come back in the order in which they came, whatever the clock does.
func TestOrderNeedsNoClock(t *testing.T) {
	for name, tick := range map[string]time.Duration{"stands still": 0, "steps back": -time.Second, "is finer than the store's": time.Nanosecond} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, p place) {
				w := newWorld(t, p)
				var mu sync.Mutex
				now := time.Now().Truncate(time.Millisecond)
				ctx := platform.WithTimeProvider(t.Context(), func() time.Time {
					mu.Lock()
					defer mu.Unlock()
					now = now.Add(tick)
					return now
				})
				const turns = 4
				for i := range turns {
					m := &peer{calls: []map[string]any{{"turn": i}}}
					w.done(w.process(m).Run(ctx, input(fmt.Sprint("message ", i))))
				}
				got := w.history()
				if len(got) != 4*turns {
					t.Fatalf("%d events", len(got))
				}
				for i, ev := range got {
					if i > 0 && ev.Timestamp.UnixMicro() <= got[i-1].Timestamp.UnixMicro() {
						t.Errorf("event %d has no time of its own: %s", i, ev.Timestamp)
					}
					if said := ev.Content.Parts[0].Text; i%4 == 0 && said != fmt.Sprint("message ", i/4) || i%4 == 3 && said != "answer" {
						t.Errorf("event %d is %q", i, said)
					}
				}
			})
		})
	}
}

// A deleted conversation leaves nothing to the next one of its name.
func TestDeletedAndUsedAgain(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		w := newWorld(t, p)
		w.approved = false
		m := &peer{calls: []map[string]any{{"a": "secret"}}}
		if last, err := end(w.process(m).Run(t.Context(), input("my secret"))); err != nil || len(last.Waiting) != 1 {
			t.Fatalf("%+v, %v, want it suspended", last, err)
		}
		service, kept := p.open()
		if err := service.Delete(t.Context(), &session.DeleteRequest{AppName: "app", UserID: "u", SessionID: "s"}); err != nil {
			t.Fatal(err)
		}
		if p.name == "memory" { // its two halves are apart
			_ = kept.Drop(t.Context(), "app", "u", "s", "")
		}
		m = &peer{}
		w.done(w.process(m).Run(t.Context(), input("new")))
		if text, err := json.Marshal(m.seen); err != nil || strings.Contains(string(text), "secret") || len(m.seen) != 1 {
			t.Errorf("the next conversation is shown %s, %v", text, err)
		}
	})
}

// Two processes at once in one conversation: what one of them was told is done is
// there, and the conversation can be gone on with.
func TestTwoWriters(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		w := newWorld(t, p)
		w.done(w.process(&peer{}).Run(t.Context(), input("begin")))
		const rounds = 8
		var done []string
		for round := range rounds {
			var wg sync.WaitGroup
			var mu sync.Mutex
			for n := range 2 {
				text := fmt.Sprintf("message %d of %d", round, n)
				r := w.process(&peer{calls: []map[string]any{{"text": text}}})
				wg.Go(func() {
					if last, err := end(r.Run(t.Context(), input(text))); err == nil && last.Outcome == runner.Done {
						mu.Lock()
						defer mu.Unlock()
						done = append(done, text)
					}
				})
			}
			wg.Wait()
			w.done(w.process(&peer{}).Run(t.Context(), input("more")))
		}
		kept, err := json.Marshal(w.history())
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range done {
			if n := strings.Count(string(kept), `"`+text+`"`); n != 2 {
				t.Errorf("%q is kept %d times, want the message and the call", text, n)
			}
		}
		t.Logf("%d of %d runs came to their end", len(done), 2*rounds)
	})
}

// One process resumes a suspended conversation, and another one does not.
func TestTwoThatResume(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		w := newWorld(t, p)
		w.approved = false
		m := &peer{calls: []map[string]any{{}}}
		if last, err := end(w.process(m).Run(t.Context(), input("go"))); err != nil || len(last.Waiting) != 1 {
			t.Fatalf("%+v, %v, want it suspended", last, err)
		}
		w.approved = true
		var wg sync.WaitGroup
		for range 4 {
			r := w.process(&peer{})
			wg.Go(func() { _, _ = end(r.Resume(t.Context(), input(""))) })
		}
		wg.Wait()
		if len(w.tool.got) != 1 {
			t.Errorf("the call ran %d times", len(w.tool.got))
		}
		w.done(w.process(&peer{}).Run(t.Context(), input("more")))
	})
}

// A store that another process holds is waited for; where that takes too long the run
// ends, and the conversation can be gone on with.
func TestLockedStore(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		if p.lock == nil {
			return // memory is one process's own
		}
		w := newWorld(t, p)
		w.done(w.process(&peer{}).Run(t.Context(), input("begin")))
		args := func() []map[string]any { return []map[string]any{{}} }
		m := &peer{calls: args(), first: func() { time.AfterFunc(100*time.Millisecond, p.lock()) }}
		w.done(w.process(m).Run(t.Context(), input("wait")))

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var release func()
		m = &peer{calls: args(), first: func() {
			release = p.lock()
			time.AfterFunc(100*time.Millisecond, cancel)
		}}
		if last, err := end(w.process(m).Run(ctx, input("too long"))); err == nil || last.Outcome == runner.Done {
			t.Errorf("the run ended with %+v, %v", last, err)
		}
		release()
		if len(w.tool.got) != 1 {
			t.Errorf("the tool ran %d times, want once: a call that is not kept does not run", len(w.tool.got))
		}
		w.done(w.process(&peer{}).Run(t.Context(), input("more")))
	})
}

// What is listed and pruned is the same on Postgres.
func TestRecentAndPrune(t *testing.T) {
	w := newWorld(t, place{})
	s, err := store.New(database(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w.open = func() (session.Service, runner.Suspensions) { return s, s }
	w.approved = false
	_, _ = end(w.process(&peer{calls: []map[string]any{{}}}).Run(t.Context(), input("waits")))
	w.done(w.process(&peer{}).Run(t.Context(), runner.Input{User: "u", Session: "other", Text: "is over"}))
	list, err := s.Recent(t.Context(), "app", 9, false)
	if err != nil || len(list) != 2 || list[0].Title != "is over" || list[1].Title != "waits" || len(list[1].Waiting) != 1 {
		t.Errorf("Recent() = %+v, %v", list, err)
	}
	if list, err := s.Recent(t.Context(), "app", 9, true); err != nil || len(list) != 1 || list[0].ID != "s" {
		t.Errorf("the suspended ones: %+v, %v", list, err)
	}
	if n, err := s.Prune(t.Context(), time.Now().Add(30*time.Minute)); n != 1 || err != nil {
		t.Errorf("Prune() = %d, %v, want 1: one still waits", n, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Recent(t.Context(), "app", 9, false); err == nil {
		t.Error("it can be read when it is closed")
	}
}
