package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/rar"
)

// shipments is the API as the kit plays it.
func shipments(status int) jittest.Option {
	demand := func(r *http.Request) rar.Detail {
		origin, _ := jit.ParseOrigin("http://" + r.Host)
		return mayRead(origin, r.PathValue("id"))[0]
	}
	return jittest.Route("GET /v1/shipments/{id}", demand, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"status":"in customs"}`)
	})
}

func audits(action string) jittest.Option {
	return jittest.Route("GET /v1/shipments/{id}/audit", func(r *http.Request) rar.Detail {
		return rar.Detail{Type: "shipment", Actions: []string{action}, Identifier: r.PathValue("id"), Locations: []string{"http://" + r.Host}}
	}, nil)
}

func ceiling(t *testing.T, w *jittest.World) []rar.Detail {
	t.Helper()
	origin, err := jit.OriginOf(w.API)
	if err != nil {
		t.Fatal(err)
	}
	return mayRead(origin, "shp_18")
}

func TestAsksForTheShipmentAndNothingElse(t *testing.T) {
	for _, action := range []string{"admin", "write", "delete", "list"} {
		w := jittest.Start(t, shipments(http.StatusOK), audits(action))
		var out bytes.Buffer
		if err := trackShipments(t.Context(), &out, w.Engine, w.API); err != nil {
			t.Errorf("trackShipments() = %v", err)
		}
		w.AskedExactly(ceiling(t, w)...)
		w.Used(2) // the second call is covered by the first one's grant
		w.NothingLeft()
		w.NothingLeaked(out.String())
		if want := "audit: not asked for: outside the call's ceiling"; !strings.Contains(out.String(), want) {
			t.Errorf("%s: the output lacks %q:\n%s", action, want, out.String())
		}
	}
}

func TestDenialEndsTheWorkAndTheTask(t *testing.T) {
	w := jittest.Start(t, shipments(http.StatusOK), audits("admin"), jittest.Denying())
	err := trackShipments(t.Context(), io.Discard, w.Engine, w.API)
	if !errors.Is(err, jit.ErrDenied) {
		t.Errorf("trackShipments() = %v, want %v", err, jit.ErrDenied)
	}
	w.Used(0)
	w.NothingLeft()
}

func TestTaskIsCompletedWhenTheContextEnds(t *testing.T) {
	w := jittest.Start(t, shipments(http.StatusOK), audits("admin"), jittest.PersonDecides(), jittest.Engine(func(c *jit.Config) { c.Wait = time.Hour }))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- trackShipments(ctx, io.Discard, w.Engine, w.API) }()
	w.AwaitPending() // the task is open by then
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("trackShipments() = %v, want %v", err, context.Canceled)
	}
	w.NothingLeft()
}

func TestAnswersThatAreNone(t *testing.T) {
	w := jittest.Start(t, shipments(http.StatusInternalServerError))
	err := trackShipments(t.Context(), io.Discard, w.Engine, w.API)
	if err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("trackShipments() = %v, want the status", err)
	}
	w.NothingLeft()
}

func TestHostile(t *testing.T) {
	for name, behaviour := range jittest.Hostile() {
		t.Run(name, func(t *testing.T) {
			w := jittest.Start(t, shipments(http.StatusOK), audits("admin"), behaviour)
			var out bytes.Buffer
			err := trackShipments(t.Context(), &out, w.Engine, w.API)
			w.AskedWithin(ceiling(t, w)...)
			w.NothingLeft()
			// What the API's own body says is the program's to print: here it is not.
			w.NothingLeaked(out.String(), err)
		})
	}
}
