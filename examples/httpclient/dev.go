package main

import (
	"io"
	"net/http"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

// shipmentsAPI demands reading one shipment for the shipment, and administering
// all of them for its audit trail.
func shipmentsAPI(guard *resource.Verifier, base string) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle("GET /v1/shipments/{id}", guard.Require(func(r *http.Request) (rar.Detail, error) {
		return rar.Detail{
			Type: "shipment", Actions: []string{"read"}, Identifier: r.PathValue("id"), Locations: []string{base},
		}, nil
	}, answer(`{"status":"in customs since Monday"}`)))
	mux.Handle("GET /v1/shipments/{id}/audit", guard.Require(func(*http.Request) (rar.Detail, error) {
		return rar.Detail{Type: "shipment", Actions: []string{"admin"}, Locations: []string{base}}, nil
	}, answer(`{"status":"audited"}`)))
	return mux, nil
}

func answer(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body) // a client that has left is no concern
	})
}
