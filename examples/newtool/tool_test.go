package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/jit/jittest/adktest"
	"github.com/jitagent/jitagent/rar"
)

// readInvoice is all that a call about inv_2041 may ever ask for.
func readInvoice(origin string) rar.Detail {
	return rar.Detail{Type: "invoice", Actions: []string{"read"}, Identifier: "inv_2041", Locations: []string{origin}}
}

// start returns a world whose API has the invoice, and the tool aimed at it.
// demand changes what the API asks for; nil leaves it at what it should.
func start(t *testing.T, demand func(*rar.Detail), options ...jittest.Option) (*jittest.World, tool.Tool) {
	t.Helper()
	options = append(options, jittest.Route("GET /v1/invoices/{number}", func(r *http.Request) rar.Detail {
		d := readInvoice("http://" + r.Host)
		if demand != nil {
			demand(&d)
		}
		return d
	}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"number":"inv_2041","customer":"C","amount":"1.00 EUR","due":"2025-03-31"}`)
	}))
	w := jittest.Start(t, options...)
	invoices, err := getInvoice(w.API)
	if err != nil {
		t.Fatal(err)
	}
	return w, invoices
}

func call(t *testing.T, w *jittest.World, invoices tool.Tool, number string) map[string]any {
	t.Helper()
	result, err := adktest.Call(t, w, invoices, InvoiceArgs{Number: number})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestDenied(t *testing.T) {
	w, invoices := start(t, nil, jittest.Denying())
	if result := call(t, w, invoices, "inv_2041"); result["status"] != "denied" || result["amount"] != nil {
		t.Errorf("get_invoice = %v, want the status denied and no invoice", result)
	}
	w.AskedExactly(readInvoice(w.API.String()))
	w.Used(0)
	w.NothingLeft()
}

func TestArgumentsThatNameNoInvoice(t *testing.T) {
	w, invoices := start(t, nil)
	for _, number := range []string{"", "2041", "inv_", "inv_2041/../inv_1", "inv_2041?x=1", "*"} {
		if result := call(t, w, invoices, number); result["status"] != "invalid_arguments" {
			t.Errorf("get_invoice(%q) = %v, want the status invalid_arguments", number, result)
		}
	}
	w.AskedNothing()
	w.Calls(0)
}

// Whatever the API demands, a call about inv_2041 asks for reading inv_2041.
func TestCeilingHolds(t *testing.T) {
	for name, demand := range map[string]func(*rar.Detail){
		"another invoice":  func(d *rar.Detail) { d.Identifier = "inv_1" },
		"all invoices":     func(d *rar.Detail) { d.Identifier = "" },
		"another action":   func(d *rar.Detail) { d.Actions = []string{"write"} },
		"one action more":  func(d *rar.Detail) { d.Actions = []string{"read", "delete"} },
		"any action":       func(d *rar.Detail) { d.Actions = nil },
		"another type":     func(d *rar.Detail) { d.Type = "payment" },
		"another location": func(d *rar.Detail) { d.Locations = []string{"https://elsewhere.example"} },
		"privileges":       func(d *rar.Detail) { d.Privileges = []string{"admin"} },
	} {
		t.Run(name, func(t *testing.T) {
			w, invoices := start(t, demand)
			if result := call(t, w, invoices, "inv_2041"); result["status"] != "denied" {
				t.Errorf("get_invoice = %v, want the status denied", result)
			}
			w.AskedNothing()
		})
	}
}

func TestHostile(t *testing.T) {
	for name, behaviour := range jittest.Hostile() {
		t.Run(name, func(t *testing.T) {
			w, invoices := start(t, nil, behaviour)
			result := call(t, w, invoices, "inv_2041")
			w.AskedWithin(readInvoice(w.API.String()))
			w.NothingLeaked(result)
			w.NothingLeft()
		})
	}
}

func TestInvoice(t *testing.T) {
	w, invoices := start(t, nil)
	for range 2 { // the second call is covered by the first one's grant
		want := map[string]any{"number": "inv_2041", "customer": "C", "amount": "1.00 EUR", "due": "2025-03-31"}
		if diff := cmp.Diff(want, call(t, w, invoices, "inv_2041")); diff != "" {
			t.Errorf("get_invoice, -want +got:\n%s", diff)
		}
	}
	w.AskedExactly(readInvoice(w.API.String()))
	w.Used(2)
	w.Calls(3)
	w.NothingLeft()
}

// TestToolIsShort holds what the project says of itself: a tool takes fewer than 15
// lines besides its own logic.
func TestToolIsShort(t *testing.T) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "tool.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	lines := func(n ast.Node) int { return fset.Position(n.End()).Line - fset.Position(n.Pos()).Line + 1 }
	found := false
	ast.Inspect(file, func(n ast.Node) bool {
		f, ok := n.(*ast.FuncDecl)
		if !ok || f.Name.Name != "getInvoice" {
			return true
		}
		found = true
		whole, logic := lines(f), 0
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && len(call.Args) == 2 {
				if handler, ok := call.Args[1].(*ast.FuncLit); ok {
					logic = lines(handler.Body) - 2 // its braces stand on lines of the spec
				}
			}
			return true
		})
		if logic == 0 || whole-logic >= 15 {
			t.Errorf("getInvoice has %d lines, %d of them its own logic; want fewer than 15 besides", whole, logic)
		}
		return false
	})
	if !found {
		t.Error("tool.go has no getInvoice")
	}
}
