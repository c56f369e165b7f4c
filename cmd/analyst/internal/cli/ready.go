package cli

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// A Readiness knows whether a state can be worked with. It looks once a second at most, and
// is safe for concurrent use.
type Readiness struct {
	State *State

	mu    sync.Mutex
	until time.Time // for how long why is good
	why   error
}

// Why says why the state cannot be worked with now, in words for everybody; nil when it can.
func (r *Readiness) Why(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().After(r.until) {
		r.why = r.State.unready(ctx)
		r.until = time.Now().Add(time.Second)
	}
	return r.why
}

func (s *State) unready(ctx context.Context) error {
	if s.db != nil {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if s.db.Pool().Ping(ctx) != nil {
			return errors.New("the database does not answer")
		}
		return nil
	}
	f, err := os.CreateTemp(s.dir, ".ready-*")
	if err == nil {
		_, err = f.Write(make([]byte, 4<<10)) // which a full disk does not take
		err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	if err != nil {
		return errors.New("the state directory cannot be written to")
	}
	return nil
}
