package runner_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"
	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/runner"
)

// write stores a conversation: "u" is a message of the user, "m" the model's text,
// "cX" calls of ids X, one a letter, and "rX" their results.
func write(t testing.TB, service session.Service, events string) {
	t.Helper()
	ctx := context.Background()
	created, err := service.Create(ctx, &session.CreateRequest{AppName: "app", UserID: "user", SessionID: "s"})
	if err != nil {
		t.Fatal(err)
	}
	for i, word := range strings.Fields(events) {
		e := session.NewEvent(ctx, "earlier")
		e.Author, e.Content = "tester", &genai.Content{Role: genai.RoleModel}
		switch word[0] {
		case 'u':
			e.Author, e.Content = "user", genai.NewContentFromText(fmt.Sprint("u", i), genai.RoleUser)
		case 'm':
			e.Content.Parts = []*genai.Part{{Text: fmt.Sprint("m", i)}}
		case 'c':
			for _, id := range word[1:] {
				e.Content.Parts = append(e.Content.Parts, &genai.Part{FunctionCall: &genai.FunctionCall{ID: string(id), Name: "fetch"}})
			}
		case 'r':
			e.Content.Role = genai.RoleUser
			for _, id := range word[1:] {
				e.Content.Parts = append(e.Content.Parts, &genai.Part{FunctionResponse: &genai.FunctionResponse{
					ID: string(id), Name: "fetch", Response: map[string]any{"ok": true},
				}})
			}
		}
		if err := service.AppendEvent(ctx, created.Session, e); err != nil {
			t.Fatal(err)
		}
	}
}

// shown runs one message in the session and returns what the model was shown, as
// write takes it, and how many events the run said to have kept; -1 for all.
func shown(t testing.TB, service session.Service, limit int) (history string, kept int) {
	t.Helper()
	llm := plays(says("done"))
	w := &world{llm: llm, tools: []tool.Tool{act(t, "fetch", nothing)}, config: func(c *runner.Config) {
		c.Sessions, c.Limits.History = service, limit
	}}
	got := follow(context.Background(), t, w.runner(t), runner.Input{Session: "s", Text: "now"})
	if got.err != nil {
		t.Fatal(got.err)
	}
	kept = -1
	for _, e := range got.events {
		if cut, ok := e.(runner.HistoryCut); ok {
			if kept = cut.Kept; cut.Session != "s" {
				t.Errorf("%+v, want it about session s", cut)
			}
		}
	}
	var words []string
	for _, c := range llm.seen[0].Contents {
		word := c.Parts[0].Text
		for _, p := range c.Parts {
			switch {
			case p.FunctionCall != nil:
				word += "c"
			case p.FunctionResponse != nil:
				word += "r"
			}
		}
		words = append(words, word)
	}
	if last := words[len(words)-1]; last != "now" {
		t.Errorf("the last that the model is shown is %q, want the message", last)
	}
	return strings.Join(words[:len(words)-1], " "), kept
}

func TestHistoryIsCutBetweenTurns(t *testing.T) {
	for name, tt := range map[string]struct {
		events string
		limit  int
		want   string
		kept   int
	}{
		"nothing":                   {"", 2, "", -1},
		"within":                    {"u m u m", 4, "u0 m1 u2 m3", -1},
		"one too many":              {"u m u m u m", 4, "u2 m3 u4 m5", 4},
		"in the middle of a turn":   {"u ca ra m u m", 4, "u4 m5", 2},
		"before a result":           {"u ca ra m u cb rb m", 6, "u4 c r m7", 4},
		"parallel calls":            {"u m u cab rab m", 4, "u2 cc rr m5", 4},
		"the last turn is longer":   {"u m u ca ra cb rb m", 2, "u2 c r c r m7", 6},
		"the only turn is longer":   {"u ca ra cb rb m", 2, "u0 c r c r m5", -1},
		"a late result":             {"u m u ca u rb m u m", 2, "u7 m8", 2},
		"a result turns later":      {"u m u ca u m ra m u m", 7, "u8 m9", 2},
		"and its call is in reach":  {"u m u ca u m ra m u m", 8, "u2 c r u4 m5 m7 u8 m9", 8},
		"no turn begins":            {"m m m m", 2, "m0 m1 m2 m3", -1},
		"results without calls":     {"rx u m", 2, "u1 m2", 2},
		"one event":                 {"u m u m", 1, "u2 m3", 2},
		"more than there ever were": {"u m", 1 << 40, "u0 m1", -1},
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			service := session.InMemoryService()
			write(t, service, tt.events)
			history, kept := shown(t, service, tt.limit)
			if diff := cmp.Diff(tt.want, history); diff != "" || kept != tt.kept {
				t.Errorf("the model was shown (-want +got):\n%s\nwith %d events kept, want %d", diff, kept, tt.kept)
			}
			got, err := service.Get(t.Context(), &session.GetRequest{AppName: "app", UserID: "user", SessionID: "s"})
			if err != nil {
				t.Fatal(err)
			}
			if n := got.Session.Events().Len(); n < len(strings.Fields(tt.events))+2 {
				t.Errorf("%d events are stored, want all, and those of the run", n)
			}
		})
	}
}

// Whatever the conversation was, the model gets it in a form that strict providers
// take: the script refuses a call without its result, and a result without its call.
func TestCutHistoryIsWellFormed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var events []string
		id := 'a'
		for range rapid.IntRange(1, 8).Draw(rt, "turns") {
			events = append(events, "u")
			for range rapid.IntRange(0, 3).Draw(rt, "calls") {
				if id > 'x' {
					break
				}
				ids := string(id)
				if id++; rapid.Bool().Draw(rt, "two at once") {
					ids += string(id)
					id++
				}
				events = append(events, "c"+ids, "r"+ids)
			}
			if rapid.Bool().Draw(rt, "text") {
				events = append(events, "m")
			}
		}
		if last := len(events) - 1; events[last][0] == 'r' && rapid.Bool().Draw(rt, "interrupted") {
			events = events[:last] // a call of the last turn has no result
		}
		service := session.InMemoryService()
		write(t, service, strings.Join(events, " "))
		limit := rapid.IntRange(1, 30).Draw(rt, "limit")
		history, kept := shown(t, service, limit)
		if kept >= 0 && !strings.HasPrefix(history, "u") {
			rt.Errorf("%v, limit %d: the model was shown %q, which begins in the middle", events, limit, history)
		}
		lastTurn := len(events) - 1
		for events[lastTurn] != "u" {
			lastTurn--
		}
		if kept > max(limit, len(events)-lastTurn) {
			rt.Errorf("%v, limit %d: %d events kept", events, limit, kept)
		}
	})
}

// A long conversation is read from its end only, so that a turn late in it costs
// what an early one does.
func TestLongHistoryIsNotRead(t *testing.T) {
	service := &reads{Service: session.InMemoryService()}
	write(t, service, strings.Repeat("u m ", 500))
	shown(t, service, 20)
	if len(service.read) != 1 || service.read[0] > 21 {
		t.Errorf("events read: %v, want 21 at most, and once", service.read)
	}
}

// reads notes how many events each Get returns.
type reads struct {
	session.Service
	read []int
}

func (r *reads) Get(ctx context.Context, req *session.GetRequest) (*session.GetResponse, error) {
	got, err := r.Service.Get(ctx, req)
	if err == nil {
		r.read = append(r.read, got.Session.Events().Len())
	}
	return got, err
}
