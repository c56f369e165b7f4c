package adktest_test

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/jit/jittest/adktest"
	"github.com/jitagent/jitagent/models/modeltest"
)

// printer stands for the *testing.T of a test.
type printer struct {
	testing.TB // nil: what is not below is not called

	cleanups []func()
}

func (p *printer) Helper()                           {}
func (p *printer) Context() context.Context          { return context.Background() }
func (p *printer) Cleanup(f func())                  { p.cleanups = append(p.cleanups, f) }
func (p *printer) Errorf(format string, args ...any) { fmt.Printf(format, args...) }
func (p *printer) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// end does what the end of a test does.
func (p *printer) end() {
	for i := len(p.cleanups) - 1; i >= 0; i-- {
		p.cleanups[i]()
	}
}

// One call of a tool, as a model makes it.
func ExampleCall() {
	t := &printer{} // in a test: t *testing.T
	defer t.end()
	w := jittest.Start(t)
	result, err := adktest.Call(t, w, newFetch(t, w), map[string]any{"id": "doc_1"})
	fmt.Println(result["content"], err)

	w.AskedExactly(jittest.Read("doc_1"))
	w.NothingLeaked(result)
	// Output:
	// Content of doc_1. <nil>
}

// A whole agent, over a model that is a script.
func ExampleRun() {
	t := &printer{}
	defer t.end()
	w := jittest.Start(t, jittest.Denying())
	script := modeltest.NewScript(
		modeltest.Calls(&genai.FunctionCall{ID: "c1", Name: "fetch", Args: map[string]any{"id": "doc_1"}}),
		modeltest.Text("I may not read doc_1."),
	)
	report := adktest.Run(t, w, script, []tool.Tool{newFetch(t, w)}, "What does doc_1 say?")
	fmt.Println(report.Outcome, report.Answer)

	w.Used(0)
	w.NothingLeft()
	// Output:
	// denied I may not read doc_1.
}
