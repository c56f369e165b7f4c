package jit

import (
	"context"
	"errors"
	"fmt"
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

// standing is what was decided for a family of tasks, which none of them may ask again.
type standing struct {
	mu     sync.Mutex
	denied []denial          // only ever appended to
	signed map[string]string // the transactions that were demanded: the call's [scope.alone], "" once granted
}

// An openRequest is one that the authorization server knows and that is not done
// with: pending, or approved and not redeemed. A call with the same demand goes on
// from there; nobody is asked twice.
type openRequest struct {
	Decision
	asked time.Time
	left  bool // by a process that is gone
}

// A denial is a demand that was denied, and the answer to whoever makes it again.
type denial struct {
	origin Origin
	demand rar.Checked
	err    *DeniedError
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

// begin notes the transaction of a signed challenge that a call has to ask for. It
// reports false where that was another call's, or was granted before.
func (d *standing) begin(txn, call string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	first, seen := d.signed[txn]
	if !seen {
		if d.signed == nil {
			d.signed = map[string]string{}
		}
		d.signed[txn] = call
	}
	return !seen || first == call
}

// spend notes that a transaction was granted.
func (d *standing) spend(txn string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.signed[txn] = ""
}

func (d *standing) deny(no denial) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.denied = append(d.denied, no)
}

// take gives the grant of a flight to one operation.
func (r *requests) take(f *flight) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	had := f.taken
	f.taken = true
	return !had
}

// before returns the answer to a demand of which all or part was denied. A person's no
// stands for the whole task, and for those above and below it: asking again until they
// tire, or packed into something larger, would make the decision worthless. Scopes mean
// what the API that names them says, whose server may be another: there a no stands for
// that API.
func (d *standing) before(origin Origin, ask rar.Checked, rules rar.Rules) error {
	d.mu.Lock()
	denied := d.denied[:len(d.denied):len(d.denied)]
	d.mu.Unlock()
	for _, no := range denied {
		if no.origin != origin && ask.Detail().IsScopes() {
			continue
		}
		if rar.Covers(ask, no.demand) || rules.Within(no.demand, ask) == nil {
			return no.err
		}
	}
	return nil
}

// request runs the whole exchange with the authorization server for one demand.
func (s *scope) request(f *flight, d rar.Checked, ahead bool) (*Grant, error) {
	t, r := s.task, s.task.requests
	id, err := t.ID(r.ctx)
	if err != nil {
		return nil, err
	}
	sent := time.Now()
	req, err := s.ask(r.ctx, id, f, d, ahead)
	if err != nil {
		return nil, err
	}
	now, _ := r.look(f)
	key := now.key
	if req.Status == StatusPending {
		polling, err := r.await(f, req.Decision)
		if err != nil {
			return nil, err
		}
		dec, err := s.poll(polling, key, d, req.Decision, sent)
		if err != nil {
			r.lapse(key, req, err) // otherwise it stays open: a later call resumes it
			return nil, err
		}
		if err := r.decided(f); err != nil {
			return nil, err
		}
		req.Decision = dec
		r.keep(key, d, req)
		s.report(key, d, dec, time.Since(req.asked))
	}
	if req.Status != StatusApproved {
		return nil, deniedError(d, req.Decision)
	}
	g, err := s.redeem(r.ctx, key, d, req.Decision)
	if _, again := temporary(err); !again {
		r.done(key)
	}
	return g, err
}

// ask sends the request, or goes on with the one that an earlier call left open,
// or repeats a denial.
func (s *scope) ask(ctx context.Context, taskID string, f *flight, d rar.Checked, ahead bool) (openRequest, error) {
	t := s.task
	now, _ := t.requests.look(f)
	key := now.key
	if open, ok := t.requests.opened(key); ok {
		req, err := s.resume(ctx, key, d, open)
		if !open.left || !errors.Is(err, ErrSpent) {
			return req, err
		} // a login, say, that nobody waits for any more: another is begun
	}
	if err := t.standing.before(key.origin, d, t.engine.cfg.Rules); err != nil {
		return openRequest{}, err
	}
	if err := t.Alive(ctx); err != nil {
		return openRequest{}, err
	}
	detail := d.Detail()
	entry := s.entry(EntryRequest)
	entry.TaskID, entry.Detail, entry.Justification = taskID, &detail, s.call.Justification
	if err := t.record(ctx, entry); err != nil {
		return openRequest{}, err
	}
	t.emit(Requested{About: s.about(), Detail: detail, Justification: s.call.Justification, Ahead: ahead})
	req := openRequest{asked: time.Now()}
	var err error
	req.Decision, err = t.engine.cfg.Authority.Request(ctx, Request{
		TaskID: taskID, Detail: detail, Justification: s.call.Justification, TTL: t.engine.cfg.TTL, For: s.purpose(key.origin),
	})
	if err == nil {
		err = identify(&req.Decision, "", taskID)
	}
	if err != nil {
		return openRequest{}, &AuthorityError{opRequest, err}
	}
	s.compare(key, d, &req.Decision)
	if req.Status == StatusPending {
		if !req.ForTask {
			key = t.requests.bind(f, s)
		}
		if !req.ExpiresAt.After(time.Now()) {
			// The server names no end, or one that has passed as soon as it is named:
			// the clocks differ.
			req.ExpiresAt = req.asked.Add(t.engine.cfg.MaxPending)
		}
	}
	t.requests.keep(key, d, req)
	s.report(key, d, req.Decision, time.Since(req.asked))
	return req, nil
}

// resume looks at once at a request that was left open: the decision may have
// come while nobody waited.
func (s *scope) resume(ctx context.Context, key grantKey, d rar.Checked, open openRequest) (openRequest, error) {
	if open.Status != StatusPending {
		return open, nil
	}
	dec, err := s.look(ctx, key, d, open.Decision)
	if err != nil {
		s.task.requests.lapse(key, open, err)
		return openRequest{}, err
	}
	open.Decision = dec
	if dec.Status == StatusPending {
		if time.Now().Before(dec.ExpiresAt) {
			return open, nil
		}
		open.Status = StatusExpired
	}
	s.task.requests.keep(key, d, open)
	s.report(key, d, open.Decision, time.Since(open.asked))
	return open, nil
}

// identify fills in the ids that an answer leaves out, and refuses an answer that
// is about another request or task. requestID is "" for a new request.
func identify(dec *Decision, requestID, taskID string) error {
	if dec.RequestID == "" {
		dec.RequestID = requestID
	}
	if dec.TaskID == "" {
		dec.TaskID = taskID
	}
	switch {
	case requestID != "" && dec.RequestID != requestID:
		return errors.New("the answer is about another request")
	case dec.TaskID != taskID:
		return errors.New("the answer is about another task")
	case dec.RequestID == "" && (dec.Status == StatusPending || dec.Status == StatusApproved):
		return errors.New("the answer names no request")
	}
	return nil
}

func deniedError(d rar.Checked, dec Decision) *DeniedError {
	return &DeniedError{RequestID: dec.RequestID, Detail: d.Detail(), Risk: dec.Risk, Status: dec.Status, Message: dec.Message, DecidedBy: dec.DecidedBy}
}

// report tells journal and observer of a decision. A crash may lose the note: a
// decision by itself lets nobody do anything, and a grant has an entry of its own.
func (s *scope) report(key grantKey, d rar.Checked, dec Decision, waited time.Duration) {
	detail := d.Detail()
	e := s.entry(EntryDecision)
	e.TaskID, e.RequestID, e.Detail, e.Status, e.URL = dec.TaskID, dec.RequestID, &detail, dec.Status, key.origin.String()
	e.Risk, e.DecidedBy, e.Message, e.ExpiresAt, e.Digest = dec.Risk, dec.DecidedBy, dec.Message, dec.ExpiresAt, key.call
	s.task.engine.note(e)
	s.task.emit(Decided{
		About: s.about(), Detail: detail, RequestID: dec.RequestID, Status: dec.Status, Risk: dec.Risk, TTL: dec.TTL,
		ExpiresAt: dec.ExpiresAt, DecideAt: dec.DecideAt, DecidedBy: dec.DecidedBy, Message: dec.Message, Waited: waited,
	})
}

// acquire returns a grant for a demand that lies within the ceiling: a live one
// that covers it, or a new one. It waits for a person's decision as long as the
// engine's Wait, the context and the request allow. Where key has a call, the grant is for
// one operation of it: it is always a new one, and nobody else gets it.
func (s *scope) acquire(ctx context.Context, key grantKey, d rar.Checked, ahead bool) (*Grant, error) {
	t, alone := s.task, key.call != ""
	for {
		if g := t.grants.covering(key, d, s); g != nil {
			return g, nil
		}
		f := t.requests.join(key, s, func(f *flight) (*Grant, error) {
			if g := t.grants.covering(key, d, s); g != nil { // it came since we looked
				return g, nil
			}
			g, err := s.request(f, d, ahead)
			if err != nil && t.requests.ctx.Err() != nil {
				err = fmt.Errorf("jit: demand for %s: %w (%v)", d.Detail(), ErrTaskEnded, err)
			}
			return g, err
		})
		if f == nil {
			return nil, fmt.Errorf("jit: demand for %s: %w", d.Detail(), ErrTaskEnded)
		}
		g, err := s.ride(ctx, f, key, d)
		if err == nil && alone && !t.requests.take(f) {
			continue // it serves another operation of this call
		}
		if !errors.Is(err, errOtherCall) {
			return g, err
		}
	}
}

// ride waits until a flight has landed. It fails with errOtherCall where that is for a
// call of which a person is told something else.
func (s *scope) ride(ctx context.Context, f *flight, key grantKey, d rar.Checked) (*Grant, error) {
	t := s.task
	defer t.requests.leave(f)
	var giveUp <-chan time.Time
	for {
		now, changed := t.requests.look(f)
		switch {
		case now.key.call != "" && now.key.call != key.call && now.key.call != s.said():
			return nil, errOtherCall
		case now.state == landed:
			if now.grant != nil {
				t.grants.admit(now.grant, s)
			}
			return now.grant, now.err
		case now.state == waiting && giveUp == nil:
			timer := time.NewTimer(t.engine.cfg.Wait)
			defer timer.Stop()
			giveUp = timer.C
		}
		select {
		case <-changed:
		case <-giveUp:
			if t.engine.cfg.DenyPending {
				return nil, deniedError(d, now.pending)
			}
			return nil, pendingError(d, now.pending)
		case <-ctx.Done():
			if open, ok := t.requests.opened(now.key); ok && open.Status == StatusPending { // and it stays so
				return nil, fmt.Errorf("%w (%w)", pendingError(d, open.Decision), whyDone(ctx))
			}
			return nil, whyDone(ctx)
		}
	}
}

// whyDone returns the error of a context that is done, with its cause if it has
// one of its own.
func whyDone(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

func pendingError(d rar.Checked, dec Decision) *PendingError {
	return &PendingError{
		RequestID: dec.RequestID, TaskID: dec.TaskID, Detail: d.Detail(), Risk: dec.Risk,
		ExpiresAt: dec.ExpiresAt, DecideAt: dec.DecideAt, ConsentRequired: dec.ConsentRequired,
	}
}
