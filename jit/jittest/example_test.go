package jittest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/rar"
)

// printer stands for the *testing.T of a test: it prints failures. An example has
// none of its own.
type printer struct {
	testing.TB // nil: what is not below is not called

	ctx      context.Context
	cleanups []func()
}

func newT() *printer { return &printer{ctx: context.Background()} }

func (p *printer) Helper()                  {}
func (p *printer) Context() context.Context { return p.ctx }
func (p *printer) Cleanup(f func())         { p.cleanups = append(p.cleanups, f) }

func (p *printer) Errorf(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...) + "\n") {
		fmt.Println(strings.TrimRight(line, " \n")) // an example's output has no blanks at line ends
	}
}

func (p *printer) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// end does what the end of a test does.
func (p *printer) end() {
	for i := len(p.cleanups) - 1; i >= 0; i-- {
		p.cleanups[i]()
	}
}

// A whole test in a few lines. Nothing is printed, since every assertion holds.
func Example() {
	t := newT() // in a test: t *testing.T
	defer t.end()

	w := jittest.Start(t)
	status, body, err := w.Get("/documents/doc_1", jittest.Read("doc_1"))
	fmt.Println(status, body, err)

	w.AskedExactly(jittest.Read("doc_1"))
	w.NothingLeft()
	w.NothingLeaked(body, err)
	// Output:
	// 200 {"content":"Content of doc_1.","id":"doc_1","title":"Title of doc_1"} <nil>
}

// What an API serves is said in a line or two: a pattern, what it takes, and a
// handler. The client under test is any that carries the call's context.
func ExampleRoute() {
	t := newT()
	defer t.end()
	pay := func(id string) rar.Detail {
		return rar.Detail{Type: "invoice", Actions: []string{"pay"}, Identifier: id}
	}
	w := jittest.Start(t, jittest.Route("POST /invoices/{id}",
		func(r *http.Request) rar.Detail { return pay(r.PathValue("id")) },
		func(rw http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(rw, "paid") },
	))

	call := w.Call(pay("inv_7")) // what the call may ask for
	req, err := http.NewRequestWithContext(call, http.MethodPost, w.API.String()+"/invoices/inv_7", strings.NewReader("{}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := w.Client().Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Status, resp.Body.Close())
	w.OneKey() // refused and sent again, it is one payment
	// Output:
	// 200 OK <nil>
}

// A request waits for a person, who is the test.
func ExamplePersonDecides() {
	t := newT()
	defer t.end()
	w := jittest.Start(t, jittest.PersonDecides())

	_, _, err := w.Get("/documents/payroll", jittest.Read("payroll"))
	fmt.Println("pending:", errors.Is(err, jit.ErrPending))

	w.Approve()
	status, _, err := w.Get("/documents/payroll", jittest.Read("payroll"))
	fmt.Println(status, err)
	w.AskedExactly(jittest.Read("payroll")) // once
	// Output:
	// pending: true
	// 200 <nil>
}

// One loop tries a client against everything that this package holds against it.
func ExampleHostile() {
	t := newT()
	defer t.end()
	for name, hostile := range jittest.Hostile() {
		w := jittest.Start(t, hostile)
		_, _, err := w.Get("/documents/doc_1", jittest.Read("doc_1"))
		w.Note("against %s: %v", name, err)

		w.AskedWithin(jittest.Read("doc_1"))
		w.NothingLeft()
		w.NothingLeaked(err)
	}
	// Output:
}

// A failure tells the whole story.
func ExampleWorld_AskedNothing() {
	t := newT()
	defer t.end()
	w := jittest.Start(t)
	_, _, _ = w.Get("/documents/doc_1", jittest.Read("doc_1"))
	w.AskedNothing()
	// Output:
	// jittest: authority was asked for, and should not have been:
	//   - {"actions":["read"],"identifier":"doc_1","type":"file_access"}
	// What happened:
	//   1  the agent logged in
	//   2  task opened
	//   3  API: GET /documents/doc_1 with the agent's token -> 403, it takes file_access read doc_1
	//   4  asked: file_access read doc_1 ("a test") -> approved
	//   5  issued: token 1 for [file_access read doc_1]
	//   6  API: GET /documents/doc_1 with token 1 -> 200
}
