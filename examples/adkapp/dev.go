package main

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

// ticketsAPI demands reading just the ticket that is read, and updating just the
// one that is closed.
func ticketsAPI(guard *resource.Verifier, base string) (http.Handler, error) {
	demand := func(action string) func(*http.Request) (rar.Detail, error) {
		return func(r *http.Request) (rar.Detail, error) {
			return rar.Detail{
				Type: "ticket", Actions: []string{action}, Identifier: r.PathValue("id"), Locations: []string{base},
			}, nil
		}
	}
	var closed atomic.Bool // of the one ticket that there is
	state := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		body := `{"id":"tck_7","state":"open"}`
		if closed.Load() {
			body = `{"id":"tck_7","state":"closed"}`
		}
		_, _ = io.WriteString(w, body) // a client that has left is no concern
	}
	mux := http.NewServeMux()
	mux.Handle("GET /v1/tickets/{id}", guard.Require(demand("read"), http.HandlerFunc(state)))
	mux.Handle("POST /v1/tickets/{id}/close", guard.Require(demand("update"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		closed.Store(true)
		state(w, r)
	})))
	return mux, nil
}
