package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"sync"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

// This file is what an API owner writes.

// notes is an API of short texts. It is safe for concurrent use.
type notes struct {
	mu    sync.Mutex
	texts map[string]string
}

// newAPI returns the API, protected. base is its origin as clients see it.
func newAPI(guard *resource.Verifier, base string) http.Handler {
	n := &notes{texts: map[string]string{"n_1": "Call the finance lead."}}
	mux := http.NewServeMux()
	mux.Handle("GET /v1/notes/{id}", guard.Require(needs("read", base), http.HandlerFunc(n.get)))
	mux.Handle("PUT /v1/notes/{id}", guard.Require(needs("write", base), http.HandlerFunc(n.put)))
	return mux
}

var noteID = regexp.MustCompile(`^n_[0-9]{1,10}$`)

// needs returns what a request takes: one action on the one note in its path, at
// this API. A client refuses a demand that goes further, so demand no more.
func needs(action, base string) func(*http.Request) (rar.Detail, error) {
	return func(r *http.Request) (rar.Detail, error) {
		id := r.PathValue("id")
		if !noteID.MatchString(id) {
			return rar.Detail{}, errors.New("not the id of a note")
		}
		return rar.Detail{Type: "note", Actions: []string{action}, Identifier: id, Locations: []string{base}}, nil
	}
}

func (n *notes) get(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	text, ok := n.texts[r.PathValue("id")]
	n.mu.Unlock()
	if !ok {
		// After the check: whoever may not read a note is not told whether it exists.
		resource.WriteError(w, http.StatusNotFound, "not_found", "there is no such note")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"text": text}) // a client that has left is no concern
}

const maxNote = 4 << 10

// put is idempotent by its method: the same request twice does no more than once.
func (n *notes) put(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNote))
	if err != nil {
		resource.WriteError(w, http.StatusRequestEntityTooLarge, "too_large", "a note has at most 4096 bytes")
		return
	}
	n.mu.Lock()
	n.texts[r.PathValue("id")] = string(text)
	n.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}
