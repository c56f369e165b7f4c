package jit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

// documentsAPI stands for an API that wants a token for just the document that is
// read, and says so when it is missing.
func documentsAPI() *httptest.Server {
	need := func(r *http.Request) rar.Detail {
		return rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: r.URL.Path[len("/documents/"):]}
	}
	return httptest.NewServer(fake.Guard(need, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "revenue grew by 12 percent")
	})))
}

// A plain http.Client obtains what a call needs, and no more than it may.
func Example() {
	ctx := context.Background()
	server := documentsAPI()
	defer server.Close()
	origin, err := jit.ParseOrigin(server.URL)
	if err != nil {
		log.Fatal(err)
	}

	// In a program this is a lumoauth.Client.
	authority := &fake.Authority{}

	engine, err := jit.New(jit.Config{Authority: authority})
	if err != nil {
		log.Fatal(err)
	}
	task, err := engine.Open(ctx, jit.TaskSpec{Name: "quarterly numbers"})
	if err != nil {
		log.Fatal(err)
	}
	defer func() {
		if err := task.Complete(context.WithoutCancel(ctx)); err != nil {
			log.Print(err)
		}
	}()

	client := &http.Client{Transport: &jit.Transport{Origin: origin}}
	get := func(id string) error {
		// This call is about doc_9982, whatever the API may demand.
		ctx := task.Call(ctx, jit.Call{
			ID: "call-1", Justification: "read the quarterly numbers",
			Ceiling: []rar.Detail{{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_9982"}},
		})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/documents/"+id, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		fmt.Printf("%s: %s\n", id, text)
		return err
	}

	if err := get("doc_9982"); err != nil {
		log.Fatal(err)
	}
	if err := get("doc_7000"); errors.Is(err, jit.ErrOutsideCeiling) {
		fmt.Println("doc_7000: outside the ceiling")
	}
	for _, r := range authority.Requests() {
		fmt.Println("asked for:", r.Detail)
	}
	// Output:
	// doc_9982: revenue grew by 12 percent
	// doc_7000: outside the ceiling
	// asked for: file_access read doc_9982
}

// A tool that speaks no HTTP asks for what it needs.
func ExampleAcquire() {
	ctx := context.Background()
	engine, err := jit.New(jit.Config{Authority: &fake.Authority{}})
	if err != nil {
		log.Fatal(err)
	}
	task, err := engine.Open(ctx, jit.TaskSpec{Name: "nightly export"})
	if err != nil {
		log.Fatal(err)
	}
	orders := rar.Detail{Type: "database", Actions: []string{"select"}, Identifier: "orders"}
	call := task.Call(ctx, jit.Call{ID: "call-1", Ceiling: []rar.Detail{orders}})

	grant, err := jit.Acquire(call, orders)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("granted:", grant.Detail)
	fmt.Println("token:", grant.Token) // grant.Token.Reveal() gives it to the driver

	customers := orders
	customers.Identifier = "customers"
	_, err = jit.Acquire(call, customers)
	fmt.Println(errors.Is(err, jit.ErrOutsideCeiling))

	fmt.Println("completed:", task.Complete(ctx) == nil)
	// Output:
	// granted: database select orders
	// token: [redacted]
	// true
	// completed: true
}

// Waiting for a person is a state: the same call, made again, goes on waiting.
func ExamplePendingError() {
	ctx := context.Background()
	authority := &fake.Authority{Decide: func(jit.Request) (jit.Decision, error) {
		return jit.Decision{Status: jit.StatusPending, Risk: "high", DecideAt: "https://auth.example.com/pending"}, nil
	}}
	engine, err := jit.New(jit.Config{Authority: authority}) // Wait is 0: tell at once
	if err != nil {
		log.Fatal(err)
	}
	task, err := engine.Open(ctx, jit.TaskSpec{})
	if err != nil {
		log.Fatal(err)
	}
	payroll := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "payroll"}
	call := task.Call(ctx, jit.Call{ID: "call-1", Ceiling: []rar.Detail{payroll}})

	_, err = jit.Acquire(call, payroll)
	if pending, ok := errors.AsType[*jit.PendingError](err); ok {
		fmt.Println(pending.RequestID, "is", pending.Risk, "risk, to be decided at", pending.DecideAt)
	}

	// Later, a person has approved.
	_, err = jit.Acquire(call, payroll)
	fmt.Println(err, "after", len(authority.Requests()), "request")
	fmt.Println("completed:", task.Complete(ctx) == nil)
	// Output:
	// jit_1 is high risk, to be decided at https://auth.example.com/pending
	// <nil> after 1 request
	// completed: true
}
