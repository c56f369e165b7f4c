package jit_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
)

// A lossy API does what it is told, and loses answers on the way back.
type lossy struct {
	fault func(n int, r *http.Request) (*http.Response, error) // of the nth request; nil, nil answers

	requests int
	keys     []string
	done     map[string]int // how often each key was carried out
}

func (l *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	l.requests++
	var key string
	for name, values := range r.Header {
		if strings.EqualFold(name, jit.HeaderIdempotencyKey) {
			key = values[0]
		}
	}
	l.keys = append(l.keys, key)
	resp, err := l.fault(l.requests, r)
	if resp == nil && err == nil {
		resp = answer(201, "created")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return nil, err // it never arrived
	}
	if l.done == nil {
		l.done = map[string]int{}
	}
	l.done[key]++
	return resp, err
}

func answer(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// cut is a body that breaks off.
type cut struct{ io.Reader }

func (cut) Close() error { return nil }

func cutAnswer() *http.Response {
	resp := answer(201, "")
	resp.Body = cut{io.MultiReader(strings.NewReader("crea"), broken{})}
	return resp
}

func cutting(int, *http.Request) (*http.Response, error) { return cutAnswer(), nil }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

var (
	errReset = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	errDial  = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
)

// effects is a client whose API is lossy.
func effects(t *testing.T, api *lossy, honours bool, cfg jit.Config) (*client, *events) {
	t.Helper()
	seen := &events{}
	cfg.Authority = &fake.Authority{}
	c := offline(t, cfg, seen.observe)
	transport, ok := c.Transport.(*jit.Transport)
	if !ok {
		t.Fatalf("the client's transport is a %T", c.Transport)
	}
	transport.Base, transport.HonorsIdempotencyKey = api, honours
	return c, seen
}

func failing(times int, err error) func(int, *http.Request) (*http.Response, error) {
	return func(n int, _ *http.Request) (*http.Response, error) {
		if n <= times {
			return nil, err
		}
		return nil, nil
	}
}

func answering(statuses ...int) func(int, *http.Request) (*http.Response, error) {
	return func(n int, _ *http.Request) (*http.Response, error) {
		if n <= len(statuses) && statuses[n-1] != 0 {
			return answer(statuses[n-1], ""), nil
		}
		return nil, nil
	}
}

// TestEffectHappensAtMostOnce loses answers in every way that there is.
func TestEffectHappensAtMostOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		fault        func(int, *http.Request) (*http.Response, error)
		honours      bool
		requests     int
		maybe        bool // the error is ErrInDoubt
		fails        bool // there is another error
		cut          bool // the answer's body breaks off
		status       int
		wantOutcomes string
	}{
		"answered":                    {fault: failing(0, nil), requests: 1, status: 201, wantOutcomes: "answered"},
		"lost":                        {fault: failing(1, errReset), requests: 1, maybe: true, wantOutcomes: "maybe_executed"},
		"lost as EOF":                 {fault: failing(1, io.ErrUnexpectedEOF), requests: 1, maybe: true, wantOutcomes: "maybe_executed"},
		"lost for an odd reason":      {fault: failing(1, errors.New("odd")), requests: 1, maybe: true, wantOutcomes: "maybe_executed"},
		"lost, key honoured":          {fault: failing(1, errReset), honours: true, requests: 2, status: 201, wantOutcomes: "answered"},
		"lost thrice, key honoured":   {fault: failing(3, io.EOF), honours: true, requests: 4, status: 201, wantOutcomes: "answered"},
		"lost for good, key honoured": {fault: failing(99, errReset), honours: true, requests: 4, maybe: true, wantOutcomes: "maybe_executed"},
		"odd reason, key honoured":    {fault: failing(1, errors.New("odd")), honours: true, requests: 1, maybe: true, wantOutcomes: "maybe_executed"},
		"not sent at first":           {fault: failing(2, errDial), requests: 3, status: 201, wantOutcomes: "answered"},
		"never sent":                  {fault: failing(99, errDial), requests: 4, fails: true, wantOutcomes: "not_sent"},
		"never sent, key honoured":    {fault: failing(99, errDial), honours: true, requests: 4, fails: true, wantOutcomes: "not_sent"},
		"lost, then never sent, key honoured": {fault: func(n int, _ *http.Request) (*http.Response, error) {
			return nil, map[bool]error{true: errReset, false: errDial}[n == 1]
		}, honours: true, requests: 4, maybe: true, wantOutcomes: "maybe_executed"},
		"answer cut off, key honoured": {fault: func(n int, _ *http.Request) (*http.Response, error) {
			return map[int]*http.Response{1: cutAnswer()}[n], nil
		}, honours: true, requests: 2, status: 201, wantOutcomes: "answered"},
		"answer cut off":                        {fault: cutting, requests: 1, status: 201, cut: true, wantOutcomes: "answered"},
		"answer cut off for good, key honoured": {fault: cutting, honours: true, requests: 4, status: 201, cut: true, wantOutcomes: "answered"},
		"in flight after a loss": {fault: func(n int, _ *http.Request) (*http.Response, error) {
			return map[int]*http.Response{2: answer(409, ""), 3: answer(409, "")}[n], map[int]error{1: errReset}[n]
		}, honours: true, requests: 4, status: 201, wantOutcomes: "answered"},
		"in flight for good after a loss": {fault: func(n int, _ *http.Request) (*http.Response, error) {
			return answer(409, ""), map[int]error{1: errReset}[n]
		}, honours: true, requests: 4, status: 409, wantOutcomes: "maybe_executed"},
		"a conflict of its own, key honoured": {fault: answering(409), honours: true, requests: 1, status: 409, wantOutcomes: "answered"},
		"a conflict of its own":               {fault: answering(409), requests: 1, status: 409, wantOutcomes: "answered"},
		"gateway":                             {fault: answering(502), requests: 1, status: 502, wantOutcomes: "maybe_executed"},
		"gateway in time":                     {fault: answering(504), requests: 1, status: 504, wantOutcomes: "maybe_executed"},
		"gateway, key honoured":               {fault: answering(502, 504, 503), honours: true, requests: 4, status: 201, wantOutcomes: "answered"},
		"overloaded":                          {fault: answering(503), requests: 1, status: 503, wantOutcomes: "maybe_executed"},
		"timed out":                           {fault: answering(408), requests: 1, status: 408, wantOutcomes: "maybe_executed"},
		"timed out, key honoured":             {fault: answering(408), honours: true, requests: 2, status: 201, wantOutcomes: "answered"},
		"not modified":                        {fault: answering(304), requests: 1, status: 304, wantOutcomes: "maybe_executed"},
		"of no class":                         {fault: answering(799), requests: 1, status: 799, wantOutcomes: "maybe_executed"},
		"too early":                           {fault: answering(425), requests: 1, status: 425, wantOutcomes: "answered"},
		"too many":                            {fault: answering(429), honours: true, requests: 1, status: 429, wantOutcomes: "answered"},
		"too many, after a loss":              {fault: answering(503, 429), honours: true, requests: 2, status: 429, wantOutcomes: "maybe_executed"},
		"not valid, after a loss":             {fault: answering(503, 422), honours: true, requests: 2, status: 422, wantOutcomes: "answered"},
		"see other":                           {fault: answering(303), requests: 1, status: 303, wantOutcomes: "answered"},
		"overloaded for good, key honoured":   {fault: answering(503, 503, 503, 503), honours: true, requests: 4, status: 503, wantOutcomes: "maybe_executed"},
		"failed":                              {fault: answering(500), requests: 1, status: 500, wantOutcomes: "maybe_executed"},
		"failed, key honoured":                {fault: answering(500), honours: true, requests: 1, status: 500, wantOutcomes: "maybe_executed"},
		"refused without a challenge":         {fault: answering(403), requests: 1, status: 403, wantOutcomes: "refused"},
		"refused, after a loss":               {fault: answering(503, 403), honours: true, requests: 2, status: 403, wantOutcomes: "maybe_executed"},
		"refused, key honoured":               {fault: answering(403), honours: true, requests: 1, status: 403, wantOutcomes: "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, api := &journal{}, &lossy{fault: tt.fault}
				c, seen := effects(t, api, tt.honours, jit.Config{Journal: log})
				ctx := c.task.Call(t.Context(), reports())
				status, _, err := c.sendCtx(ctx, "POST", c.base+"/reports", "text")
				if tt.cut && errors.Is(err, io.ErrUnexpectedEOF) {
					err = nil
				}
				if errors.Is(err, jit.ErrInDoubt) != tt.maybe || (err != nil) != (tt.maybe || tt.fails) {
					t.Errorf("POST = %v, want in doubt %t, another error %t", err, tt.maybe, tt.fails)
				}
				if err == nil && status != tt.status {
					t.Errorf("POST = %d, want %d", status, tt.status)
				}
				if api.requests != tt.requests {
					t.Errorf("%d requests, want %d", api.requests, tt.requests)
				}
				for _, key := range api.keys {
					if key == "" || key != api.keys[0] {
						t.Errorf("keys %q, want one", api.keys)
					}
				}
				var outcomes []string
				for _, e := range log.all() {
					if e.Kind == jit.EntryCallReturned {
						outcomes = append(outcomes, string(e.Outcome))
					}
				}
				if got := strings.Join(outcomes, " "); got != tt.wantOutcomes {
					t.Errorf("outcomes %q in the journal, want %q", got, tt.wantOutcomes)
				}
				doubtful := strings.Contains(tt.wantOutcomes, "maybe_executed")
				if got := len(jit.InDoubt(ctx)); (got == 1) != doubtful {
					t.Errorf("%d doubts, want one: %t", got, doubtful)
				}
				if got := strings.Contains(strings.Join(seen.kinds(), " "), "uncertain"); got != doubtful {
					t.Errorf("events %v, want uncertain among them: %t", seen.kinds(), doubtful)
				}
			})
		})
	}
}

// TestRedirectedEffectIsInDoubt: what a redirect means for the effect is not known, so
// it is named with its key, and another call does not send it again.
func TestRedirectedEffectIsInDoubt(t *testing.T) {
	for _, code := range []int{301, 302, 307, 308} {
		api, log := &lossy{fault: answering(code, code)}, &journal{}
		c, seen := effects(t, api, false, jit.Config{Journal: log})
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		if status, _, err := c.send(t.Context(), reports(), "POST", c.base+"/reports", "text"); err != nil || status != code {
			t.Errorf("POST = %d, %v, want the %d", status, err, code)
		}
		_, _, err := c.send(t.Context(), reports(), "POST", c.base+"/reports", "text")
		doubt, ok := errors.AsType[*jit.InDoubtError](err)
		if !ok || doubt.Method != "POST" || doubt.URL != c.base+"/reports" || doubt.StatusCode != code || doubt.IdempotencyKey != api.keys[0] || api.requests != 1 {
			t.Errorf("%d: POST again = %v after %d requests under %q, want in doubt after 1", code, err, api.requests, api.keys)
		}
		if kinds := strings.Join(seen.kinds(), " "); strings.Count(kinds, "uncertain") != 1 {
			t.Errorf("%d: events %q, want one doubt", code, kinds)
		}
		var returned []jit.Entry
		for _, e := range log.all() {
			if e.Kind == jit.EntryCallReturned {
				returned = append(returned, e)
			}
		}
		if len(returned) != 1 || returned[0].Outcome != jit.OutcomeInDoubt || returned[0].HTTPStatus != code || returned[0].IdempotencyKey != api.keys[0] {
			t.Errorf("%d: the journal has %d outcomes, want one doubt with the key", code, len(returned))
		}
	}
}

// A client that follows a redirect is still at the same effect: the last answer says what
// became of it.
func TestFollowedRedirectIsOneEffect(t *testing.T) {
	for name, tt := range map[string]struct {
		last, doubts, again int // the last answer, doubts after it, requests for the same by another call
		kinds               string
	}{
		"done":        {201, 0, 2, "uncertain settled repeated"},
		"not valid":   {422, 0, 4, "uncertain settled uncertain settled"},
		"failed":      {500, 1, 2, "uncertain uncertain"},
		"another 307": {307, 1, 2, "uncertain uncertain"},
	} {
		api := &lossy{}
		api.fault = func(_ int, r *http.Request) (*http.Response, error) {
			if r.URL.Path != "/reports" {
				return answer(tt.last, ""), nil
			}
			resp := answer(308, "")
			resp.Header.Set("Location", "/v2/reports")
			return resp, nil
		}
		c, seen := effects(t, api, false, jit.Config{})
		ctx := c.task.Call(t.Context(), reports())
		if _, _, err := c.sendCtx(ctx, "POST", c.base+"/reports", "text"); err != nil && tt.last != 307 {
			t.Errorf("%s: POST = %v", name, err)
		}
		if got := len(jit.InDoubt(ctx)); got != tt.doubts || api.requests != 2 || api.keys[0] != api.keys[1] {
			t.Errorf("%s: %d doubts after %d requests under %q, want %d after 2 under one key", name, got, api.requests, api.keys, tt.doubts)
		}
		second := reports()
		second.ID = "call-2"
		_, _, _ = c.send(t.Context(), second, "POST", c.base+"/reports", "text")
		kinds := slices.DeleteFunc(seen.kinds(), func(kind string) bool { return kind == "task_opened" }) // at some time
		if got := strings.Join(kinds, " "); got != tt.kinds || api.requests != tt.again {
			t.Errorf("%s: events %q after %d requests, want %q after %d", name, got, api.requests, tt.kinds, tt.again)
		}
	}
}

// A model that sees a failure calls the tool again: another call, the same effect.
func TestLostEffectIsNotSentByAnotherCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, fault := range map[string]func(int, *http.Request) (*http.Response, error){
			"reset": failing(1, errReset), "408": answering(408), "500": answering(500), "503": answering(503), "304": answering(304),
		} {
			api := &lossy{fault: fault}
			c, _ := effects(t, api, false, jit.Config{})
			first, second := c.task.Call(t.Context(), reports()), reports()
			second.ID = "call-2"
			_, _, _ = c.sendCtx(first, "POST", c.base+"/reports", "text")
			if got := len(jit.InDoubt(first)); got != 1 {
				t.Errorf("%s: %d doubts, want one", name, got)
			}
			ctx := c.task.Call(t.Context(), second)
			_, _, err := c.sendCtx(ctx, "POST", c.base+"/reports", "text")
			if !errors.Is(err, jit.ErrInDoubt) || api.requests != 1 || len(jit.InDoubt(ctx)) != 1 {
				t.Errorf("%s: POST again = %v after %d requests with the doubts %v, want in doubt after 1", name, err, api.requests, jit.InDoubt(ctx))
			}
			if _, _, err := c.send(t.Context(), second, "POST", c.base+"/reports", "other"); err != nil || api.requests != 2 {
				t.Errorf("%s: POST of another body = %v after %d requests, want it sent", name, err, api.requests)
			}
		}
	})
}

func TestLostEffectIsSettledUnderItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &lossy{fault: failing(4, errReset)}
		c, seen := effects(t, api, true, jit.Config{})
		second := reports()
		second.ID = "call-2"
		if _, _, err := c.send(t.Context(), reports(), "POST", c.base+"/reports", "text"); !errors.Is(err, jit.ErrInDoubt) {
			t.Fatalf("POST = %v, want in doubt", err)
		}
		ctx := c.task.Call(t.Context(), second)
		if status, _, err := c.sendCtx(ctx, "POST", c.base+"/reports", "text"); err != nil || status != 201 {
			t.Fatalf("POST again = %d, %v", status, err)
		}
		for _, key := range api.keys {
			if key != api.keys[0] {
				t.Errorf("keys %q, want one: it is the same effect", api.keys)
			}
		}
		kinds := strings.Join(seen.kinds(), " ")
		if !strings.HasSuffix(kinds, "uncertain settled") || len(jit.InDoubt(ctx)) != 0 {
			t.Errorf("events %q with the doubts %v, want the doubt settled", kinds, jit.InDoubt(ctx))
		}
	})
}

// What is lost must be known before anybody can ask: the entry is durable.
func TestLostEffectIsAppendedNotNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &journal{fail: failOn(jit.EntryCallReturned, 1)}
		c, _ := effects(t, &lossy{fault: failing(1, errReset)}, false, jit.Config{Journal: log})
		if _, _, err := c.send(t.Context(), reports(), "POST", c.base+"/reports", "text"); !errors.Is(err, jit.ErrInDoubt) {
			t.Errorf("POST = %v, want in doubt though the journal fails", err)
		}
		for _, e := range log.all() {
			if e.Kind == jit.EntryCallReturned {
				t.Error("the outcome was only noted")
			}
		}
	})
}

func TestReadsAreRetriedWithinBounds(t *testing.T) {
	for name, tt := range map[string]struct {
		err      error
		times    int
		attempts int
		requests int
		ok       bool
	}{
		"reset once":           {errReset, 1, 0, 2, true},
		"EOF thrice":           {io.EOF, 3, 0, 4, true},
		"connection refused":   {errDial, 99, 0, 4, false},
		"more often if told":   {errReset, 5, 6, 6, true},
		"never if told":        {errReset, 1, 1, 1, false},
		"not for other causes": {errors.New("odd"), 1, 0, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &lossy{fault: failing(tt.times, tt.err)}
				c, _ := effects(t, api, false, jit.Config{Attempts: tt.attempts})
				_, _, err := c.send(t.Context(), jit.Call{ID: "1"}, "GET", c.base+"/docs/doc_1", "")
				if (err == nil) != tt.ok || api.requests != tt.requests || errors.Is(err, jit.ErrInDoubt) {
					t.Errorf("GET = %v after %d requests, want ok %t after %d", err, api.requests, tt.ok, tt.requests)
				}
			})
		})
	}
}

func TestRetryAfterIsWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		header string
		least  time.Duration
		status int
	}{{"7", 7 * time.Second, 201}, {"", 0, 201}, {"-1", 0, 201}, {"soon", 0, 201}, {"3600", 0, 503}} {
		synctest.Test(t, func(t *testing.T) {
			api := &lossy{fault: func(n int, _ *http.Request) (*http.Response, error) {
				if n > 1 {
					return nil, nil
				}
				resp := answer(503, "")
				resp.Header.Set("Retry-After", tt.header)
				return resp, nil
			}}
			c, _ := effects(t, api, true, jit.Config{})
			start := time.Now()
			status, _, err := c.send(t.Context(), reports(), "POST", c.base+"/reports", "text")
			if err != nil || status != tt.status || time.Since(start) < tt.least || time.Since(start) > tt.least+time.Second {
				t.Errorf("Retry-After %q: POST = %d, %v after %s, want %d after %s", tt.header, status, err, time.Since(start), tt.status, tt.least)
			}
		})
	}
}
