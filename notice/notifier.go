package notice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/secret"
)

// Config says who is told. Without URL and Command nobody is.
type Config struct {
	// URL takes notices by POST: an https address, or one of this machine. "" is none.
	URL string
	// Secret signs them: whsec_ and 24 to 64 bytes in base64. Required with URL.
	Secret secret.String
	// Command is a program, with its arguments, that gets a notice as JSON on its standard
	// input. nil is none.
	Command []string
	// Base makes the requests. nil is a transport of the package.
	Base http.RoundTripper
	// Logger receives what could not be told. nil discards.
	Logger *slog.Logger
}

// Bounds.
const (
	maxQueued = 256              // notices that wait for a receiver
	tries     = 5                // of one notice
	tryTime   = 10 * time.Second // of one try
	maxPause  = time.Minute      // between two, which a receiver may ask for
)

// errFinal ends the tries of a notice, and errGone all of them.
var (
	errFinal = errors.New("it does not take it")
	errGone  = errors.New("it wants no notices any more")
)

// A Notifier tells receivers what happens. nil tells nobody. It is safe for concurrent use,
// and must be closed.
type Notifier struct {
	log    *slog.Logger
	stop   context.CancelFunc
	queues []chan Notice
	wg     sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

// New checks cfg and returns a notifier; nil where nobody is told.
func New(cfg Config) (*Notifier, error) {
	var receivers []receiver
	if cfg.URL != "" {
		hook, err := newWebhook(cfg)
		if err != nil {
			return nil, err
		}
		receivers = append(receivers, hook)
	}
	if len(cfg.Command) > 0 {
		receivers = append(receivers, command(cfg.Command))
	}
	if receivers == nil {
		return nil, nil
	}
	n := &Notifier{log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))}
	var ctx context.Context
	ctx, n.stop = context.WithCancel(context.Background())
	for _, r := range receivers {
		queue := make(chan Notice, maxQueued)
		n.queues = append(n.queues, queue)
		n.wg.Go(func() { n.work(ctx, r, queue) })
	}
	return n, nil
}

// A receiver is told once. It returns errFinal or errGone where another try is of no use,
// and a [backoff.RetryAfterError] where it asks for a pause.
type receiver interface {
	tell(ctx context.Context, n Notice) error
}

// Send has receivers told, and returns at once.
func (n *Notifier) Send(what Notice) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, queue := range n.queues {
		select {
		case queue <- what:
			continue
		default:
		}
		n.log.Warn("a notice was dropped: its receiver is too slow", "type", what.Type)
	}
}

// See tells of an event of a run of a session, if there is something to tell.
func (n *Notifier) See(user, session string, e runner.Event) {
	if n == nil {
		return
	}
	if what, ok := Of(user, session, e); ok {
		n.Send(what)
	}
}

// Close tells what waits to be told, until ctx ends: the rest is dropped.
func (n *Notifier) Close(ctx context.Context) {
	if n == nil {
		return
	}
	n.mu.Lock()
	if !n.closed {
		n.closed = true
		for _, queue := range n.queues {
			close(queue)
		}
		n.queues = nil
	}
	n.mu.Unlock()
	defer context.AfterFunc(ctx, n.stop)()
	n.wg.Wait()
	n.stop()
}

// work tells a receiver one notice after the other.
func (n *Notifier) work(ctx context.Context, r receiver, queue <-chan Notice) {
	gone := false
	for what := range queue {
		if gone || ctx.Err() != nil {
			continue
		}
		_, err := backoff.Retry(ctx, func() (struct{}, error) {
			trying, cancel := context.WithTimeout(ctx, tryTime)
			defer cancel()
			err := r.tell(trying, what)
			if errors.Is(err, errFinal) || errors.Is(err, errGone) {
				err = backoff.Permanent(err)
			}
			return struct{}{}, err
		}, backoff.WithMaxTries(tries), backoff.WithBackOff(&backoff.ExponentialBackOff{InitialInterval: time.Second, Multiplier: 4, RandomizationFactor: 0.5, MaxInterval: maxPause}))
		gone = errors.Is(err, errGone)
		if err != nil {
			n.log.WarnContext(ctx, "a notice was not delivered", "type", what.Type, "error", err)
		}
	}
}

// address checks where notices go to.
func address(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil {
		return nil, errors.New("notice: URL does not parse, or has a password in it")
	}
	if _, err := jit.OriginOf(u); err != nil {
		return nil, fmt.Errorf("notice: URL: %w", err)
	}
	return u, nil
}
