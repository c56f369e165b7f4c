package jit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
)

// A MaybeExecutedError reports an effect of which it is not known whether it
// happened. The same request made again under the same task is not sent, unless
// the API honours idempotency keys: then it is sent under the same key. It unwraps
// to [ErrMaybeExecuted] and to the cause.
type MaybeExecutedError struct {
	Tool, CallID   string
	Method, URL    string // URL without query
	IdempotencyKey string // to look for at the API
	StatusCode     int    // of an answer whose body was lost; 0 when there was none
	Err            error  // how the answer was lost
}

func (e *MaybeExecutedError) Error() string {
	return fmt.Sprintf("jit: %s %s: %v: %v", e.Method, e.URL, ErrMaybeExecuted, e.Err)
}

// Unwrap returns [ErrMaybeExecuted] and the cause.
func (e *MaybeExecutedError) Unwrap() []error { return []error{ErrMaybeExecuted, e.Err} }

// Doubts returns the effects of the context's call of which it is not known whether
// they happened, oldest first. A tool that hides the error does not hide the doubt.
func Doubts(ctx context.Context) []*MaybeExecutedError {
	s := scopeOf(ctx)
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.doubts)
}

// lose keeps e among the doubts of the call.
func (s *scope) lose(e *MaybeExecutedError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.doubts, e) {
		s.doubts = append(s.doubts, e)
	}
}

// settle drops the doubt about the effect with the key.
func (s *scope) settle(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubts = slices.DeleteFunc(s.doubts, func(e *MaybeExecutedError) bool { return e.IdempotencyKey == key })
}

// lostEffect returns what is remembered of an effect, under whichever call, or nil.
func (t *Task) lostEffect(digest string) *MaybeExecutedError {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost[digest]
}

// remindLost remembers an effect by what it is, since a model that tries again does
// so in another call.
func (t *Task) remindLost(digest string, e *MaybeExecutedError) {
	if digest == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost == nil {
		t.lost = map[string]*MaybeExecutedError{}
	}
	t.lost[digest] = e
}

// forgetLost reports whether the effect was remembered as lost, and forgets it.
func (t *Task) forgetLost(digest string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, known := t.lost[digest]
	delete(t.lost, digest)
	return known
}

// keepBody reads an answer to the end, unless it is long, so that one that breaks
// off is known to before anybody has seen a part of it.
func keepBody(resp *http.Response) error {
	if resp.Body == nil || refused(resp) {
		return nil // a refusal is read with bounds of its own
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKept+1))
	if err != nil {
		_ = resp.Body.Close()
		return fmt.Errorf("the answer broke off: %w", err)
	}
	resp.Body = rejoined{io.MultiReader(bytes.NewReader(body), resp.Body), resp.Body}
	return nil
}

// effectBody is the answer of an API that honours no keys. If it breaks off the
// caller may think that the call failed, though it did not.
type effectBody struct {
	io.ReadCloser
	attempt *attempt
	ctx     context.Context
	status  int
	err     error
}

func (b *effectBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		b.err = b.attempt.lost(b.ctx, b.status, fmt.Errorf("the answer broke off: %w", err))
		return n, b.err
	}
	return n, err
}
