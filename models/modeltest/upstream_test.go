package modeltest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// post sends a request as curl does, and returns what came of it.
func post(ctx context.Context, t *testing.T, url, body string) (status int, text string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer test-key")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

const (
	chatBody   = `{"model":"m","messages":[{"role":"user","content":"Hello."}]}`
	streamBody = `{"model":"m","stream":true,"messages":[{"role":"user","content":"Hello."}]}`
)

func TestFaults(t *testing.T) {
	const page = "<html>busy</html>"
	const google = "v1beta/models/m:generateContent"
	smile := Text("a😀")
	for name, tt := range map[string]struct {
		fault  Fault
		body   string
		path   string // after GeminiURL; "" for OpenAI's
		status int
		want   string // in the body; all of it for a cut
		cut    bool
	}{
		"none":              {nil, chatBody, "", 200, "a😀", false},
		"status, OpenAI":    {Status(429, "slow_down", nil), chatBody, "", 429, `"code":"slow_down"`, false},
		"status, Gemini":    {Status(429, "", nil), "{}", google, 429, `"status":"RESOURCE_EXHAUSTED"`, false},
		"status, Anthropic": {Status(529, "", nil), "{}", "v1/messages", 529, `"type":"overloaded_error"`, false},
		"status, a code":    {Status(400, "FAILED_PRECONDITION", nil), "{}", google, 400, `"status":"FAILED_PRECONDITION"`, false},
		"quotes the key":    {Status(401, "", nil), chatBody, "", 401, "test-key", false},
		"an answer":         {Answer(200, "text/html", page), chatBody, "", 200, page, false},
		"cut before all":    {Cut(0), streamBody, "", 0, "", true},
		"cut after one":     {Cut(1), streamBody, "", 200, `"role":"assistant"`, true},
		"cut late":          {Cut(99), streamBody, "", 200, "[DONE]", true},
		"cut after bytes":   {cutBytes(5), chatBody, "", 200, `{"cho`, true},
		"cut after none":    {cutBytes(0), chatBody, "", 200, ``, true},
		"cut after all":     {cutBytes(99999), chatBody, "", 200, `a😀`, true},
		"split":             {split(1), streamBody, "", 200, "a😀", false},
		"escaped":           {escape(3), streamBody, "", 200, `a\ud83d\ude00`, false},
		"escaped, unary":    {escape(1), chatBody, "", 200, `a\ud83d\ude00`, false},
		"another handler's": {func(http.Handler) http.Handler { return http.NotFoundHandler() }, chatBody, "", 404, "not found", false},
	} {
		up := Start(t, Always(smile))
		up.Next(tt.fault)
		url := up.OpenAIURL() + "/chat/completions"
		if tt.path != "" {
			url = up.GeminiURL() + tt.path
		}
		status, text, err := post(t.Context(), t, url, tt.body)
		if status != tt.status || !strings.Contains(text, tt.want) || err != nil != tt.cut {
			t.Errorf("%s: %d %q, %v", name, status, text, err)
		}
		if tt.cut && strings.Contains(text, "error") {
			t.Errorf("%s: something was sent after the cut: %q", name, text)
		}
		if strings.HasPrefix(name, "cut after bytes") && text != tt.want {
			t.Errorf("%s: %q, want %q", name, text, tt.want)
		}
		// The next request meets no fault.
		if status, text, err := post(t.Context(), t, up.OpenAIURL()+"/chat/completions", chatBody); status != 200 || !strings.Contains(text, "a😀") || err != nil {
			t.Errorf("after %s: %d %q, %v", name, status, text, err)
		}
	}
}

func TestStatusSendsHeaders(t *testing.T) {
	up := Start(t, NewScript())
	up.Next(Status(429, "", http.Header{"Retry-After": {"7"}}))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, up.OpenAIURL()+"/chat/completions", strings.NewReader(chatBody))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := resp.Header.Get("Retry-After"); got != "7" {
		t.Errorf("Retry-After: %q", got)
	}
}

// A stalled request ends with its client.
func TestStall(t *testing.T) {
	up := Start(t, NewScript())
	here, ended := make(chan struct{}), make(chan struct{})
	up.Next(func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(here)
			defer close(ended)
			stall()(server).ServeHTTP(w, r)
		})
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-here
		cancel()
	}()
	if _, _, err := post(ctx, t, up.OpenAIURL()+"/chat/completions", chatBody); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-ended
}

func TestFaultsComeInOrder(t *testing.T) {
	up := Start(t, Always(Text("ok")))
	up.Next(Status(500, "", nil), nil, Status(503, "", nil))
	var got []int
	for range 4 {
		status, _, err := post(t.Context(), t, up.OpenAIURL()+"/chat/completions", chatBody)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, status)
	}
	if diff := cmp.Diff([]int{500, 200, 503, 200}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestUpstreamRecordsWhatArrived(t *testing.T) {
	up := Start(t, NewScript())
	up.Next(Cut(0))
	_, _, err := post(t.Context(), t, up.GeminiURL()+"v1beta/models/a%2Fb:streamGenerateContent?alt=sse", `{"odd"`)
	if err == nil {
		t.Error("the connection was not cut")
	}
	got := up.Requests()
	if len(got) != 1 || got[0].Method != "POST" || got[0].Path != "/v1beta/models/a%2Fb:streamGenerateContent?alt=sse" || string(got[0].Body) != `{"odd"` || got[0].Header.Get("Authorization") != "Bearer test-key" {
		t.Errorf("recorded %+v", got)
	}
}

func TestAddresses(t *testing.T) {
	up := Start(t, NewScript())
	openAI, gemini := up.OpenAIURL(), up.GeminiURL()
	if !strings.HasPrefix(openAI, "http://127.0.0.1:") || openAI != gemini+"v1" {
		t.Errorf("addresses %s and %s", openAI, gemini)
	}
}
