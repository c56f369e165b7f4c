package lumodev_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
)

// A browser is what a person has.
type browser struct {
	*testing.T
	base string
	http http.Client
}

func (b *browser) send(method, path string, form url.Values, header ...string) (int, string) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), method, b.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.http.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	if csp := resp.Header.Get("Content-Security-Policy"); strings.HasPrefix(path, "/approvals") && resp.StatusCode != http.StatusMisdirectedRequest && !strings.Contains(csp, "frame-ancestors 'none'") {
		b.Errorf("%s %s can be framed: %q", method, path, csp)
	}
	if got, want := resp.Header.Get("Content-Type"), map[string]string{".css": "text/css", ".js": "text/javascript"}[filepath.Ext(path)]; !strings.HasPrefix(got, want) {
		b.Errorf("%s %s is %s, want %s", method, path, got, want)
	}
	return resp.StatusCode, string(body)
}

var digestField = regexp.MustCompile(`name="digest" value="([0-9a-f]+)"`)

func TestPage(t *testing.T) {
	servers, err := dev.Start(t.Context(), dev.Config{Auth: lumodev.Config{Risk: lumodev.RiskPolicy{SensitiveTypes: []string{"file_access"}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = servers.Close() }()
	agent, err := lumoauth.New(servers.Client())
	if err != nil {
		t.Fatal(err)
	}
	task, err := agent.CreateTask(t.Context(), jit.TaskSpec{Name: "<script>alert(1)</script>"})
	if err != nil {
		t.Fatal(err)
	}
	ask := func() string {
		t.Helper()
		d, err := agent.Request(t.Context(), jit.Request{
			TaskID: task.ID, Detail: rar.Detail{Type: "file_access", Actions: []string{"read", "list"}, Identifier: "doc_1"},
			For: jit.Purpose{Tool: "fetch", CallID: "1", Args: []byte(`{"n":1234567890123456789}`)},
		})
		if err != nil || d.Status != jit.StatusPending {
			t.Fatal(d, err)
		}
		return d.RequestID
	}
	status := func(id string) jit.Decision {
		t.Helper()
		d, err := agent.Status(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	id := ask()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t, servers.AuthURL, http.Client{Jar: jar}}
	stranger := &browser{t, servers.AuthURL, http.Client{}}
	token, err := agent.AgentToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	yes := url.Values{"decision": {"approve"}, "digest": {"x"}, "keep": {"actions=read", "actions=list"}}
	for name, header := range map[string][]string{"nobody": nil, "the agent": {"Authorization", "Bearer " + token.Token.Reveal()}} {
		if code, _ := stranger.send("POST", "/approvals/"+id, yes, header...); code != 403 {
			t.Errorf("%s decides: %d", name, code)
		}
	}

	// A link works once, and only when it is used by a form.
	link := strings.TrimPrefix(servers.Auth.SignIn(), servers.AuthURL)
	key := url.Values{"key": {link[strings.Index(link, "=")+1:]}}
	b.send("GET", link, nil)
	for _, file := range []string{"page.css", "page.js"} {
		if code, _ := b.send("GET", "/approvals/"+file, nil); code != 200 {
			t.Errorf("%s: %d", file, code)
		}
	}
	if code, _ := stranger.send("POST", "/approvals/sign-in", key, "Sec-Fetch-Site", "cross-site"); code != 403 {
		t.Errorf("another site signs in: %d", code)
	}
	if code, body := b.send("POST", "/approvals/sign-in", key); code != 200 || !strings.Contains(body, "/approvals/"+id) {
		t.Fatalf("signed in: %d %s", code, body)
	}
	if code, _ := stranger.send("POST", "/approvals/sign-in", key); code != 403 {
		t.Errorf("a replayed link signs in: %d", code)
	}

	// Where to decide opens in a browser, and shows the request.
	code, body := b.send("GET", strings.TrimPrefix(status(id).DecideAt, servers.AuthURL), nil)
	if code != 200 || !strings.Contains(body, "1234567890123456789") || strings.Contains(body, "<script>alert") {
		t.Fatalf("the request is shown as %d %s", code, body)
	}
	yes.Set("digest", digestField.FindStringSubmatch(body)[1])
	for name, header := range map[string][]string{
		"another site":   {"Sec-Fetch-Site", "cross-site"},
		"another origin": {"Origin", "http://evil.example"},
		"a rebound name": {"Host", "evil.example"},
	} {
		if code, _ := b.send("POST", "/approvals/"+id, yes, header...); code != 403 && code != 421 {
			t.Errorf("%s decides: %d", name, code)
		}
	}
	other := url.Values{"decision": {"approve"}, "digest": {strings.Repeat("0", 64)}, "keep": yes["keep"]}
	if code, _ := b.send("POST", "/approvals/"+id, other); code != 409 {
		t.Errorf("another request than the one that was shown is approved: %d", code)
	}
	if code, _ := b.send("GET", "/approvals/"+id+"?decision=approve", nil); code != 200 || status(id).Status != jit.StatusPending {
		t.Errorf("it was decided by %d: %v", code, status(id))
	}

	// Where a program says that it is decided leads to the page.
	to, err := http.DefaultTransport.RoundTrip(httptest.NewRequest(http.MethodGet, status(id).DecideAt, nil))
	if err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(to.Body)
	_ = to.Body.Close()
	if to.StatusCode != http.StatusSeeOther || to.Header.Get("Location") != "/approvals/"+id || !strings.Contains(string(said), `"see_other"`) {
		t.Errorf("where to decide: %d %v %s", to.StatusCode, to.Header, said)
	}

	// Less is approved, once, and the token says so.
	yes["keep"] = []string{"actions=read"}
	if code, body := b.send("POST", "/approvals/"+id, yes); code != 200 || !strings.Contains(body, "Approved.") {
		t.Fatalf("approving: %d %s", code, body)
	}
	if code, _ := b.send("POST", "/approvals/"+id, url.Values{"decision": {"deny"}, "digest": yes["digest"]}); code != 409 {
		t.Errorf("a second decision: %d", code)
	}
	issued, err := agent.Token(t.Context(), id)
	if err != nil || len(issued.Details) != 1 || strings.Join(issued.Details[0].Actions, ",") != "read" {
		t.Errorf("granted %v, %v", issued.Details, err)
	}
	id = ask()
	_, body = b.send("GET", "/approvals/"+id, nil)
	no := url.Values{"decision": {"deny"}, "digest": {digestField.FindStringSubmatch(body)[1]}, "message": {"not today"}}
	if code, _ := b.send("POST", "/approvals/"+id, no); code != 200 || status(id).Status != jit.StatusDenied || status(id).Message != "not today" {
		t.Errorf("denying: %d %v", code, status(id))
	}

	// Nobody decides thirty times a minute.
	for range 40 {
		code, _ = b.send("POST", "/approvals/"+id, no)
	}
	if code != 429 {
		t.Errorf("the fortieth decision in a minute: %d", code)
	}
}
