package lumodev

import (
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits are the rate limiters of all callers. They are safe for concurrent use.
type limits struct {
	cfg RateLimit

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

// maxBuckets bounds the memory for addresses. Over it, those that are full again
// are dropped; if there are none, new ones share one bucket.
const maxBuckets = 4096

func newLimits(cfg RateLimit) *limits {
	return &limits{cfg: cfg, buckets: make(map[string]*rate.Limiter)}
}

// take counts one call, sets the X-RateLimit headers, and reports a call too many.
// A caller is whoever proved an identity; all others share their address's limit.
func (l *limits) take(c *call) error {
	key, perMinute := l.bucket(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	lim := l.buckets[key]
	if lim == nil {
		if len(l.buckets) >= maxBuckets {
			l.drop(c.now)
		}
		if len(l.buckets) >= maxBuckets {
			key = "all others"
		}
		if lim = l.buckets[key]; lim == nil {
			lim = rate.NewLimiter(rate.Limit(float64(perMinute)/60), perMinute)
			l.buckets[key] = lim
		}
	}
	allowed := lim.AllowN(c.now, 1)
	tokens := max(lim.TokensAt(c.now), 0)
	untilFull := time.Duration((float64(perMinute) - tokens) / float64(lim.Limit()) * float64(time.Second))

	h := c.header
	h.Set("X-RateLimit-Limit", strconv.Itoa(perMinute))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(int(tokens)))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(c.now.Add(untilFull+time.Second-1).Unix(), 10))
	if allowed {
		return nil
	}
	wait := max(1, int(math.Ceil((1-tokens)/float64(lim.Limit()))))
	e := fail(http.StatusTooManyRequests, codeRateLimited, "too many requests: wait %d s", wait)
	e.header = http.Header{"Retry-After": {strconv.Itoa(wait)}}
	e.members = map[string]any{"retry_after": wait}
	return e
}

func (l *limits) bucket(c *call) (key string, perMinute int) {
	host, _, err := net.SplitHostPort(c.r.RemoteAddr)
	if err != nil {
		host = c.r.RemoteAddr
	}
	if strings.HasSuffix(c.r.Pattern, "/oauth/token") {
		// The client is not authenticated yet, so a stranger could use up its limit
		// by its name: the address is part of the key.
		if form, err := c.form(); err == nil && c.s.agents[form.Get("client_id")] != nil {
			return "token " + host + " " + form.Get("client_id"), l.cfg.Token
		}
		return "token " + host, l.cfg.Token
	}
	if name := c.who.clientName(); name != "" {
		return "api " + name, l.cfg.API
	}
	return "address " + host, l.cfg.Unauthed
}

func (l *limits) drop(now time.Time) {
	for key, lim := range l.buckets {
		if lim.TokensAt(now) >= float64(lim.Burst()) {
			delete(l.buckets, key)
		}
	}
}
