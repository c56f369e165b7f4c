package serve

import (
	"context"
	"iter"

	adk "google.golang.org/adk/v2/agent"
	adkrunner "google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"
)

// Turns answer messages for handlers of [Config.Mount]: as the REST API does, within the
// same limits. The user is that of the context, see [User].
type Turns struct {
	Config // with defaults filled in

	s *server
}

// Session reads a session of the user. One that is not there, or another user's, is a
// [Refusal] with the status 404.
func (t Turns) Session(ctx context.Context, app, id string) (session.Session, error) {
	user, _ := User(ctx)
	return t.s.find(ctx, place{app, user.ID, id})
}

// Begun is Session, and makes the session if it is not there.
func (t Turns) Begun(ctx context.Context, app, id string) (session.Session, error) {
	user, _ := User(ctx)
	one, _, err := t.s.begun(ctx, place{app, user.ID, id}, nil)
	return one, err
}

// Enter lets a turn begin, or fails with a [Refusal]. The turn is done under the context,
// and end is called after it.
func (t Turns) Enter(ctx context.Context) (_ context.Context, end func(), err error) {
	return t.s.limited(ctx)
}

// Answer goes on with what waits in a session, and then says a message to it: text and
// media, with what its event changes in the session's state. nil says nothing. What is
// yielded are the events of the message. An error is one for [Turns.Told]; a [Refusal] with
// the status 409 says that the session has something else to do, and may be tried again.
func (t Turns) Answer(ctx context.Context, app, id string, message *genai.Content, state map[string]any) iter.Seq2[*session.Event, error] {
	return func(yield func(*session.Event, error) bool) {
		user, _ := User(ctx)
		_, waiting, err := t.s.goOn(ctx, place{app, user.ID, id}, message != nil)
		if err == nil && message != nil && len(waiting) > 0 {
			err = unsaid(waiting)
		}
		if err != nil {
			yield(nil, err)
		}
		if err != nil || message == nil {
			return
		}
		for ev, err := range t.s.runners[app].Run(ctx, user.ID, id, message, adk.RunConfig{}, adkrunner.WithStateDelta(state)) {
			if err != nil {
				err = worded(err)
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

// Told returns what a client is told of an error. The log has the rest.
func (t Turns) Told(ctx context.Context, err error) *Refusal { return t.s.told(ctx, err) }

// Decides reports whether the user may decide at Decider.
func (t Turns) Decides(ctx context.Context) bool { return t.s.decides(ctx) }
