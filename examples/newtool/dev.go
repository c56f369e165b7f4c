package main

import (
	"context"
	"io"
	"net/http"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

// startDev starts what stands in for what you have: an authorization server and a
// protected API.
func startDev(ctx context.Context) (*dev.Servers, error) {
	return dev.Start(ctx, dev.Config{API: func(guard *resource.Verifier, base string) (http.Handler, error) {
		return invoicesAPI(guard, base), nil
	}})
}

// invoicesAPI demands reading just the invoice that is read.
func invoicesAPI(guard *resource.Verifier, base string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /v1/invoices/{number}", guard.Require(func(r *http.Request) (rar.Detail, error) {
		return rar.Detail{
			Type: "invoice", Actions: []string{"read"}, Identifier: r.PathValue("number"), Locations: []string{base},
		}, nil
	}, http.HandlerFunc(serveInvoice)))
	return mux
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
