package main

import (
	"io"
	"net/http"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

// invoicesAPI demands reading just the invoice that is read.
func invoicesAPI(guard *resource.Verifier, base string) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle("GET /v1/invoices/{number}", guard.Require(func(r *http.Request) (rar.Detail, error) {
		return rar.Detail{
			Type: "invoice", Actions: []string{"read"}, Identifier: r.PathValue("number"), Locations: []string{base},
		}, nil
	}, http.HandlerFunc(serveInvoice)))
	return mux, nil
}

func serveInvoice(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("number") != "inv_2041" {
		resource.WriteError(w, http.StatusNotFound, "not_found", "there is no such invoice")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// A client that has left is no concern.
	_, _ = io.WriteString(w, `{"number":"inv_2041","customer":"Fish export, Piraeus","amount":"41,000.00 EUR","due":"2025-03-31"}`)
}
