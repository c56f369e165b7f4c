package lumoauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// exampleServer answers like a LumoAuth instance with one organization.
func exampleServer() *httptest.Server {
	const prefix = " /orgs/acme-corp/api/v1"
	answers := map[string]string{
		"POST" + prefix + "/oauth/token":              `{"access_token":"agent-token","token_type":"Bearer","expires_in":3600}`,
		"POST" + prefix + "/jit/task":                 `{"task_id":"task_1"}`,
		"POST" + prefix + "/jit/request":              `{"request_id":"jit_1","task_id":"task_1","status":"approved","risk_level":"low","granted_ttl":300}`,
		"POST" + prefix + "/jit/request/jit_1/token":  `{"access_token":"jit-token","token_type":"Bearer","expires_in":300}`,
		"POST" + prefix + "/jit/task/task_1/complete": `{"task_id":"task_1","status":"completed"}`,
		"GET" + prefix + "/agents/me":                 `{"identity":{"id":"1","type":"agent","agent_id":"agt_7"},"capabilities":["read:documents"]}`,
	}
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := answers[r.Method+" "+r.URL.Path]
		w.Header().Set("Content-Type", "application/json")
		if !ok {
			w.WriteHeader(http.StatusForbidden)
			body = `{"error":"access_denied","error_description":"the request is not approved"}`
		}
		_, _ = io.WriteString(w, body)
	}))
}

func newExampleClient(url string) *lumoauth.Client {
	client, err := lumoauth.New(lumoauth.Config{
		URL: url, Org: "acme-corp", ClientID: "analyst", ClientSecret: secret.New("example-secret"),
	})
	if err != nil {
		panic(err)
	}
	return client
}

// One task from login to completion. Programs leave this to the engine of package
// jit, which also waits for people and checks what was granted.
func Example() {
	srv := exampleServer()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := newExampleClient(srv.URL)

	task, err := client.CreateTask(ctx, jit.TaskSpec{Name: "quarterly numbers"})
	if err != nil {
		fmt.Println(err)
		return
	}
	decision, err := client.Request(ctx, jit.Request{
		TaskID:        task.ID,
		Detail:        rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_9982"},
		Justification: "to summarise it",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(decision.RequestID, decision.Status, "at", decision.Risk, "risk")
	if decision.Status == jit.StatusApproved {
		issued, err := client.Token(ctx, decision.RequestID)
		fmt.Println(issued.Token, "for", issued.ExpiresIn, err)
	}
	fmt.Println("completed:", client.CompleteTask(ctx, task.ID))
	// Output:
	// jit_1 approved at low risk
	// [redacted] for 5m0s <nil>
	// completed: <nil>
}

func ExampleNew() {
	_, err := lumoauth.New(lumoauth.Config{URL: "http://app.lumoauth.dev", Org: "acme-corp", ClientID: "analyst"})
	fmt.Println(err)
	// Output:
	// lumoauth: configuration: URL (LUMOAUTH_URL) is plain http to app.lumoauth.dev: use https, http is for loopback only; ClientSecret (AGENT_CLIENT_SECRET) is not set
}

func ExampleClient_Me() {
	srv := exampleServer()
	defer srv.Close()
	me, err := newExampleClient(srv.URL).Me(context.Background())
	fmt.Println(me.AgentID, me.Capabilities, err)
	// Output:
	// agt_7 [read:documents] <nil>
}

// Callers branch on sentinels, and read the facts from the type.
func ExampleError() {
	srv := exampleServer()
	defer srv.Close()
	_, err := newExampleClient(srv.URL).Token(context.Background(), "jit_2")
	fmt.Println(err)
	fmt.Println(errors.Is(err, lumoauth.ErrForbidden))
	if e, ok := errors.AsType[*lumoauth.Error](err); ok {
		_, again := e.Temporary()
		fmt.Println(e.Code, again)
	}
	// Output:
	// lumoauth: redeem request: 403 Forbidden: access_denied: the request is not approved
	// true
	// access_denied false
}
