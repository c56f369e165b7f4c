package runner

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"reflect"
	"slices"
	"time"

	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"
)

// recent is a session service that shows ADK the end of a long conversation only.
// ADK copies all that it is shown for each model call, and the model is sent it: a
// session costs the square of its length. Nothing is deleted, and what runs append
// is appended to the whole.
//
// It names its service and does not embed it: a method added to ADK's interface
// must stop the build here, not pass by unseen.
type recent struct {
	all   session.Service
	limit int // events
}

var _ session.Service = recent{}

// Conversations returns sessions as a [Runner] has ADK see and store them, for an
// application with [NewPlugin]: the model is shown the last history events, as
// [Limits] has it (0 is its default), events keep their order, and numbers stay as they
// were written. What it returns takes sessions of all, too.
func Conversations(all session.Service, history int) session.Service {
	return recent{all, cmp.Or(history, defaultHistory)}
}

// Create implements [session.Service].
func (s recent) Create(ctx context.Context, req *session.CreateRequest) (*session.CreateResponse, error) {
	return s.all.Create(ctx, req)
}

// List implements [session.Service].
func (s recent) List(ctx context.Context, req *session.ListRequest) (*session.ListResponse, error) {
	return s.all.List(ctx, req)
}

// Delete implements [session.Service].
func (s recent) Delete(ctx context.Context, req *session.DeleteRequest) error {
	return s.all.Delete(ctx, req)
}

// AppendEvent implements [session.Service]. Services know their own sessions only.
// Arguments of calls are kept as [storable] has them.
//
// Each event gets a time after that of the one before: stores put events in order by
// its microseconds, and a clock may stand still or step back.
func (s recent) AppendEvent(ctx context.Context, to session.Session, ev *session.Event) error {
	if w, ok := to.(*window); ok {
		to = w.Session
	}
	r := runOf(ctx)
	if r != nil {
		var err error
		if ev, err = r.storing(ctx, ev); ev == nil || err != nil {
			return err
		}
		ev = r.naming.attributed(ev)
	}
	if last := lastTime(to); ev.Timestamp.UnixMicro() <= last.UnixMicro() {
		later := *ev
		later.Timestamp, ev = last.Add(time.Microsecond), &later
	}
	if ev.Content != nil {
		for i, p := range ev.Content.Parts {
			if p == nil || p.FunctionCall == nil || p.FunctionCall.Args == nil {
				continue
			}
			args, ok := storable(p.FunctionCall.Args).(map[string]any)
			if !ok || reflect.DeepEqual(args, p.FunctionCall.Args) {
				continue
			}
			// The tool is called with the event as it is.
			kept, content, part, call := *ev, *ev.Content, *p, *p.FunctionCall
			call.Args, part.FunctionCall = args, &call
			content.Parts = slices.Clone(content.Parts)
			content.Parts[i], kept.Content = &part, &content
			ev = &kept
		}
	}
	err := s.all.AppendEvent(ctx, to, ev)
	if r != nil && err == nil {
		r.stored(ev)
	}
	return err
}

// storable returns what is kept of an argument: a number beyond 2^53 as its text, since
// stores read numbers back as float64 and the model's next turn would see another one,
// and no U+0000, which Postgres refuses.
func storable(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, member := range v {
			out[cleared(name)] = storable(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = storable(element)
		}
		return out
	case json.Number:
		return v.String()
	case string:
		return cleared(v)
	}
	return v
}

// lastTime returns the time of a session's last change.
func lastTime(s session.Session) time.Time {
	events := s.Events()
	if n := events.Len(); n > 0 {
		return later(s.LastUpdateTime(), events.At(n-1).Timestamp)
	}
	return s.LastUpdateTime()
}

// Get implements [session.Service]. It reads no more than it shows, unless the last
// turn alone is longer. What a run has read already is not read again.
func (s recent) Get(ctx context.Context, req *session.GetRequest) (*session.GetResponse, error) {
	part := *req
	if r := runOf(ctx); r != nil && r.read != nil && part == (session.GetRequest{AppName: r.r.cfg.App, UserID: r.place.user, SessionID: r.place.session}) {
		got := r.read
		r.read = nil
		return got, nil
	}
	if part.NumRecentEvents <= 0 || part.NumRecentEvents > s.limit {
		part.NumRecentEvents = s.limit + 1 // the one more tells whether there is more
	}
	got, err := s.all.Get(ctx, &part)
	if err != nil || got.Session.Events().Len() <= s.limit {
		return got, err
	}
	from := cut(got.Session.Events(), s.limit)
	if from == 0 { // no place to begin among those
		if got, err = s.all.Get(ctx, req); err != nil {
			return nil, err
		}
		if from = cut(got.Session.Events(), s.limit); from == 0 {
			return got, nil
		}
	}
	return &session.GetResponse{Session: &window{Session: got.Session, from: from}}, nil
}

// cut returns where to begin, so that at most limit events are left, and whole
// turns only: it begins with a message of the user, and with each result there is
// its call. Where the last turn is longer than that, it is left whole. 0 leaves
// everything.
func cut(events session.Events, limit int) (from int) {
	calls := map[call]int{} // results without their calls, from here on
	missing := 0
	for i := events.Len() - 1; i >= 0; i-- {
		if from > 0 && events.Len()-i > limit {
			break
		}
		ev := events.At(i)
		if ev.Content == nil {
			continue
		}
		for _, p := range ev.Content.Parts {
			switch {
			case p == nil:
			case p.FunctionResponse != nil:
				calls[call{p.FunctionResponse.ID, p.FunctionResponse.Name}]++
				missing++
			case p.FunctionCall != nil:
				if c := (call{p.FunctionCall.ID, p.FunctionCall.Name}); calls[c] > 0 {
					calls[c]--
					missing--
				}
			}
		}
		if missing == 0 && startsTurn(ev) {
			from = i
		}
	}
	return from
}

// A call is how a result names what it is the result of.
type call struct{ id, name string }

func startsTurn(ev *session.Event) bool {
	return ev.Author == string(genai.RoleUser) && len(ev.Content.Parts) > 0
}

// A window is a session of which the first events are not shown.
type window struct {
	session.Session
	from int
}

// Events implements [session.Session]: those that are shown, and what came since.
func (w *window) Events() session.Events { return tail{w.Session.Events(), w.from} }

// keptAll says that a session is shown whole.
const keptAll = -1

// kept returns how many events of a session are shown, or keptAll.
func kept(s session.Session) int {
	if w, ok := s.(*window); ok {
		return w.Events().Len()
	}
	return keptAll
}

// tail is events without the first few.
type tail struct {
	all  session.Events
	from int
}

// Len implements [session.Events].
func (t tail) Len() int { return t.all.Len() - t.from }

// At implements [session.Events].
func (t tail) At(i int) *session.Event {
	if i < 0 {
		return nil
	}
	return t.all.At(t.from + i)
}

// All implements [session.Events].
func (t tail) All() iter.Seq[*session.Event] {
	return func(yield func(*session.Event) bool) {
		for i := range t.Len() {
			if !yield(t.At(i)) {
				return
			}
		}
	}
}
