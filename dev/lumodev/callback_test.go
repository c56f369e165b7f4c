package lumodev

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jitagent/jitagent/state/approval"
)

// asking asks for authority, with an address to be called.
func (e *env) asking(token, task string, detail any, callback string) *answer {
	e.Helper()
	return e.post("jit/request", token, map[string]any{"task_id": task, "authorization_details": detail, "callback_url": callback})
}

// TestCallback: whoever asked is called when a person has decided, over the API or at the page,
// also after a restart, and once more if that fails. The decision waits for nobody, what the
// server decides by itself is not told, and no redirect is followed.
func TestCallback(t *testing.T) {
	decided := make(chan struct{})
	got := make(chan string, 10)
	tries := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case <-decided:
		case <-r.Context().Done():
			t.Error("the decision waits for whoever is called")
		}
		if r.URL.Path == "/moved" {
			if tries++; tries == 1 {
				http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
				return
			}
		}
		got <- r.Method + " " + r.URL.Path + " " + string(body)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()

	dir := t.TempDir() + "/state"
	e := persistent(t, dir, newClock())
	token, reviewer := e.login(DefaultAgentClientID), e.reviewerToken()
	task := e.task(token)
	e.want(201, e.asking(token, task, readDoc, receiver.URL+"/auto"))
	ids := map[string]string{}
	for _, path := range []string{"/api", "/moved", "/page"} {
		ids[path] = e.want(201, e.asking(token, task, deleteDoc, receiver.URL+path)).str("request_id")
	}
	e.wantError(403, codeInsufficientScope, e.post("jit/approve/"+ids["/api"], e.user(DefaultUserEmail), nil)) // is no decision
	e.want(200, e.post("jit/approve/"+ids["/api"], reviewer, `{"notes":"internal-note","agent_message":"fine"}`))
	close(decided)
	e.wantError(400, codeInvalidState, e.post("jit/deny/"+ids["/api"], reviewer, nil)) // nor is this
	if call, want := <-got, `POST /api {"agent_message":"fine","request_id":"`+ids["/api"]+`","status":"approved","task_id":"`+task+`"}`; call != want {
		t.Errorf("%s, want %s", call, want)
	}
	e.want(200, e.post("jit/deny/"+ids["/moved"], reviewer, nil))
	if call := <-got; !strings.HasPrefix(call, "POST /moved ") || !strings.Contains(call, `"status":"denied"`) {
		t.Errorf("%s, want that of /moved", call)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}

	e = persistent(t, dir, e.clock)
	if err := (&person{e.Server, e.users[1]}).Decide(t.Context(), ids["/page"], approval.Decision{Approve: true}); err != nil {
		t.Fatal(err)
	}
	if call := <-got; !strings.HasPrefix(call, "POST /page ") {
		t.Errorf("%s, want that of /page", call)
	}
	if err := e.Close(); err != nil || len(got) > 0 {
		t.Errorf("%v, and called besides: %d", err, len(got))
	}
}

// TestCloseHangsUp: the end of the server does not wait for whoever is called.
func TestCloseHangsUp(t *testing.T) {
	called, tries := make(chan struct{}, 3), atomic.Int64{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // or nobody notices who hangs up
		if called <- struct{}{}; tries.Add(1) > 1 {
			t.Error("it is called once more")
		}
		<-r.Context().Done()
	}))
	defer receiver.Close()
	e := start(t, nil)
	token := e.login(DefaultAgentClientID)
	id := e.want(201, e.asking(token, e.task(token), deleteDoc, receiver.URL)).str("request_id")
	e.want(200, e.post("jit/deny/"+id, e.reviewerToken(), nil))
	<-called
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestCallbackAddresses: nothing is called in the clear but this machine.
func TestCallbackAddresses(t *testing.T) {
	e := start(t, nil)
	token := e.login(DefaultAgentClientID)
	task := e.task(token)
	for _, address := range []string{
		"http://example.com/x", "http://192.168.0.1/", "http://169.254.169.254/latest/", "http://localhost.example.com/", "http://127.0.0.1.example.com/",
		"http://127.0.0.1@example.com/", "https://user:password@example.com/", "ftp://127.0.0.1/", "//127.0.0.1/", "https:///x", "/x", "x", "https://example.com/" + strings.Repeat("x", maxText),
	} {
		e.wantError(400, codeInvalidRequest, e.asking(token, task, readDoc, address))
	}
	for _, address := range []string{"", "https://example.com/x", "http://127.0.0.1:1/", "http://LOCALHOST:1/x", "http://[::1]:1/?x"} {
		e.want(201, e.asking(token, task, readDoc, address))
	}
}
