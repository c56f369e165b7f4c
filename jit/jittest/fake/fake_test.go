package fake_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

func read(id string) rar.Detail {
	return rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: id}
}

func TestAuthorityDoesWhatWorks(t *testing.T) {
	ctx, a := t.Context(), &fake.Authority{}
	base, err := a.AgentToken(ctx)
	if err != nil || base.Token.Reveal() != fake.BaseToken {
		t.Errorf("AgentToken() = %q, %v", base.Token.Reveal(), err)
	}
	for n := 1; n <= 2; n++ {
		task, err := a.CreateTask(ctx, jit.TaskSpec{})
		if err != nil || task.ID != fmt.Sprintf("task_%d", n) {
			t.Errorf("CreateTask() = %+v, %v", task, err)
		}
	}
	for i, id := range []string{"doc_1", "doc_2"} {
		dec, err := a.Request(ctx, jit.Request{TaskID: "task_1", Detail: read(id), TTL: time.Minute})
		if err != nil || dec.Status != jit.StatusApproved || dec.RequestID != fmt.Sprintf("jit_%d", i+1) || dec.TTL != time.Minute {
			t.Errorf("Request(%s) = %+v, %v", id, dec, err)
		}
		issued, err := a.Token(ctx, dec.RequestID)
		if err != nil || issued.Token.Reveal() != fake.TokenFor(read(id)) || !rar.Equal(issued.Details[0], read(id)) {
			t.Errorf("Token(%s) = %+v, %v", dec.RequestID, issued, err)
		}
	}
	if dec, err := a.Status(ctx, "jit_1"); err != nil || dec.Status != jit.StatusApproved {
		t.Errorf("Status() = %+v, %v", dec, err)
	}
	if _, err := a.Token(ctx, "jit_3"); err == nil {
		t.Error("a request that nobody made has a token")
	}
	if err := a.CompleteTask(ctx, "task_2"); err != nil {
		t.Errorf("CompleteTask() = %v", err)
	}
	if fake.TokenFor(read("doc_1")) == fake.TokenFor(read("doc_2")) {
		t.Error("two details have one token")
	}
	got := []any{a.Opened(), a.Asked(), len(a.Requests()), len(a.Looks()), a.Redeemed(), a.Tries(), a.Completed()}
	want := []any{2, []rar.Detail{read("doc_1"), read("doc_2")}, 2, 1, 3, 1, []string{"task_2"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestAuthorityDoesWhatItIsTold(t *testing.T) {
	broken, ctx := errors.New("broken"), t.Context()
	var ns []int
	count := func(n int) error { ns = append(ns, n); return broken }
	a := &fake.Authority{
		Login:    func() (jit.Credential, error) { return jit.Credential{}, broken },
		Create:   func(context.Context) (jit.TaskInfo, error) { return jit.TaskInfo{}, broken },
		Complete: func(_ context.Context, n int) error { return count(n) },
		Decide:   func(jit.Request) (jit.Decision, error) { return jit.Decision{RequestID: "mine"}, broken },
		Look:     func(_ string, n int) (jit.Decision, error) { return jit.Decision{}, count(n) },
		Redeem:   count,
	}
	_, login := a.AgentToken(ctx)
	_, create := a.CreateTask(ctx, jit.TaskSpec{})
	dec, decide := a.Request(ctx, jit.Request{Detail: read("doc_1")})
	_, look := a.Status(ctx, "jit_1")
	_, redeem := a.Token(ctx, "jit_1")
	for name, err := range map[string]error{
		"login": login, "create": create, "decide": decide, "look": look, "redeem": redeem, "complete": a.CompleteTask(ctx, "task_1"),
	} {
		if !errors.Is(err, broken) {
			t.Errorf("%s = %v, want the fault", name, err)
		}
	}
	if dec.RequestID != "mine" || a.Opened() != 0 || len(a.Completed()) != 0 {
		t.Errorf("decision %+v, %d tasks opened, %v completed", dec, a.Opened(), a.Completed())
	}
	if diff := cmp.Diff([]int{1, 1, 1}, ns); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	a.Redeem, a.Issue = nil, func(id string, d rar.Detail) jit.Issued {
		return jit.Issued{Token: secret.New(id + d.Identifier)}
	}
	if issued, err := a.Token(ctx, "jit_1"); err != nil || issued.Token.Reveal() != "jit_1doc_1" {
		t.Errorf("Token() = %q, %v", issued.Token.Reveal(), err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := (&fake.Authority{}).CompleteTask(gone, "task_1"); !errors.Is(err, context.Canceled) {
		t.Errorf("CompleteTask() = %v after the context ended", err)
	}
}

func TestGuardAndTransport(t *testing.T) {
	need := func(*http.Request) rar.Detail { return read("doc_1") }
	h := fake.Guard(need, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", "changed")
		_, _ = io.Copy(w, r.Body)
	}))
	for token, status := range map[string]int{"": 403, fake.TokenFor(read("doc_2")): 403, fake.TokenFor(read("doc_1")): 200} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://api.example/doc_1", strings.NewReader("text"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := fake.Transport{Handler: h}.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != status || (status == 200) != (string(body) == "text") {
			t.Errorf("%q: %d %s, want %d", token, resp.StatusCode, body, status)
		}
		if req.Header.Get("Authorization") != "Bearer "+token || resp.Request != req {
			t.Error("the caller's request was changed")
		}
	}
	rec := httptest.NewRecorder()
	defer func() {
		if recover() == nil {
			t.Error("a demand that is not valid is no panic")
		}
	}()
	fake.Guard(func(*http.Request) rar.Detail { return rar.Detail{} }, h).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
}

// An hour of waiting for a person takes no time.
func TestWorksUnderSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := &fake.Authority{
			Decide: func(jit.Request) (jit.Decision, error) { return jit.Decision{Status: jit.StatusPending}, nil },
			Look: func(_ string, n int) (jit.Decision, error) {
				if n < 60 {
					return jit.Decision{Status: jit.StatusPending}, nil
				}
				return jit.Decision{Status: jit.StatusApproved}, nil
			},
		}
		engine, err := jit.New(jit.Config{Authority: authority, Wait: 2 * time.Hour, MaxPending: 2 * time.Hour, PollInterval: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		task := engine.Start(t.Context(), jit.TaskSpec{}, nil)
		start := time.Now()
		if _, err := jit.Acquire(task.Call(t.Context(), jit.Call{Ceiling: []rar.Detail{read("doc_1")}}), read("doc_1")); err != nil {
			t.Error(err)
		}
		if waited := time.Since(start).Round(10 * time.Minute); waited != time.Hour || len(authority.Looks()) != 60 {
			t.Errorf("waited %s and looked %d times, want an hour and 60", waited, len(authority.Looks()))
		}
		if err := task.Complete(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// A client whose authorization server and API are function calls.
func Example() {
	ctx, authority := context.Background(), &fake.Authority{}
	engine, err := jit.New(jit.Config{Authority: authority})
	if err != nil {
		fmt.Println(err)
		return
	}
	task := engine.Start(ctx, jit.TaskSpec{}, nil)
	origin, err := jit.ParseOrigin("https://api.example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	api := fake.Guard(func(*http.Request) rar.Detail { return read("doc_1") }, http.NotFoundHandler())
	client := &http.Client{Transport: &jit.Transport{Origin: origin, Base: fake.Transport{Handler: api}}}

	call := task.Call(ctx, jit.Call{Ceiling: []rar.Detail{read("doc_1")}})
	req, err := http.NewRequestWithContext(call, http.MethodGet, "https://api.example.com/doc_1", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.StatusCode, resp.Body.Close(), authority.Asked())
	fmt.Println(task.Complete(ctx), authority.Completed())
	// Output:
	// 404 <nil> [file_access read doc_1]
	// <nil> [task_1]
}
