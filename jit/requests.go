package jit

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jitagent/jitagent/rar"
)

// requests are what a task asks the authorization server for. Each demand is asked
// for once, however many calls make it at a time: they share a [flight], as long as no
// person decides; then the calls that the person is told the same of do. What was
// denied stays denied, and what is open is gone on with, never asked again. After
// close nothing is asked.
type requests struct {
	ctx    context.Context // the life of what calls share, which is not the life of any one call
	cancel context.CancelFunc

	mu       sync.Mutex
	closed   bool
	flying   int           // flights that have not landed, whether or not they are listed
	idle     chan struct{} // of a close that waits for them: closed when the last one has
	flights  map[grantKey]*flight
	open     map[grantKey]openRequest
	persons  map[grantKey]bool // the demands that persons decide
	standing *standing
}

// An openRequest is one that the authorization server knows and that is not done
// with: pending, or approved and not redeemed. A call with the same demand goes on
// from there; nobody is asked twice.
type openRequest struct {
	Decision
	asked time.Time
	left  bool // by a process that is gone
}

// A flight is one request for authority under way. It lives under the task, not under
// the call that started it. When its last waiter leaves while a person is waited for,
// polling stops; a request or redemption that is under way is still brought to its
// end, so that its answer is not lost. Its fields are guarded by requests.mu.
type flight struct {
	key     grantKey // with the call, once a person is known to decide
	state   flightState
	changed chan struct{} // closed when state changes
	waiters int
	pending Decision           // in state waiting
	stop    context.CancelFunc // in state waiting: ends the polling
	grant   *Grant             // with err, in state landed
	taken   bool               // the grant is for one operation, which has it
	err     error
}

type flightState uint8

const (
	talking flightState = iota // the server is being asked
	waiting                    // a person is
	landed                     // there is a grant, or an error
)

var (
	// errAbandoned ends a flight that nobody waits for.
	errAbandoned = errors.New("jit: nobody waits for this request any more")
	// errOtherCall: a person decides, about another call.
	errOtherCall = errors.New("jit: the request is about another call")
)

func newRequests(ctx context.Context, d *standing) *requests {
	r := &requests{flights: map[grantKey]*flight{}, open: map[grantKey]openRequest{}, persons: map[grantKey]bool{}, standing: d}
	r.ctx, r.cancel = context.WithCancel(ctx)
	return r
}

// close stops the requests under way and waits for them, so that none of them
// creates authority afterwards, but no longer than ctx, and than most.
func (r *requests) close(ctx context.Context, most time.Duration) {
	r.mu.Lock()
	r.closed = true
	if r.flying > 0 && r.idle == nil {
		r.idle = make(chan struct{})
	}
	idle := r.idle
	r.mu.Unlock()
	r.cancel()
	if idle == nil {
		return
	}
	select {
	case <-idle:
	case <-time.After(most):
	case <-ctx.Done():
	}
}

// join gets on the flight for a call's demand, and has fly start one where there is
// none. It returns nil after close.
func (r *requests) join(key grantKey, call *scope, fly func(*flight) (*Grant, error)) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	if r.persons[key] {
		key.call = call.said()
	}
	f := r.flights[key]
	if f == nil {
		f = &flight{key: key, changed: make(chan struct{})}
		r.flights[key] = f
		r.flying++
		go func() {
			grant, err := fly(f)
			r.mu.Lock()
			defer r.mu.Unlock()
			if f.stop != nil {
				f.stop()
			}
			f.grant, f.err = grant, err
			f.enter(landed)
			r.forget(f)
			if r.flying--; r.flying == 0 && r.idle != nil {
				close(r.idle)
			}
		}()
	}
	f.waiters++
	return f
}

// enter changes a flight's state and tells those who wait.
func (f *flight) enter(s flightState) {
	f.state = s
	close(f.changed)
	f.changed = make(chan struct{})
}

// look returns a flight as it is, and what is closed at its next change.
func (r *requests) look(f *flight) (now flight, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return *f, f.changed
}

// leave gets off a flight. The last one to leave stops the polling; a later call with
// the same demand starts a new flight, which goes on with the pending request.
func (r *requests) leave(f *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.waiters--; f.waiters == 0 && f.state == waiting {
		f.stop()
		r.forget(f)
	}
}

// forget takes a flight off the list.
func (r *requests) forget(f *flight) {
	if r.flights[f.key] == f {
		delete(r.flights, f.key)
	}
}

// bind keeps a flight for the calls that a person is told the same of as of this one,
// and returns its key. The others leave it.
func (r *requests) bind(f *flight, call *scope) grantKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.persons[f.key.any()] = true
	if f.key.call == "" {
		r.forget(f)
		f.key.call = call.said()
		r.flights[f.key] = f
	}
	return f.key
}

// await puts a flight into state waiting, and returns the context to poll under. It
// fails when nobody is on the flight any more.
func (r *requests) await(f *flight, pending Decision) (context.Context, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.waiters == 0 {
		r.forget(f)
		return nil, errAbandoned
	}
	var ctx context.Context
	ctx, f.stop = context.WithCancel(r.ctx)
	f.pending = pending
	f.enter(waiting)
	return ctx, nil
}

// decided ends the state waiting: from here on nobody's leaving stops the flight. It
// fails when the flight was given up in the last moment: the next call looks for
// itself, or is doing so.
func (r *requests) decided(f *flight) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.stop()
	if r.flights[f.key] != f {
		return errAbandoned
	}
	f.enter(talking)
	return nil
}

// opened returns the request that earlier calls left open for key.
func (r *requests) opened(key grantKey) (openRequest, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	req, ok := r.open[key]
	return req, ok
}

// keep keeps what a decision means for later calls.
func (r *requests) keep(key grantKey, d rar.Checked, req openRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch req.Status {
	case StatusPending, StatusApproved:
		r.open[key] = req
		return
	case StatusDenied:
		r.standing.deny(denial{key.origin, d, deniedError(d, req.Decision)})
	}
	delete(r.open, key)
}

// done forgets an open request: it was redeemed, or never will be.
func (r *requests) done(key grantKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, key)
}

// lapse forgets a request whose state could not be read, for err, and whose window is
// over, or of which nothing is to be had.
func (r *requests) lapse(key grantKey, req openRequest, err error) {
	if errors.Is(err, ErrSpent) || !time.Now().Before(req.ExpiresAt) {
		r.done(key)
	}
}

// take gives the grant of a flight to one operation.
func (r *requests) take(f *flight) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	had := f.taken
	f.taken = true
	return !had
}
