package jit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jitagent/jitagent/rar"
)

// A InDoubtError reports an effect of which it is not known whether it
// happened. The same request made again under the same task is not sent, unless
// the API honors idempotency keys: then it is sent under the same key. It unwraps
// to [ErrInDoubt] and to the cause.
type InDoubtError struct {
	Tool, CallID   string
	Method, URL    string // URL without query
	IdempotencyKey string // to look for at the API
	StatusCode     int    // of an answer that leaves it open; 0 when there was none
	Err            error  // how the answer was lost, or why it leaves it open
}

func (e *InDoubtError) Error() string {
	return fmt.Sprintf("jit: %s %s: %v: %v", e.Method, e.URL, ErrInDoubt, e.Err)
}

// Unwrap returns [ErrInDoubt] and the cause.
func (e *InDoubtError) Unwrap() []error { return []error{ErrInDoubt, e.Err} }

// InDoubt returns the effects of the context's call of which it is not known whether
// they happened, oldest first. A tool that hides the error does not hide the doubt.
func InDoubt(ctx context.Context) []*InDoubtError {
	s := scopeOf(ctx)
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.doubts)
}

// TookEffect reports whether an API has answered, in the context's call, that it did what it
// was asked to do. A tool may fail afterwards.
func TookEffect(ctx context.Context) bool {
	s := scopeOf(ctx)
	return s != nil && s.did.Load()
}

// addDoubt keeps e among the doubts of the call.
func (s *scope) addDoubt(e *InDoubtError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubts = append(without(s.doubts, e.IdempotencyKey), e)
}

// clearDoubt drops the doubt about the effect with the key.
func (s *scope) clearDoubt(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubts = without(s.doubts, key)
}

func without(doubts []*InDoubtError, key string) []*InDoubtError {
	return slices.DeleteFunc(doubts, func(e *InDoubtError) bool { return e.IdempotencyKey == key })
}

// effects are what requests that may change something did at APIs during a task, as
// far as that is known: an effect is under way, or it was answered, or it is in doubt.
// One that was answered is not sent again, and of two at once one waits. The zero
// value knows of none.
type effects struct {
	mu    sync.Mutex
	known map[string]*outcome // by the effect's digest
	order []string            // digests of answered effects, oldest first
	kept  int                 // bytes of their bodies
}

// outcome is what is known of one effect.
type outcome struct {
	underWay chan struct{} // closed when it is not any more; nil when nobody is at it
	doubt    *InDoubtError // of an effect in doubt, and of one whose answer was forgotten
	answer   *answer       // of one that took effect
}

// answer is what the API said of an effect that it did.
type answer struct {
	status int
	header http.Header
	body   []byte        // to be read once whole is closed
	whole  chan struct{} // closed when the body was read to its end, or never will be
	gone   bool          // nobody asks for it any more
	under  *rar.Checked  // what the effect was granted for; nil where it took no grant
}

// Bounds of what is kept of answers, for calls that repeat an effect. A longer body is
// not kept, nor any beyond the sum; the oldest answer goes when there are too many.
const (
	maxAnswer     = 64 << 10
	maxAnswers    = 1024
	maxAllAnswers = 4 << 20
)

// begin takes an effect on, or returns the answer that there is to it; it waits while
// another request is at it. In an effect that was taken on there may be a doubt; end
// must be called for it. A repeat that is meant is taken on in any case, and so is an
// effect whose answer was forgotten, if it can be had again.
func (s *effects) begin(ctx context.Context, digest string, repeat, again bool) (*answer, *InDoubtError, error) {
	if digest == "" {
		return nil, nil, nil // its body cannot be read twice, so nothing is known
	}
	for {
		s.mu.Lock()
		if s.known == nil {
			s.known = map[string]*outcome{}
		}
		o := s.known[digest]
		if o == nil {
			o = &outcome{}
			s.known[digest] = o
		}
		underWay, known, doubt := o.underWay, o.answer, o.doubt
		if repeat || underWay == nil && (known == nil || again && doubt != nil) {
			if underWay == nil {
				o.underWay = make(chan struct{})
			}
			s.mu.Unlock()
			return nil, doubt, nil
		}
		s.mu.Unlock()
		if known != nil {
			return known, nil, nil
		}
		select {
		case <-underWay:
		case <-ctx.Done():
			return nil, nil, whyDone(ctx)
		}
	}
}

// answered returns the answer that there is to an effect, but for one that was forgotten
// and can be had again.
func (s *effects) answered(digest string, again bool) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.known[digest]; o != nil && !(again && o.doubt != nil) {
		return o.answer
	}
	return nil
}

// end says what became of an effect that was taken on: an answer, a doubt, or neither
// when it did not happen.
func (s *effects) end(digest string, a *answer, doubt *InDoubtError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.known[digest]
	if o == nil && doubt != nil && digest != "" {
		o = &outcome{}
		s.known[digest] = o
	}
	if o == nil {
		return
	}
	if o.underWay != nil {
		close(o.underWay)
		o.underWay = nil
	}
	if o.answer != nil && (o.doubt == nil || a == nil) {
		return // of an earlier time, where repeats are meant or it was forgotten
	}
	o.answer, o.doubt = a, doubt
	switch {
	case a != nil:
		s.order = append(s.order, digest)
		if len(s.order) > maxAnswers {
			oldest := s.known[s.order[0]].answer
			s.kept -= len(oldest.body)
			oldest.gone = true
			delete(s.known, s.order[0])
			s.order = s.order[1:]
		}
	case doubt == nil:
		delete(s.known, digest)
	}
}

// keep keeps the body of an answer.
func (s *effects) keep(a *answer, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !a.gone && s.kept+len(body) <= maxAllAnswers {
		a.body = body
		s.kept += len(body)
	}
	close(a.whole)
}

// answerOf returns the answer in resp, if it says that the request took effect
// (RFC 9110, sections 15.3 and 15.4.4), and nil otherwise.
func answerOf(resp *http.Response) *answer {
	if resp == nil || resp.StatusCode/100 != 2 && resp.StatusCode != http.StatusSeeOther {
		return nil
	}
	return &answer{status: resp.StatusCode, header: resp.Header.Clone(), whole: make(chan struct{})}
}

// bodyWait bounds how long an answer's body is waited for: by a repeat until the first
// call has read it, which gets the status alone then, and before it is handed on.
const bodyWait = 10 * time.Second

// response is the answer as the API gave it, to the same request made again.
func (a *answer) response(req *http.Request) (*http.Response, error) {
	enough := time.NewTimer(bodyWait)
	defer enough.Stop()
	var body []byte
	select {
	case <-a.whole:
		body = a.body
	case <-enough.C:
	case <-req.Context().Done():
		return nil, whyDone(req.Context())
	}
	return &http.Response{
		Status: strconv.Itoa(a.status) + " " + http.StatusText(a.status), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: a.header.Clone(),
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}, nil
}

// maxKept bounds how much of an answer to an effect is read before it is handed
// on, so that an answer that breaks off can be asked for again.
const maxKept = 1 << 20

// keptBody is the body of an answer to an effect. What the caller reads of it is kept,
// for a repeat, if it is read to its end.
type keptBody struct {
	io.ReadCloser
	effects *effects
	answer  *answer // nil when all is said
	read    []byte  // of a longer one, too much
}

func (b *keptBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.answer != nil && len(b.read) <= maxAnswer {
		b.read = append(b.read, p[:n]...)
	}
	if err != nil {
		b.finish(errors.Is(err, io.EOF))
	}
	return n, err
}

func (b *keptBody) finish(whole bool) {
	if b.answer == nil {
		return
	}
	if !whole || len(b.read) > maxAnswer {
		b.read = nil
	}
	b.effects.keep(b.answer, b.read)
	b.answer, b.read = nil, nil
}

func (b *keptBody) Close() error {
	b.finish(false)
	return b.ReadCloser.Close()
}
