package notice

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/jitagent/jitagent/internal/logtest"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The example of the specification, whose other implementations give the same.
const (
	exampleSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	exampleSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func TestSignature(t *testing.T) {
	h, err := newWebhook(Config{URL: "https://example.com", Secret: secret.New(exampleSecret)})
	if err != nil {
		t.Fatal(err)
	}
	if got := h.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)); got != exampleSignature {
		t.Errorf("sign() = %s, want %s", got, exampleSignature)
	}
}

// A place is a receiver without a socket.
type place struct {
	mu     sync.Mutex
	got    []*http.Request
	bodies []string
	at     []time.Time
	answer func(n int) (*http.Response, error)
}

func (p *place) RoundTrip(req *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(req.Body)
	p.mu.Lock()
	p.got, p.bodies, p.at = append(p.got, req), append(p.bodies, string(body)), append(p.at, time.Now())
	n := len(p.got)
	p.mu.Unlock()
	return p.answer(n)
}

func status(code int, header ...string) (*http.Response, error) {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: code, Status: http.StatusText(code), Header: h, Body: io.NopCloser(strings.NewReader("ignore this"))}, nil
}

func TestDelivery(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(n int) (*http.Response, error)
		tries  int // of two notices
		lost   int
	}{
		"taken":         {func(int) (*http.Response, error) { return status(204) }, 2, 0},
		"away at first": {func(n int) (*http.Response, error) { return status(map[bool]int{true: 503, false: 200}[n < 3]) }, 4, 0},
		"not reachable": {func(int) (*http.Response, error) { return nil, errors.New("connection refused") }, 2 * tries, 2},
		"refused":       {func(int) (*http.Response, error) { return status(401) }, 2, 2},
		"elsewhere":     {func(int) (*http.Response, error) { return status(307, "Location", "https://evil.example.com/") }, 2, 2},
		"gone for good": {func(int) (*http.Response, error) { return status(410) }, 1, 1},
		"asks for a wait": {func(n int) (*http.Response, error) {
			return status(map[bool]int{true: 429, false: 200}[n == 1], "Retry-After", "30")
		}, 3, 0},
		"asks for too long": {func(n int) (*http.Response, error) {
			return status(map[bool]int{true: 503, false: 200}[n == 1], "Retry-After", "600")
		}, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, to := &logtest.Buffer{}, &place{answer: tt.answer}
				n, err := New(Config{URL: "https://hooks.example.com/in?key=k", Secret: secret.New(exampleSecret), Base: to, Logger: slog.New(slog.NewTextHandler(log, nil))})
				if err != nil {
					t.Fatal(err)
				}
				n.See("u", "s", jit.Decided{About: jit.About{Time: time.Now(), TaskID: "t"}, Status: jit.StatusPending, RequestID: "r"})
				n.See("u", "s", runner.Finished{Time: time.Now(), Outcome: runner.Pending})
				n.See("u", "s", runner.Started{})
				n.Close(t.Context())
				n.Close(t.Context())
				if len(to.got) != tt.tries || strings.Count(log.String(), "was not delivered") != tt.lost || strings.Contains(log.String(), "key=k") {
					t.Errorf("%d tries, log:\n%s\nwant %d tries and %d lost", len(to.got), log.String(), tt.tries, tt.lost)
				}
				for i, req := range to.got {
					if req.URL.Host != "hooks.example.com" || req.Header.Get("Webhook-Id") == "" || req.Header.Get("Webhook-Signature") == "" {
						t.Errorf("try %d: %s %v", i, req.URL, req.Header)
					}
				}
				if name == "asks for a wait" && to.at[1].Sub(to.at[0]) < 30*time.Second {
					t.Errorf("tried again after %s", to.at[1].Sub(to.at[0]))
				}
				if name == "asks for too long" && to.at[1].Sub(to.at[0]) > maxPause { // and all that wait behind it
					t.Errorf("tried again after %s", to.at[1].Sub(to.at[0]))
				}
				if name == "away at first" && to.got[0].Header.Get("Webhook-Id") != to.got[2].Header.Get("Webhook-Id") {
					t.Error("another try is another notice")
				}
			})
		})
	}
}

// Nobody waits for a receiver that does not answer, and the end of the program no longer
// than it wants to.
func TestDeadReceiverDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logtest.Buffer{}
		to := &place{answer: func(int) (*http.Response, error) { return nil, errors.New("unreachable") }}
		hang := roundTripper(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return to.RoundTrip(req)
		})
		n, err := New(Config{URL: "http://127.0.0.1:1/", Secret: secret.New(exampleSecret), Base: hang, Logger: slog.New(slog.NewTextHandler(log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for range 3 * maxQueued {
			n.See("u", "s", runner.Finished{})
		}
		if time.Since(start) != 0 || strings.Count(log.String(), "was dropped") < maxQueued {
			t.Errorf("telling took %s; log has %d drops", time.Since(start), strings.Count(log.String(), "was dropped"))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if n.Close(ctx); time.Since(start) != 2*time.Second {
			t.Errorf("Close took %s, want its two seconds", time.Since(start))
		}
		n.See("u", "s", runner.Finished{}) // after the end nobody is told
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// A notice has none of what a run is about.
func TestNoticeHoldsNoText(t *testing.T) {
	const canary = "canary"
	decided := jit.Decided{
		About: jit.About{TaskID: "task_1", Tool: "fetch"}, Status: jit.StatusPending, RequestID: "jit_1", Risk: "high", Message: canary,
		DecideAt: "https://auth.example.com/?code=" + canary, DecidedBy: canary,
	}
	decided.Detail.Identifier, decided.Detail.Type = canary, canary
	finished := runner.Finished{
		Outcome: runner.Pending, Answer: canary, Error: canary, Failure: runner.Failure{Error: canary}, Refused: []runner.Refusal{{Reason: canary}},
		Waiting: []runner.Waiting{{Tool: "fetch", RequestID: "jit_1", DecideAt: canary, Unnamed: canary}},
	}
	for _, e := range []runner.Event{decided, finished} {
		n, ok := Of("ada", "s", e)
		if text := string(n.json()); !ok || strings.Contains(text, canary) || !strings.Contains(text, `"request_id":"jit_1"`) || !strings.Contains(text, `"session":"s"`) {
			t.Errorf("%s", text)
		}
	}
	if _, ok := Of("ada", "s", jit.Decided{Status: jit.StatusApproved}); ok {
		t.Error("an approval is told of")
	}
}

// The command gets the notice, and nothing of this process but that.
func TestCommand(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell")
	}
	t.Setenv("AGENT_CLIENT_SECRET", "canary")
	at := filepath.Join(t.TempDir(), "got")
	for script, patience := range map[string]time.Duration{`cat >"$0"; env >>"$0"`: time.Minute, "yes": 100 * time.Millisecond} {
		n, err := New(Config{Command: []string{sh, "-c", script, at}})
		if err != nil {
			t.Fatal(err)
		}
		n.See("u", "s", runner.Finished{Outcome: runner.Done})
		ctx, cancel := context.WithTimeout(t.Context(), patience) // one of them has no end
		n.Close(ctx)
		cancel()
	}
	got, err := os.ReadFile(at)
	if err != nil || !strings.Contains(string(got), `"outcome":"done"`) || strings.Contains(string(got), "canary") {
		t.Errorf("the command got %q, %v", got, err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, cfg := range map[string]Config{
		"plain http":      {URL: "http://hooks.example.com", Secret: secret.New(exampleSecret)},
		"no secret":       {URL: "https://hooks.example.com"},
		"a short secret":  {URL: "https://hooks.example.com", Secret: secret.New("whsec_c2hvcnQ=")},
		"another secret":  {URL: "https://hooks.example.com", Secret: secret.New("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")},
		"a password":      {URL: "https://a:b@hooks.example.com", Secret: secret.New(exampleSecret)},
		"another address": {URL: "file:///etc/passwd", Secret: secret.New(exampleSecret)},
	} {
		if n, err := New(cfg); err == nil {
			n.Close(t.Context())
			t.Errorf("%s is taken", name)
		}
	}
	if n, err := New(Config{}); n != nil || err != nil {
		t.Errorf("New(nothing) = %v, %v", n, err)
	}
	var nobody *Notifier
	nobody.See("u", "s", runner.Finished{})
	nobody.Close(t.Context())
}
