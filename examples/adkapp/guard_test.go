package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/jit/jittest/adktest"
	"github.com/jitagent/jitagent/rar"
)

func ticket(origin, action, id string) rar.Detail {
	return rar.Detail{Type: "ticket", Actions: []string{action}, Identifier: id, Locations: []string{origin}}
}

// start returns a world with the tickets API, and the app's tools, guarded. demand
// changes what the API asks for; nil leaves it at what it should.
func start(t *testing.T, demand func(*rar.Detail), options ...jittest.Option) (w *jittest.World, get, closing tool.Tool) {
	t.Helper()
	route := func(pattern, action string) jittest.Option {
		return jittest.Route(pattern, func(r *http.Request) rar.Detail {
			d := ticket("http://"+r.Host, action, r.PathValue("id"))
			if demand != nil {
				demand(&d)
			}
			return d
		}, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"id":"`+r.PathValue("id")+`","state":"open"}`)
		})
	}
	w = jittest.Start(t, append(options, route("GET /v1/tickets/{id}", "read"), route("POST /v1/tickets/{id}/close", "update"))...)
	origin, err := jit.OriginOf(w.API)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{api: w.API, client: &http.Client{Transport: &jit.Transport{Origin: origin}}}
	if get, err = d.getTicket(); err != nil {
		t.Fatal(err)
	}
	if get, err = guard(get, "read", origin); err != nil {
		t.Fatal(err)
	}
	if closing, err = d.closeTicket(); err != nil {
		t.Fatal(err)
	}
	if closing, err = guard(closing, "update", origin); err != nil {
		t.Fatal(err)
	}
	return w, get, closing
}

func call(t *testing.T, w *jittest.World, called tool.Tool, args any) map[string]any {
	t.Helper()
	result, err := adktest.Call(t, w, called, args)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestArgumentsThatNameNoTicket(t *testing.T) {
	w, get, closing := start(t, nil)
	for _, args := range []map[string]any{
		{}, {"id": ""}, {"id": 7}, {"id": "tck_7/close"}, {"id": "*"}, {"id": []string{"tck_7"}}, {"ID": "tck_7"},
		{"id": "tck_7", "ID": "tck_8"},
	} {
		for _, called := range []tool.Tool{get, closing} {
			if result := call(t, w, called, args); result["error"] == nil {
				t.Errorf("%s(%v) = %v, want an error", called.Name(), args, result)
			}
		}
	}
	w.AskedNothing()
	w.Calls(0)
}

func TestDenied(t *testing.T) {
	w, get, closing := start(t, nil, jittest.Denying())
	for _, called := range []tool.Tool{get, closing} {
		if result := call(t, w, called, TicketArgs{ID: "tck_7"}); result["status"] != "denied" {
			t.Errorf("%s = %v, want the status denied", called.Name(), result)
		}
	}
	w.Used(0)
	w.NothingLeft()
}

func TestCeilingHolds(t *testing.T) {
	for name, demand := range map[string]func(*rar.Detail){
		"another ticket": func(d *rar.Detail) { d.Identifier = "tck_8" },
		"all tickets":    func(d *rar.Detail) { d.Identifier = "" },
		"both actions":   func(d *rar.Detail) { d.Actions = []string{"read", "update"} },
		"another action": func(d *rar.Detail) { d.Actions = []string{"delete"} },
		"another type":   func(d *rar.Detail) { d.Type = "customer" },
	} {
		t.Run(name, func(t *testing.T) {
			w, get, closing := start(t, demand)
			for _, called := range []tool.Tool{get, closing} {
				if result := call(t, w, called, TicketArgs{ID: "tck_7"}); result["status"] != "denied" {
					t.Errorf("%s = %v, want the status denied", called.Name(), result)
				}
			}
			w.AskedNothing()
		})
	}
}

func TestHostile(t *testing.T) {
	for name, behaviour := range jittest.Hostile() {
		t.Run(name, func(t *testing.T) {
			w, get, closing := start(t, nil, behaviour)
			results := []any{call(t, w, get, TicketArgs{ID: "tck_7"}), call(t, w, closing, TicketArgs{ID: "tck_7"})}
			w.AskedWithin(ticket(w.API.String(), "read", "tck_7"), ticket(w.API.String(), "update", "tck_7"))
			w.NothingLeaked(results...)
			w.NothingLeft()
		})
	}
}

func TestToolsWork(t *testing.T) {
	w, get, closing := start(t, nil)
	for _, called := range []tool.Tool{get, closing, get} {
		if result := call(t, w, called, TicketArgs{ID: "tck_7"}); result["state"] != "open" {
			t.Errorf("%s = %v", called.Name(), result)
		}
	}
	w.AskedExactly(ticket(w.API.String(), "read", "tck_7"), ticket(w.API.String(), "update", "tck_7"))
	w.OneKey() // the close, refused and repeated
	w.NothingLeft()
}

// Each conversation has a task of its own, which its end completes.
func TestTasksOfConversations(t *testing.T) {
	w, get, _ := start(t, nil)
	open := &tasks{engine: w.Engine, observe: func(_ conversation, e jit.Event) { w.Observe(e) }}
	names := []conversation{{"ada", "s1"}, {"ada", "s2"}, {"ben", "s1"}, {"ada", "s1"}}
	var wg sync.WaitGroup
	for _, c := range names {
		wg.Go(func() {
			ctx := jit.NewContext(t.Context(), open.of(t.Context(), c))
			if result, err := adktest.CallContext(ctx, t, w, get, TicketArgs{ID: "tck_7"}); err != nil || result["state"] != "open" {
				t.Errorf("%v: get_ticket = %v, %v", c, result, err)
			}
		})
	}
	wg.Wait()
	if len(w.Asked()) != 3 {
		t.Errorf("%d requests for authority, want one for each of 3 conversations\n%s", len(w.Asked()), w.Story())
	}

	ended := open.of(t.Context(), conversation{"ada", "s1"})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 { // ending again changes nothing, and a cancelled context does not stop it
		if err := open.end(cancelled, conversation{"ada", "s1"}); err != nil {
			t.Errorf("end() = %v", err)
		}
	}
	_, err := jit.Acquire(ended.Call(t.Context(), jit.Call{Ceiling: []rar.Detail{ticket("x", "read", "tck_7")}}), ticket("x", "read", "tck_7"))
	if !errors.Is(err, jit.ErrTaskEnded) {
		t.Errorf("after its end a task gives %v, want %v", err, jit.ErrTaskEnded)
	}
	if again := open.of(t.Context(), conversation{"ada", "s1"}); again == ended {
		t.Error("a conversation that goes on got its old task, want a new one")
	}
	if err := open.close(cancelled); err != nil {
		t.Errorf("close() = %v", err)
	}
	if len(open.open) != 0 {
		t.Errorf("%d tasks are still kept", len(open.open))
	}
	w.NothingLeft()
}

func TestRunGivesEverythingBackWhenATurnFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out strings.Builder
	if err := run(ctx, &out); !errors.Is(err, context.Canceled) {
		t.Errorf("run() = %v, want %v", err, context.Canceled)
	}
	if strings.Contains(out.String(), "approved") {
		t.Errorf("a cancelled run got authority:\n%s", out.String())
	}
}
